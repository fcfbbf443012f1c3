//! What a server reports about itself, and what follows from its version.

use oidc_operator::admin::discovery;
use oidc_operator::admin::http::Failure;
use oidc_operator::admin::vault::health::{self, Health};
use oidc_operator::admin::vault::identity::IdentityType;
use oidc_operator::admin::vault::{Help, Limit, Release};
use oidc_operator::api::authorization_server::Capability;
use oidc_operator::error::Outage;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::fake::{Fake, Rules, header};
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

fn release(version: &str, enterprise: Option<bool>) -> Release {
    Release::of(&with(version, enterprise))
}

/// Values with which a server, or a proxy in front of it, hides a version.
const HIDDEN: [&str; 6] = ["", "unknown", "(version redacted)", "v", "2", "0.0.0"];

#[test]
fn the_version_and_the_flavour_decide_what_a_server_can_do() {
    let openbao = None;
    let (vault, enterprise) = (Some(false), Some(true));
    let grants = &[Capability::ClientCredentials][..];
    let cases: [(&str, Option<bool>, bool, &[Capability]); 21] = [
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
    ];
    for (version, enterprise, is_provider, capabilities) in cases {
        let release = release(version, enterprise);
        assert_eq!(release.version(), Some(version), "{version}");
        assert_eq!(release.is_provider(), is_provider, "{version}");
        assert_eq!(release.capabilities(), capabilities, "{version} {enterprise:?}");
    }
    for hidden in HIDDEN {
        assert_eq!(release(hidden, openbao).capabilities(), grants, "{hidden:?}");
        assert_eq!(release(hidden, vault).capabilities(), [], "{hidden:?}");
        for enterprise in [openbao, vault, enterprise] {
            let release = release(hidden, enterprise);
            assert_eq!(release.version(), None, "{hidden:?}");
            assert!(release.is_provider(), "{hidden:?}");
        }
    }
}

#[test]
fn a_server_that_shows_nothing_for_a_version_is_read() {
    for (what, absent) in [
        (
            "null",
            json!({ "version": null, "cluster_name": null, "cluster_id": null }),
        ),
        ("empty", json!({ "version": "", "cluster_name": "", "cluster_id": "" })),
    ] {
        for server in [OPENBAO, VAULT] {
            let health = health::parse(with_members(recorded(server), &absent)).expect(what);
            assert_eq!(Release::of(&health).version(), None, "{what}");
            assert!(!health.is_of_another_cluster("a"), "{what}");
        }
    }
    let mut body = recorded(VAULT);
    body.as_object_mut()
        .expect("an object")
        .retain(|name, _| !matches!(name.as_str(), "version" | "cluster_name" | "cluster_id"));
    assert_eq!(Release::of(&health::parse(body).expect("health")).version(), None);
}

#[test]
fn a_hidden_cluster_name_keeps_the_identity_of_the_cluster() {
    let health = health::parse(with_members(
        recorded(VAULT),
        &json!({ "version": "", "cluster_name": "" }),
    ));
    assert!(health.expect("health").is_of_another_cluster("another"));
}

/// The reply to a request for help about clients, shortened.
fn help(version: &str, fields: &[&str]) -> Value {
    let fields: String = fields
        .iter()
        .map(|field| format!("    {field} (bool)\n\n        …\n\n"))
        .collect();
    let help = format!("Request:        oidc/client/name\n\n## PARAMETERS\n\n{fields}## DESCRIPTION\n\n…");
    json!({ "help": help, "openapi": { "info": { "title": "OpenBao API", "version": version } } })
}

#[test]
fn help_shows_the_version_and_the_fields_for_grants() {
    let parsed = |version: &str, documents_grants| Help {
        version: version.parse().expect("short"),
        documents_grants,
    };
    let newer = ["authorization_code", "client_credentials", "redirect_uris"];
    let cases = [
        (help("2.7.2", &newer), parsed("2.7.2", Some(true))),
        (help("2.4.1", &newer[2..]), parsed("2.4.1", Some(false))),
        (help("", &newer), parsed("", Some(true))),
        (help("2.7.2", &["rotation_period"]), parsed("2.7.2", None)),
        (json!({ "data": { "client_credentials": true } }), parsed("", None)),
        (json!({ "help": null, "openapi": null }), parsed("", None)),
        (help(&"9".repeat(65), &newer), parsed("", Some(true))),
        (json!([]), parsed("", None)),
    ];
    for (body, expected) in cases {
        assert_eq!(Help::parse(&body), expected, "{body}");
    }
}

#[test]
fn what_a_server_hides_is_learnt_after_the_login() {
    let grants = &[Capability::ClientCredentials][..];
    let shown = |version: &str, documents_grants| {
        let version = version.parse().expect("short");
        Some(Help {
            version,
            documents_grants,
        })
    };
    type Learnt<'a> = (Option<&'a str>, &'a [Capability]);
    type Case<'a> = (Option<bool>, Option<&'a str>, Option<Help>, Learnt<'a>);
    let cases: [Case; 11] = [
        // Only the login counts.
        (Some(false), Some("1.19.5"), None, (Some("1.19.5"), &[])),
        (Some(true), Some("1.19.5+ent"), None, (Some("1.19.5+ent"), &[])),
        (None, Some("2.7.2"), None, (Some("2.7.2"), grants)),
        (None, Some("2.4.1"), None, (Some("2.4.1"), &[])),
        // The login shows no more.
        (Some(false), Some(""), None, (None, &[])),
        (None, None, None, (None, grants)),
        (None, Some(""), shown("2.7.2", Some(true)), (Some("2.7.2"), grants)),
        (None, Some(""), shown("", Some(true)), (None, grants)),
        (None, Some(""), shown("", Some(false)), (None, &[])),
        (None, None, shown("(hidden)", Some(false)), (None, &[])),
        (None, None, shown("", None), (None, grants)),
    ];
    for (enterprise, health, help, (version, capabilities)) in cases {
        let health = health.map(|version| with(version, enterprise));
        for hidden in HIDDEN {
            let learnt = release(hidden, enterprise).after_login(health.as_ref(), help.as_ref());
            assert_eq!(learnt.version(), version, "{hidden:?} {health:?} {help:?}");
            assert_eq!(learnt.capabilities(), capabilities, "{hidden:?} {health:?} {help:?}");
        }
    }
    let old = release("", None).after_login(Some(&with("1.9.2", None)), None);
    assert!(!old.is_provider());
}

/// A server without namespaces ignores the namespace of a request.
#[test]
fn openbao_has_namespaces_from_2_3_on_and_vault_in_its_enterprise_edition() {
    let cases = [
        ("1.19.5", Some(false), Some(false)),
        ("2.5.0", Some(false), Some(false)),
        ("1.19.5+ent", Some(true), Some(true)),
        ("1.12.0+ent", None, Some(true)),
        ("1.9.3+ent.hsm", None, Some(true)),
        ("1.12.0", None, Some(false)),
        ("2.2.9", None, Some(false)),
        ("2.3.0", None, Some(true)),
        ("2.7.2", None, Some(true)),
        ("", Some(false), Some(false)),
        ("", Some(true), Some(true)),
        ("", None, None),
        ("unknown", None, None),
    ];
    for (version, enterprise, expected) in cases {
        assert_eq!(
            release(version, enterprise).has_namespaces(),
            expected,
            "{version} {enterprise:?}"
        );
    }
}

#[test]
fn older_versions_of_openbao_lack_something_in_namespaces() {
    use Limit::{DefaultKey, Rotation};
    let (openbao, vault, enterprise) = (None, Some(false), Some(true));
    let cases: [(&str, Option<bool>, &[Limit]); 16] = [
        ("2.3.0", openbao, &[Rotation, DefaultKey]),
        ("2.5.0", openbao, &[Rotation, DefaultKey]),
        ("2.5.1", openbao, &[Rotation, DefaultKey]),
        ("2.5", openbao, &[Rotation, DefaultKey]),
        ("2.5.2", openbao, &[DefaultKey]),
        ("2.5.10", openbao, &[DefaultKey]),
        ("2.6.1", openbao, &[DefaultKey]),
        ("v2.6.1-hsm", openbao, &[DefaultKey]),
        ("2.6.2", openbao, &[]),
        ("2.7.2", openbao, &[]),
        ("3.0.0", openbao, &[]),
        ("1.19.5", vault, &[]),
        ("2.0.0", vault, &[]),
        ("1.19.5+ent", enterprise, &[]),
        ("1.12.0+ent", openbao, &[]),
        ("", openbao, &[]),
    ];
    for (version, enterprise, expected) in cases {
        let limits = release(version, enterprise).limits_in_namespaces();
        assert_eq!(limits, expected, "{version} {enterprise:?}");
    }
    let learnt = release("", None).after_login(Some(&with("2.6.1", None)), None);
    assert_eq!(learnt.limits_in_namespaces(), [DefaultKey]);
}

/// What a server without namespaces answers to a request in one: it answers as if none were requested.
#[tokio::test]
async fn namespaces_are_found_by_a_request_in_one_that_cannot_exist() {
    let document = json!({ "issuer": "https://id.example.com" });
    let cases = [
        (json_reply(200, &document), Ok(false)),
        (errors_reply(404, &["namespace not found"]), Ok(true)),
        (
            errors_reply(404, &["no handler for route \"sys/identity\". route entry not found."]),
            Ok(true),
        ),
        (errors_reply(404, &[]), Err(super::status(404, ""))),
        (html(404), Err(super::proxied(404))),
        (errors_reply(403, &["permission denied"]), Err(Failure::Refused(403))),
    ];
    for (reply, expected) in cases {
        let (server, vault) = always(reply.clone()).await;
        vault.http().breaker().open(None);
        assert_eq!(vault.has_namespaces().await, expected, "{reply:?}");
        let requests = server.received_requests().await.unwrap_or_default();
        let [request] = requests.as_slice() else {
            unreachable!("{requests:?}")
        };
        let expected = "/v1/identity/oidc/provider/default/.well-known/openid-configuration";
        assert_eq!((request.method.as_str(), request.url.path()), ("GET", expected));
        assert_eq!(header(request, "X-Vault-Namespace").as_deref(), Some("sys"));
        assert_eq!(header(request, "X-Vault-Token"), None);
    }
}

#[tokio::test]
async fn after_the_login_health_and_help_are_requested_with_the_token_in_the_right_namespace() {
    let (server, fake) = Fake::start(Rules {
        other: json_reply(200, &help("2.7.2", &["client_credentials", "redirect_uris"])),
        health: json_reply(200, &recorded(VAULT)),
        ..Rules::default()
    })
    .await;
    let vault = super::within(&server, super::given(), "team", "team");
    vault.session().keep().await.expect("a login");
    vault.http().breaker().open(None);
    let shown = vault.session().health().await;
    assert_eq!(shown, Ok(with("1.19.5", Some(false))));
    let shown = vault.help().await.expect("help");
    assert_eq!((&*shown.version, shown.documents_grants), ("2.7.2", Some(true)));
    let requests = server.received_requests().await.unwrap_or_default();
    let [.., health, help] = requests.as_slice() else {
        unreachable!("{requests:?}")
    };
    for (request, path, namespace) in [
        (health, "/v1/sys/health", None),
        (help, "/v1/identity/oidc/client/name", Some("team")),
    ] {
        assert_eq!((request.method.as_str(), request.url.path()), ("GET", path));
        assert_eq!(header(request, "X-Vault-Token").as_deref(), Some(super::GIVEN));
        assert_eq!(header(request, "X-Vault-Namespace").as_deref(), namespace);
    }
    assert_eq!(help.url.query(), Some("help=1"));
    fake.rule(|rules| rules.other = errors_reply(404, &[]));
    assert_eq!(vault.help().await, Err(super::status(404, "")));
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
        ("haunhealthycode", "200"),
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
