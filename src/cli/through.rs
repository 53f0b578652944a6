//! How a command changes something: through the redspan that runs at `--url`, else on the database
//! itself. An SQLite file is changed by one process at a time, PostgreSQL beside its servers.

use std::{sync::Arc, time::Duration};

use clap::Args;
use tokio::time::timeout;

use crate::{
    app,
    commit::DirectWriter,
    config::{Config, HttpUrl},
    failure::Failure,
    store::{
        ApiErrorRepository, DatabaseSettings, GenerationPipelineRepository, Reader, SharedStore,
        StoreError, connect,
    },
};

use super::server::Server;

/// How long the database may take to be closed, with everything in it.
const CLOSE_STORE: Duration = Duration::from_secs(10);

/// Which way.
#[derive(Args, Debug, Default)]
pub struct Through {
    /// Ask the redspan that runs there to do it, as when it holds the SQLite file
    #[arg(long, value_name = "URL")]
    url: Option<HttpUrl>,
}

/// What takes the changes.
pub(super) enum Ledger {
    /// A running redspan.
    Server(Server),
    /// The database.
    Database(Opened),
}

/// A database that was opened to be changed.
pub(super) struct Opened {
    /// Reads it without a time limit.
    pub reader: Arc<dyn Reader>,
    /// Its errors and groups.
    pub errors: ApiErrorRepository,
    /// Its runs of pipelines.
    pub pipelines: GenerationPipelineRepository,
    store: SharedStore,
}

impl Through {
    /// Opens the way. `actor` is who the audit log says it was.
    ///
    /// # Errors
    /// When the database is out of reach, or an SQLite file is in use.
    pub(super) async fn open(&self, config: &Config, actor: &str) -> Result<Ledger, Failure> {
        if let Some(url) = &self.url {
            let token = config.auth.api_token.first();
            let token = token.map(crate::config::Secret::expose);
            return Ok(Ledger::Server(Server::new(url, token, actor)?));
        }
        let settings = DatabaseSettings {
            migrate: false,
            ..app::database_settings(&config.database)
        };
        let store = connect(&settings).await.map_err(|error| match error {
            StoreError::InUse(sentence) => StoreError::InUse(format!(
                "{sentence}: to change it through that one, give its http.listen: --url \
                 http://127.0.0.1:9464"
            )),
            other => other,
        })?;
        let reader: Arc<dyn Reader> = Arc::from(store.patient());
        let writer = Arc::new(DirectWriter::new(Arc::clone(&store)));
        Ok(Ledger::Database(Opened {
            errors: ApiErrorRepository::new(Arc::clone(&reader), Arc::clone(&writer) as _)
                .acting_as(actor),
            pipelines: GenerationPipelineRepository::new(Arc::clone(&reader) as _, writer)
                .acting_as(actor),
            reader,
            store,
        }))
    }
}

impl Ledger {
    /// Leaves the database whole for the next one.
    pub(super) async fn close(self) {
        if let Self::Database(opened) = self {
            let store = Arc::clone(&opened.store);
            // Its connections first: the write-ahead log is folded in when they are gone.
            drop(opened);
            let _ = timeout(CLOSE_STORE, store.close()).await;
        }
    }
}
