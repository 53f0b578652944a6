//! What to say of a server that cannot be reached or does not let its caller in, and what to do
//! about it: of the ledger's, and of one that is imported from.

use std::io;

use sqlx::{error::DatabaseError, postgres::PgConnectOptions};

/// What the network says, with the server that it speaks of.
pub(crate) fn with_place(error: sqlx::Error, options: &PgConnectOptions) -> sqlx::Error {
    let sqlx::Error::Io(source) = error else {
        return error;
    };
    let place = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let port = options.get_port();
    let text = format!("{place}, port {port}: {source}");
    sqlx::Error::Io(io::Error::new(source.kind(), text))
}

/// Whether the settings that lead to the server are wrong, or its owner's grants: authorization
/// (28), a database that is not there (3D), and privileges (42501).
pub(crate) fn is_wrong_setting(error: &sqlx::Error) -> bool {
    let code = code(error);
    code.starts_with("28") || code.starts_with("3D") || code == "42501"
}

/// Why it cannot be used, and what to do, in one sentence.
pub(crate) fn advice(error: &sqlx::Error) -> String {
    let code = code(error);
    let (why, advice) = match error {
        sqlx::Error::Database(refusal) => {
            let advice = match &*code {
                "28P01" => "give its password in the URL",
                code if code.starts_with("28") => {
                    "check the user in the URL, whether pg_hba.conf lets it in from here, and \
                     whether it asks for TLS, which sslmode=require in the URL gives it"
                }
                code if code.starts_with("3D") => "create it, or name another in the URL",
                "42501" => "let its owner grant it to the user in the URL",
                _ => return refusal.message().to_owned(),
            };
            (refusal.message().to_owned(), advice)
        }
        sqlx::Error::Io(source) => (
            source.to_string(),
            "check host and port in the URL, and whether PostgreSQL listens there",
        ),
        sqlx::Error::Tls(source) => (
            source.to_string(),
            "check the server's certificate, and sslmode and sslrootcert in the URL",
        ),
        _ => return error.to_string(),
    };
    format!("{why}: {advice}")
}

fn code(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.unwrap_or_default().into_owned()
}
