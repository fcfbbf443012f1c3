//! What a worker reports about itself: its version, and the providers that it loaded when it started.

use std::sync::Arc;

use oidc_operator::admin::foulkon::{About, Foulkon, is_loaded};
use oidc_operator::admin::http::{Failure, Http};
use oidc_operator::error::Outage;
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use super::{always, answer, coded, fields, named, proxied, shown};
use crate::{html, json_reply};

/// The report of a worker with this authenticator.
fn about(authenticator: &Value) -> Value {
    json!({
        "logger": { "type": "default", "level": "info" }, "database": { "type": "postgres", "idleconns": 5 },
        "authenticator": authenticator, "version": "v0.5.0",
    })
}

/// A server, its API, and its endpoint.
struct Asking(MockServer, Foulkon, Arc<Http>);

impl Asking {
    async fn start() -> Self {
        let (server, foulkon, http) = always(ResponseTemplate::new(204)).await;
        Asking(server, foulkon, http)
    }

    /// The result of this reply.
    async fn told(&self, reply: ResponseTemplate) -> Result<About, Failure> {
        let Asking(server, foulkon, http) = self;
        answer(server, reply).await;
        let told = foulkon.about().await;
        http.breaker().close();
        told
    }
}

#[tokio::test]
async fn the_version_is_reported_and_the_loaded_providers_if_all_are_understood() {
    let mut without_id = shown();
    without_id.as_object_mut().and_then(|members| members.remove("id"));
    let cases = [
        // No provider existed at the start.
        (json!({ "type": "oidc" }), Some(0)),
        (json!({ "type": "oidc", "oidcProviders": null }), Some(0)),
        (json!({ "type": "oidc", "oidcProviders": [] }), Some(0)),
        (json!({ "type": "oidc", "oidcProviders": [shown()] }), Some(1)),
        (
            json!({ "type": "oidc", "oidcProviders": [shown(), shown()], "more": 1 }),
            Some(2),
        ),
        // It accepts no tokens.
        (json!({ "type": "header" }), None),
        (json!({ "type": "header", "oidcProviders": [shown()] }), None),
        (json!({ "type": "" }), None),
        (json!({ "type": "OIDC", "oidcProviders": [shown()] }), None),
        // A partial list would be mistaken for the whole list.
        (json!({ "type": "oidc", "oidcProviders": [shown(), without_id] }), None),
        (json!({ "type": "oidc", "oidcProviders": ["shop"] }), None),
        (json!({ "type": "oidc", "oidcProviders": [null] }), None),
        (json!({ "type": "oidc", "oidcProviders": {} }), None),
        (json!({ "type": "oidc", "oidcProviders": "shop" }), None),
        (json!({ "type": "oidc", "oidcProviders": false }), None),
    ];
    let asking = Asking::start().await;
    for (authenticator, expected) in cases {
        let found = asking.told(json_reply(200, &about(&authenticator))).await;
        let found = found.expect("an answer");
        assert_eq!(&*found.version, "v0.5.0", "{authenticator}");
        let loaded = found.loaded.map(|loaded| loaded.len());
        assert_eq!(loaded, expected, "{authenticator}");
    }
}

#[tokio::test]
async fn a_reply_that_is_not_from_a_worker_is_refused() {
    let strange = Failure::Reply("is not what a Foulkon worker reports about itself");
    let version = |version: Value| {
        let mut changed = about(&json!({ "type": "oidc" }));
        changed["version"] = version;
        json_reply(200, &changed)
    };
    let authenticator = |value: Value| json_reply(200, &about(&value));
    let cases = [
        (html(200), Failure::Reply("is not JSON")),
        (ResponseTemplate::new(200), strange.clone()),
        (ResponseTemplate::new(204), strange.clone()),
        (json_reply(200, &json!({})), strange.clone()),
        (json_reply(200, &json!([])), strange.clone()),
        (json_reply(200, &json!({ "version": "v2.3.0" })), strange.clone()),
        (
            json_reply(
                200,
                &json!({ "initialized": true, "sealed": false, "version": "1.19.5" }),
            ),
            strange.clone(),
        ),
        (
            json_reply(200, &json!({ "authenticator": { "type": "oidc" } })),
            strange.clone(),
        ),
        (version(json!(null)), strange.clone()),
        (version(json!(5)), strange.clone()),
        (authenticator(json!(null)), strange.clone()),
        (authenticator(json!("oidc")), strange.clone()),
        (authenticator(json!({})), strange.clone()),
        (
            authenticator(json!({ "type": null, "oidcProviders": [] })),
            strange.clone(),
        ),
        (authenticator(json!([{ "type": "oidc" }])), strange),
        (html(404), proxied(404)),
        (html(301), Failure::Reply("is a redirect")),
        (html(401), Failure::Refused(401)),
        (html(400), Failure::Refused(400)),
        (coded(403, "UnauthorizedResourcesError", "x"), Failure::Denied),
        (html(502), Failure::Outage(Outage::Status(502, None))),
    ];
    let asking = Asking::start().await;
    for (reply, expected) in cases {
        assert_eq!(asking.told(reply.clone()).await, Err(expected), "{reply:?}");
    }
}

#[tokio::test]
async fn a_report_with_many_providers_may_be_large() {
    let one = |index: usize| {
        let mut provider = shown();
        provider["name"] = json!(format!("provider-{index}"));
        provider
    };
    let many: Vec<Value> = (0..5_000).map(one).collect();
    let body = about(&json!({ "type": "oidc", "oidcProviders": many }));
    assert!(body.to_string().len() > 1 << 20, "larger than one object may be");
    let found = Asking::start().await.told(json_reply(200, &body)).await;
    let found = found.expect("an answer");
    assert_eq!(found.loaded.map(|loaded| loaded.len()), Some(5_000));
}

#[tokio::test]
async fn a_provider_is_loaded_only_if_a_loaded_one_equals_it() {
    let body = about(&json!({ "type": "oidc", "oidcProviders": [shown()] }));
    let found = Asking::start().await.told(json_reply(200, &body)).await;
    let loaded = found.expect("an answer").loaded.expect("providers");
    assert!(is_loaded(&loaded, &fields()));
    assert!(!is_loaded(&[], &fields()));
    let mut more = fields();
    more.clients.insert("web".to_owned());
    let mut none = fields();
    none.clients.clear();
    let mut issuer = fields();
    issuer.issuer_url = "https://id.example.com/".to_owned();
    for other in [more, none, issuer, named("other", "/team/"), named("shop", "/other/")] {
        assert!(!is_loaded(&loaded, &other), "{other:?}");
    }
}
