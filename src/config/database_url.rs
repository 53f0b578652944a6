//! The URL of the database: what it may say, and how much of it is shown. A mistake is told without
//! the text around it, which may be a password.

use std::fmt;

use super::values::{HIDDEN, Value};

/// What may stand behind the `?` of a server's URL, beside `options[NAME]`.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// What to say when the user's `@` stands where it cannot: what looks like a path or a parameter
/// may be part of the password.
const TORN: &str = "a URL in which /, ? and # of user and password are written %2F, %3F and %23";

/// Where the database is; shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL as given, password and all: for connecting only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL of a PostgreSQL server, checked as the setting is; otherwise the end of a sentence
    /// that begins with what it was given as and "must be".
    ///
    /// # Errors
    /// What it must be.
    pub fn of_server(text: &str) -> Result<Self, String> {
        if server(text).is_none() {
            return Err(
                "the URL of a PostgreSQL database: postgresql://USER:PASSWORD@HOST/DATABASE"
                    .to_owned(),
            );
        }
        Self::parse(text)
    }

    /// Whether it is a file of this machine.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Parameters may hold a password too (`?password=`).
        let url = self.0.split('?').next().unwrap_or_default();
        match (url.find("://"), url.rfind('@')) {
            (Some(scheme), Some(at)) if !self.is_sqlite() => {
                let user = url[scheme + 3..at].split(':').next().unwrap_or_default();
                write!(f, "{}{user}{}", &url[..scheme + 3], &url[at..])
            }
            _ => f.write_str(url),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Value for DatabaseUrl {
    const KIND: &'static str = "URL";
    const SENSITIVE: bool = true;

    fn shown(text: &str) -> String {
        Self::parse(text).map_or_else(|_| HIDDEN.to_owned(), |url| url.to_string())
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = server(text) {
            check_server(rest)?;
        } else if text.strip_prefix("sqlite:").is_none_or(str::is_empty) {
            return Err("sqlite://FILE or postgresql://USER:PASSWORD@HOST/DATABASE".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// What follows the scheme of PostgreSQL.
fn server(text: &str) -> Option<&str> {
    ["postgresql://", "postgres://"]
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .filter(|rest| !rest.is_empty())
}

/// Checks what follows `postgresql://`; otherwise the end of a sentence, see [`Value::parse`].
fn check_server(rest: &str) -> Result<(), String> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split(['/', '#']).next().unwrap_or_default();
    let (has_user, host) = match authority.rsplit_once('@') {
        Some((_, host)) => (true, host),
        None => (false, authority),
    };
    let is_torn = |part: &str| !has_user && part.contains('@');
    if is_torn(place) {
        return Err(TORN.to_owned());
    }
    // Colons stand inside the brackets of an IPv6 address too.
    let after_address = host.rsplit_once(']').map_or(host, |(_, after)| after);
    let port = after_address.split_once(':').map_or("", |(_, port)| port);
    check_port(port)?;
    let parameters = query.split('#').next().unwrap_or_default();
    for parameter in parameters.split('&').filter(|it| !it.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name == "port" {
            check_port(value)?;
        }
        let name = name.replace("%5B", "[").replace("%5b", "[");
        if !PARAMETERS.contains(&name.as_str()) && !name.starts_with("options[") {
            if is_torn(query) {
                return Err(TORN.to_owned());
            }
            return Err(format!(
                "a URL without the parameter {name:?}, which redspan does not know; it knows {} \
                 and options[NAME]",
                PARAMETERS.join(", ")
            ));
        }
    }
    Ok(())
}

fn check_port(port: &str) -> Result<(), String> {
    if port.is_empty() || port.parse::<u16>().is_ok() {
        return Ok(());
    }
    Err("a URL in which what follows the host's colon is a port, a number up to 65535".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_never_shows_its_password() {
        let url = DatabaseUrl::parse("postgresql://red:p@ss:word@db:5432/app?password=x").unwrap();
        assert_eq!(url.to_string(), "postgresql://red@db:5432/app");
        assert_eq!(format!("{url:?}"), "postgresql://red@db:5432/app");
        let file = DatabaseUrl::parse("sqlite://a@b.db").unwrap();
        assert_eq!(file.to_string(), "sqlite://a@b.db");
    }

    #[test]
    fn a_url_that_cannot_work_is_refused_without_its_secrets() {
        for (url, why) in [
            ("postgresql://u:hush@h:x/x", "is a port"),
            ("postgresql://u:hush@h:65536/x", "is a port"),
            ("postgresql://u:hush@[::1]:x/x", "is a port"),
            ("postgresql://u:hush@h/x?port=hush", "is a port"),
            ("postgresql://u:hush/hush@h/x", "%2F"),
            ("postgresql://u:1?hush&hush=1@h/x", "%3F"),
            ("postgresql://u:1#hush@h/x", "%23"),
            (
                "postgresql://u:hush@h/x?sslpassword=hush",
                "\"sslpassword\"",
            ),
            ("postgresql://", "sqlite://FILE or"),
            ("sqlite:", "sqlite://FILE or"),
        ] {
            let mistake = DatabaseUrl::parse(url).unwrap_err();
            assert!(mistake.contains(why), "{url}: {mistake}");
            assert!(!mistake.contains("hush"), "{url}: {mistake}");
            assert_eq!(DatabaseUrl::shown(url), "***");
        }
    }

    #[test]
    fn every_way_to_name_a_server_is_taken() {
        for url in [
            "postgres://db",
            "postgresql://red:p@ss:word@db:5432/app?sslmode=require&user=x#y",
            "postgresql://[::1]/app",
            "postgresql://red@[::1]:5433/app",
            "postgresql://%2Frun%2Fpostgresql/app",
            "postgresql:///app?host=/run/postgresql&port=5433",
            "postgresql://h/app?user=red@corp&password=a@b#c",
            "postgresql://h/app?options[work_mem]=1MB&options%5Bx%5D=y",
            "sqlite://a@b.db",
            "sqlite:a.db",
        ] {
            assert!(DatabaseUrl::parse(url).is_ok(), "{url}");
        }
    }
}
