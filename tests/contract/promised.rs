//! A Hydra whose API is set in the spec: `/version` is a hint at most.

use std::sync::Arc;
use std::time::Duration;

use oidc_operator::admin::http::{Failure, Http, Settings};
use oidc_operator::admin::hydra::{Dialect, Hydra};
use oidc_operator::api::authorization_server::HydraVersion;
use oidc_operator::error::Outage;
use serde_json::json;
use wiremock::matchers::{path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{error_reply, html, http, json_reply, received};

/// A gateway that answers requests for clients with one reply and those for the version with another.
async fn gateway(clients: ResponseTemplate, version: ResponseTemplate) -> (MockServer, Arc<Http>, Http) {
    let server = MockServer::start().await;
    for (prefix, size) in [("/admin/clients", "page_size"), ("/clients", "limit")] {
        Mock::given(path(prefix))
            .and(query_param(size, "1"))
            .respond_with(clients.clone())
            .mount(&server)
            .await;
    }
    Mock::given(path("/version")).respond_with(version).mount(&server).await;
    let endpoint = || http(&server.uri(), &Settings::default());
    let (admin, hints) = (Arc::new(endpoint()), endpoint());
    (server, admin, hints)
}

fn page() -> ResponseTemplate {
    json_reply(200, &json!([]))
}

#[tokio::test]
async fn a_gateway_need_not_route_the_version() {
    let of = |version: &str| json_reply(200, &json!({ "version": version }));
    let table = [
        (html(404), None),
        (html(401), None),
        (of("v1.3.0"), None),
        (html(200), None),
        (json_reply(200, &json!({ "name": "gateway" })), None),
        (html(503), None),
        (html(302), None),
        (of("v2.3.0"), Some("v2.3.0")),
    ];
    for (version, expected) in table {
        let (_server, admin, hints) = gateway(page(), version.clone()).await;
        let found = Hydra::detect(&admin, HydraVersion::V2)
            .await
            .map_err(|failure| format!("{failure:?}"));
        let found = found.expect("a server of the set version").hinted(&hints, None).await;
        let known = (found.version().dialect(), found.version().as_str());
        assert_eq!(known, (Dialect::V2, expected), "{version:?}");
        assert!(!admin.breaker().is_open(), "{version:?}");
    }
}

#[tokio::test]
async fn the_version_is_asked_once_and_only_of_the_endpoint_for_hints() {
    for setting in [HydraVersion::V1, HydraVersion::V2] {
        let (server, admin, hints) = gateway(page(), html(404)).await;
        let found = Hydra::detect(&admin, setting).await;
        assert!(found.is_ok(), "{setting:?}");
        assert_eq!(received(&server).await, 1, "{setting:?}");
        if let Ok(found) = found {
            found.hinted(&hints, None).await;
        }
        assert_eq!(received(&server).await, 2, "{setting:?}");
    }
}

#[tokio::test]
async fn a_version_that_never_comes_is_not_waited_for() {
    let (_server, admin, hints) = gateway(page(), html(200).set_delay(Duration::from_secs(30))).await;
    let found = Hydra::detect(&admin, HydraVersion::V2).await;
    let found = async {
        found
            .ok()?
            .hinted(&hints, None)
            .await
            .version()
            .as_str()
            .map(str::to_owned)
    };
    let waited = tokio::time::timeout(Duration::from_secs(8), found).await;
    assert_eq!(waited, Ok(None));
}

/// A server whose version was known must not seem to be another one while it is busy.
#[tokio::test]
async fn without_a_reply_the_last_version_counts() {
    let of = |version: &str| json_reply(200, &json!({ "version": version }));
    let table = [
        (html(503), Some("v2.3.0")),
        (html(502), Some("v2.3.0")),
        (html(404), None),
        (html(401), None),
        (of("v1.3.0"), None),
        (of("v26.2.0"), Some("v26.2.0")),
    ];
    for (version, expected) in table {
        let (_server, admin, hints) = gateway(page(), version.clone()).await;
        let found = Hydra::detect(&admin, HydraVersion::V2).await;
        let found = found.map_err(|failure| format!("{failure:?}")).expect("a server");
        let found = found.hinted(&hints, Some("v2.3.0")).await;
        assert_eq!(found.version().as_str(), expected, "{version:?}");
    }
}

#[tokio::test]
async fn the_list_decides_whether_the_server_can_be_used() {
    let status = |code| Err(Failure::Outage(Outage::Status(code, None)));
    let missing = Failure::Status {
        code: 404,
        error: None,
        description: String::new(),
    };
    let table = [
        (page(), Ok(()), false),
        (error_reply(500, "error"), Ok(()), false),
        (html(401), Err(Failure::Refused(401)), true),
        (html(403), Err(Failure::Refused(403)), true),
        (html(404), Err(missing), false),
        (html(502), status(502), true),
        (html(503), status(503), true),
    ];
    let healthy = json_reply(200, &json!({ "version": "v2.3.0" }));
    for (list, expected, opens) in table {
        let (_server, admin, _) = gateway(list.clone(), healthy.clone()).await;
        let found = Hydra::detect(&admin, HydraVersion::V2).await.map(drop);
        assert_eq!((found, admin.breaker().is_open()), (expected, opens), "{list:?}");
    }
}

#[tokio::test]
async fn without_a_set_version_it_must_be_reported() {
    let missing = Failure::Status {
        code: 404,
        error: None,
        description: String::new(),
    };
    for (version, expected) in [(html(404), missing), (html(401), Failure::Refused(401))] {
        let (server, admin, _) = gateway(page(), version).await;
        let found = Hydra::detect(&admin, HydraVersion::Auto).await.map(drop);
        assert_eq!(found, Err(expected));
        assert_eq!(received(&server).await, 1);
    }
}
