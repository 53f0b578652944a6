//! The document that describes the API.

use super::*;

#[test]
fn the_document_of_the_repository_is_served() {
    let api = Api::start(Kind::Sqlite);
    let served = api.get("/api/openapi.json").body(200);
    assert_eq!(served, *redspan::web::document());
    assert_eq!(served["openapi"], "3.1.0");
}
