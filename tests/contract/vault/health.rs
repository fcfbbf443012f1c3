//! What a server reports about itself, and what follows from its version.

use oidc_operator::admin::discovery;
use oidc_operator::admin::http::Failure;
use oidc_operator::admin::vault::health::{self, Health};
use oidc_operator::admin::vault::identity::IdentityType;
use oidc_operator::api::authorization_server::Capability;
use oidc_operator::error::Outage;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::fake::header;
use super::objects::with as with_members;
use super::recordings::{OPENBAO, VAULT, exchanges};
use super::{always, errors_reply};
use crate::{html, json_reply};

/// The recorded answer of a server.
fn recorded(server: &str) -> Value {
    let all = exchanges(server).into_iter();
    let mut found = all.filter(|(_, exchange)| exchange.request.path == "sys/health");
    found.next().expect("a recorded answer").1.response.body
}

fn with(version: &str, enterprise: Option<bool>) -> Health {
    Health {
        initialized: true,
        sealed: false,
        standby: false,
        cluster_id: "<uuid:1>".parse().expect("short"),
        version: version.parse().expect("short"),
        enterprise,
        replication_dr_mode: "disabled".to_owned(),
    }
}

#[test]
fn both_flavours_are_read_and_distinguished() {
    assert_eq!(health::parse(recorded(OPENBAO)), Ok(with("2.7.2", None)));
    assert_eq!(health::parse(recorded(VAULT)), Ok(with("1.19.5", Some(false))));
}

#[test]
fn the_version_and_the_flavour_decide_what_a_server_can_do() {
    let openbao = None;
    let (vault, enterprise) = (Some(false), Some(true));
    let grants = &[Capability::ClientCredentials][..];
    let cases: [(&str, Option<bool>, bool, &[Capability]); 23] = [
        // Vault. Old versions do not report whether they are the Enterprise edition.
        ("1.9.2", None, false, &[]),
        ("1.9.10", vault, false, &[]),
        ("0.11.6", None, false, &[]),
        ("1.10.0", None, true, &[]),
        ("1.10.0-rc1", vault, true, &[]),
        ("1.10+ent", enterprise, true, &[]),
        ("1.19.5", vault, true, &[]),
        ("1.19.5+ent", enterprise, true, &[]),
        ("1.9.3+ent.hsm", enterprise, false, &[]),
        ("2.5.0", vault, true, &[]),
        ("10.0.0", vault, true, &[]),
        // OpenBao
        ("2.0.0", openbao, true, &[]),
        ("2.4.1", openbao, true, &[]),
        ("2.4.10", openbao, true, &[]),
        ("2.5-beta", openbao, true, grants),
        ("2.5.0-beta", openbao, true, grants),
        ("2.5.0-beta20251125", openbao, true, grants),
        ("2.5.0", openbao, true, grants),
        ("v2.7.2", openbao, true, grants),
        ("2.10.0", openbao, true, grants),
        ("3.0.0", openbao, true, grants),
        // Neither
        ("", openbao, false, &[]),
        ("unknown", openbao, false, &[]),
    ];
    for (version, enterprise, is_provider, capabilities) in cases {
        let health = with(version, enterprise);
        assert_eq!(health.is_provider(), is_provider, "{version}");
        assert_eq!(health.capabilities(), capabilities, "{version} {enterprise:?}");
    }
}

/// A server without namespaces ignores the namespace of a request.
#[test]
fn openbao_has_namespaces_from_2_3_on_and_vault_in_its_enterprise_edition() {
    let cases = [
        ("1.19.5", Some(false), false),
        ("2.5.0", Some(false), false),
        ("1.19.5+ent", Some(true), true),
        ("1.12.0+ent", None, true),
        ("1.9.3+ent.hsm", None, true),
        ("1.12.0", None, false),
        ("2.2.9", None, false),
        ("2.3.0", None, true),
        ("2.7.2", None, true),
        ("", None, false),
    ];
    for (version, enterprise, expected) in cases {
        let health = with(version, enterprise);
        assert_eq!(health.has_namespaces(), expected, "{version} {enterprise:?}");
    }
}

#[tokio::test]
async fn a_namespace_for_objects_or_for_the_login_uses_namespaces() {
    let server = wiremock::MockServer::start().await;
    for (namespace, of_login, expected) in [("", "", false), ("team1", "", true), ("", "team1", true)] {
        let vault = super::within(&server, super::given(), namespace, of_login);
        assert_eq!(vault.uses_namespaces(), expected, "{namespace:?} {of_login:?}");
    }
}

#[test]
fn an_unusable_state_of_a_server_is_read() {
    let of = |more: Value| health::parse(with_members(recorded(VAULT), &more)).expect("health");
    assert!(of(json!({ "sealed": true })).sealed);
    assert!(!of(json!({ "initialized": false })).initialized);
    assert!(of(json!({ "standby": true })).standby);
    let secondary = of(json!({ "replication_dr_mode": "secondary" }));
    assert_eq!(secondary.replication_dr_mode, "secondary");
}

#[test]
fn only_a_different_cluster_id_means_another_cluster() {
    for (found, another) in [("a", false), ("", false), ("b", true), ("A", true)] {
        let health = health::parse(with_members(recorded(VAULT), &json!({ "cluster_id": found }))).expect("health");
        assert_eq!(health.is_of_another_cluster("a"), another, "{found:?}");
    }
}

#[tokio::test]
async fn health_is_requested_without_a_token_and_with_status_200_for_every_state() {
    let (server, vault) = always(json_reply(200, &recorded(OPENBAO))).await;
    assert_eq!(health::health(vault.http()).await, Ok(with("2.7.2", None)));
    let requests = server.received_requests().await.unwrap_or_default();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.url.path()), ("GET", "/v1/sys/health"));
    assert_eq!(header(request, "X-Vault-Token"), None);
    assert_eq!(header(request, "X-Vault-Namespace"), None);
    let mut query: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
    query.sort();
    let expected = [
        ("drsecondarycode", "200"),
        ("perfstandbyok", "true"),
        ("removedcode", "200"),
        ("sealedcode", "200"),
        ("standbyok", "true"),
        ("uninitcode", "200"),
    ];
    assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn an_open_breaker_lets_requests_without_a_login_pass() {
    let document = json!({ "issuer": "https://id.example.com", "keys": [] });
    let (_server, vault) = always(json_reply(200, &with_members(recorded(VAULT), &document))).await;
    vault.http().breaker().open(None);
    assert!(health::health(vault.http()).await.is_ok());
    let path = vault.provider_path("default");
    assert!(discovery::fetch_below(vault.http(), &path).await.is_ok());
    assert!(discovery::fetch_keys_below(vault.http(), &path).await.is_ok());
    let found = vault.id_by_name(IdentityType::Group, "g").await;
    assert_eq!(found, Err(Failure::Outage(Outage::Known)));
}

#[tokio::test]
async fn a_reply_that_is_not_from_a_vault_is_refused() {
    let strange = Failure::Reply("does not report the server's health");
    let cases = [
        (html(200), Failure::Reply("is not JSON")),
        (json_reply(200, &json!({})), strange.clone()),
        (json_reply(200, &json!({ "status": "ok" })), strange.clone()),
        (json_reply(200, &json!({ "initialized": true })), strange.clone()),
        (
            json_reply(200, &json!({ "initialized": "true", "sealed": false })),
            strange.clone(),
        ),
        (json_reply(200, &json!([])), strange.clone()),
        (ResponseTemplate::new(204), strange),
        (html(404), super::proxied(404)),
        (errors_reply(403, &["permission denied"]), Failure::Refused(403)),
        (html(502), Failure::Outage(Outage::Status(502, None))),
    ];
    for (reply, expected) in cases {
        let (_server, vault) = always(reply.clone()).await;
        assert_eq!(health::health(vault.http()).await, Err(expected), "{reply:?}");
    }
}
