//! The same over HTTP: through the program's own routes, without a socket.

use std::sync::{Arc, LazyLock};

use axum::{body::Body, http::Request};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use proptest::{prelude::*, sample::Index};
use redspan::{
    clock,
    domain::Timestamp,
    lately::Lately,
    metrics::Metrics,
    web::{self, Misdirected, Readiness, WebState},
};
use serde_json::{Value, json};

use super::{Played, runs};
use crate::repository::World;

#[derive(Clone, Debug)]
pub enum ApiStep {
    /// User, kind, minutes ago.
    Log(u8, u8, u16),
    Resolve(Index),
    Hide(Index),
    Cleanup(u16, bool),
    ResolveGroup(Index),
    Forget(u8),
    /// Run, user.
    Create(u8, u8),
    /// Run, what a status is called, or none is.
    Status(u8, String),
    HideRun(u8),
}

pub fn step() -> impl Strategy<Value = ApiStep> {
    let status = prop_oneof![
        Just("processing"),
        Just("completed"),
        Just("failed"),
        Just("unheard of"),
    ];
    prop_oneof![
        3 => (0..4_u8, 0..3_u8, 0..200_u16)
            .prop_map(|(user, kind, minutes)| ApiStep::Log(user, kind, minutes)),
        1 => any::<Index>().prop_map(ApiStep::Resolve),
        1 => any::<Index>().prop_map(ApiStep::Hide),
        1 => (0..200_u16, any::<bool>()).prop_map(|(minutes, all)| ApiStep::Cleanup(minutes, all)),
        1 => any::<Index>().prop_map(ApiStep::ResolveGroup),
        1 => (0..4_u8).prop_map(ApiStep::Forget),
        1 => (0..runs::RUNS, 0..4_u8).prop_map(|(run, user)| ApiStep::Create(run, user)),
        2 => (0..runs::RUNS, status).prop_map(|(run, status)| ApiStep::Status(run, status.to_owned())),
        1 => (0..runs::RUNS).prop_map(ApiStep::HideRun),
    ]
}

/// The routes have the clock, by which an error of the scenarios' time is too old to be true; the
/// same for both databases.
static BEGUN: LazyLock<Timestamp> = LazyLock::new(clock::now);

fn lately(minutes: u16) -> Timestamp {
    BEGUN.plus_seconds(-60 * i64::from(minutes))
}

/// The routes over a world.
pub struct Api(TowerToHyperService<axum::Router>);

impl Api {
    pub fn of(world: &World) -> Self {
        let state = WebState {
            metrics: Arc::new(Metrics::new(2_000)),
            readiness: Readiness::default(),
            api_is_closed: false,
            api_is_local: false,
            api_tokens: std::iter::empty().collect(),
            api: Arc::new(web::Api::new(
                Arc::clone(&world.store) as _,
                world.errors.clone(),
                world.pipelines(),
                world.queue.written(),
            )),
            lately: Arc::new(Lately::default()),
            misdirected: Arc::new(Misdirected::new(4318)),
        };
        Self(TowerToHyperService::new(web::router(state)))
    }

    /// The status of the answer, which is never the server's fault.
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> u16 {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let answer = self.0.call(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(status < 500, "{method} {path}: {status} {body:?}");
        status
    }
}

impl Played {
    /// The status of the answer.
    pub async fn ask(&self, step: &ApiStep) -> u16 {
        let api = &self.api;
        let one_of = |path: &str, ids: Vec<String>, index: &Index| {
            (!ids.is_empty()).then(|| format!("/api/v1/{path}/{}", index.get(&ids)))
        };
        let errors = async || {
            self.rows()
                .await
                .iter()
                .map(|row| row.id.to_string())
                .collect()
        };
        match step {
            ApiStep::Log(user, kind, minutes) => {
                // The same in both databases.
                let number = u128::MAX - self.answers.len() as u128;
                let id = uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid();
                let error = json!({
                    "id": id, "endpoint": "/api", "method": "POST", "errorMessage": "no",
                    "userId": (*user > 0).then(|| format!("user {user}")),
                    "fingerprint": format!("kind {kind}"), "createdAt": lately(*minutes),
                });
                api.ask("POST", "/api/v1/errors", Some(error)).await
            }
            ApiStep::Resolve(index) => {
                let Some(path) = one_of("errors", errors().await, index) else {
                    return 0;
                };
                let body = json!({ "resolvedBy": "ada" });
                api.ask("POST", &format!("{path}/resolve"), Some(body))
                    .await
            }
            ApiStep::Hide(index) => match one_of("errors", errors().await, index) {
                Some(path) => api.ask("DELETE", &path, None).await,
                None => 0,
            },
            ApiStep::Cleanup(minutes, all) => {
                let body = json!({ "olderThan": lately(*minutes), "includeUnresolved": all });
                api.ask("POST", "/api/v1/errors/cleanup", Some(body)).await
            }
            ApiStep::ResolveGroup(index) => {
                let groups = self.groups().await;
                let names = groups.iter().map(|group| spelled_out(&group.fingerprint.0));
                let Some(path) = one_of("groups", names.collect(), index) else {
                    return 0;
                };
                let body = json!({ "resolvedBy": "ada" });
                api.ask("POST", &format!("{path}/resolve"), Some(body))
                    .await
            }
            ApiStep::Forget(user) => {
                api.ask("DELETE", &format!("/api/v1/users/user%20{user}"), None)
                    .await
            }
            ApiStep::Create(run, user) => {
                let new = runs::new(*run, *user, true);
                let body = json!({
                    "id": new.id, "userId": new.user_id, "config": new.config,
                    "stages": [{ "stageName": "mesh" }],
                });
                api.ask("POST", "/api/v1/pipelines", Some(body)).await
            }
            ApiStep::Status(run, status) => {
                let path = format!("/api/v1/pipelines/{}/status", runs::id(*run));
                api.ask("POST", &path, Some(json!({ "status": status })))
                    .await
            }
            ApiStep::HideRun(run) => {
                let path = format!("/api/v1/pipelines/{}", runs::id(*run));
                api.ask("DELETE", &path, None).await
            }
        }
    }
}

/// As a part of an address.
fn spelled_out(name: &str) -> String {
    let bytes: Vec<String> = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    bytes.concat()
}
