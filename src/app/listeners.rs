//! The ports: opened before anything else, served when everything is there.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::Router;
use hyper_util::service::TowerToHyperService;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    config::{Config, OtlpHttpSettings},
    failure::Failure,
    metrics::ProcessMetrics,
    otlp::{
        cors::Cors,
        export::{ExportService, Intake},
        grpc::{Http1Advice, OtlpGrpc},
        http::OtlpHttp,
    },
    server,
    shutdown::Stop,
    web::Readiness,
};

/// Every port of the program, open.
pub(super) struct Listeners {
    otlp_http: TcpListener,
    otlp_grpc: Option<TcpListener>,
    http: TcpListener,
}

/// Where they are.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) otlp_http: SocketAddr,
    pub(super) otlp_grpc: Option<SocketAddr>,
    pub(super) http: SocketAddr,
}

impl Listeners {
    pub(super) async fn open(config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            otlp_http: listen("otlp.http.listen", config.otlp.http.listen).await?,
            otlp_grpc: match config.otlp.grpc.listen {
                Some(address) => Some(listen("otlp.grpc.listen", address).await?),
                None => None,
            },
            http: listen("http.listen", config.http.listen).await?,
        })
    }

    pub(super) fn addresses(&self) -> io::Result<Addresses> {
        let otlp_grpc = self.otlp_grpc.as_ref().map(TcpListener::local_addr);
        Ok(Addresses {
            otlp_http: self.otlp_http.local_addr()?,
            otlp_grpc: otlp_grpc.transpose()?,
            http: self.http.local_addr()?,
        })
    }

    /// Serves telemetry with the intake and people with the router, until the stop signal.
    pub(super) fn serve<T: ExportService>(
        self,
        config: &Config,
        intake: Intake<T>,
        router: Router,
        readiness: &Readiness,
        process: &ProcessMetrics,
        stop: &Stop,
    ) -> Vec<JoinHandle<()>> {
        let service = OtlpHttp::new(intake.clone(), cors(&config.otlp.http));
        let settings = settings_of(config, process, "otlp_http", Arc::new(service.clone()));
        let otlp_http = server::serve(self.otlp_http, service, settings, stop.clone());
        let mut tasks = vec![tokio::spawn(otlp_http)];

        if let Some(listener) = self.otlp_grpc {
            let readiness = readiness.clone();
            let service = OtlpGrpc::new(intake, move || readiness.obstacle().is_none());
            let settings = settings_of(config, process, "otlp_grpc", Arc::new(service.clone()));
            let advice = Http1Advice::new(service.clone());
            tasks.push(tokio::spawn(server::serve_http2(
                listener,
                service,
                advice,
                settings,
                stop.clone(),
            )));
        }

        let settings = settings_of(config, process, "http", Arc::new(server::PlainText));
        let service = TowerToHyperService::new(router);
        let http = server::serve(self.http, service, settings, stop.clone());
        tasks.push(tokio::spawn(http));
        tasks
    }
}

fn cors(settings: &OtlpHttpSettings) -> Option<Cors> {
    let origins = settings.cors_origins.iter();
    let origins = origins.map(|origin| origin.as_str().to_owned()).collect();
    Cors::new(origins, &settings.cors_headers)
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Failure::Listen {
            setting,
            address,
            source,
        })
}

fn settings_of(
    config: &Config,
    process: &ProcessMetrics,
    name: &'static str,
    refusals: Arc<dyn server::Refusals>,
) -> server::Settings {
    let limits = &config.limits;
    let settings = server::Settings {
        limits: server::Limits {
            connections: limits.connections,
            header_read: limits.header_timeout,
            request_read: limits.request_timeout,
            idle: limits.idle_timeout,
            answer_write: limits.write_timeout,
            header_bytes: limits.header_bytes.0,
            uri_bytes: limits.uri_bytes.0,
            ..server::Limits::default()
        },
        drain: limits.drain_timeout,
        refusals,
        counts: Arc::default(),
    };
    watch_connections(process, name, &settings.counts);
    settings
}

fn watch_connections(
    process: &ProcessMetrics,
    listener: &'static str,
    counts: &Arc<server::Counts>,
) {
    type Counter = fn(&server::Counts) -> &AtomicU64;
    let read = |counter: Counter| {
        let counts = Arc::clone(counts);
        move || counter(&counts).load(Ordering::Relaxed)
    };
    let connections = &process.connections;
    connections.watch_accepted(listener, read(|counts| &counts.accepted));
    let reasons: [(&'static str, Counter); 9] = [
        ("too_many", |counts| &counts.refused),
        ("accept_error", |counts| &counts.accept_errors),
        ("header_timeout", |counts| &counts.header_timeouts),
        ("body_timeout", |counts| &counts.body_timeouts),
        ("answer_timeout", |counts| &counts.answer_timeouts),
        ("bad_head", |counts| &counts.bad_heads),
        ("http2", |counts| &counts.http2_refused),
        ("tls", |counts| &counts.tls_refused),
        ("stop", |counts| &counts.cut_at_stop),
    ];
    for (reason, counter) in reasons {
        connections.watch_refused(listener, reason, read(counter));
    }
}
