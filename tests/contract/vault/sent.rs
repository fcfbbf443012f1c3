//! Requests: whole objects, on the right paths, with the token and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use oidc_operator::admin::discovery;
use oidc_operator::admin::http::{Failure, Settings};
use oidc_operator::admin::vault::identity::IdentityType;
use oidc_operator::admin::vault::{Assignment, Client, Key, Login, Provider, Scope, Session, Vault};
use serde_json::{Value, json};
use wiremock::{MockServer, Request, ResponseTemplate};

use super::fake::header;
use super::{GIVEN, always, errors_reply, given, secret, within};
use crate::{json_reply, received};

fn set(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn key() -> Key {
    Key {
        algorithm: "ES256".to_owned(),
        rotation_period: 7200,
        verification_ttl: 0,
        allowed_client_ids: set(&["b", "a", "C", "a"]),
        kept_client_ids: set(&["b"]),
    }
}

fn assignment() -> Assignment {
    Assignment {
        entity_ids: set(&["2", "1", "2"]),
        group_ids: set(&[]),
    }
}

fn scope() -> Scope {
    Scope {
        description: String::new(),
        template: r#"{"groups": {{identity.entity.groups.names}}}"#.to_owned(),
    }
}

fn client(grants: Option<(bool, bool)>) -> Client {
    Client {
        key: "default".to_owned(),
        client_type: "confidential".to_owned(),
        redirect_uris: set(&["https://x/cb?a=1,2", "https://x/b"]),
        assignments: set(&["staff", "allow_all"]),
        id_token_ttl: 3600,
        access_token_ttl: 0,
        authorization_code: grants.map(|(code, _)| code),
        client_credentials: grants.map(|(_, credentials)| credentials),
        client_id: "an id".parse().ok(),
        client_secret: Some(secret("geheim-secret")),
    }
}

fn provider() -> Provider {
    Provider {
        issuer: Some(String::new()),
        allowed_client_ids: set(&["b", "a"]),
        kept_client_ids: set(&["b"]),
        scopes_supported: set(&[]),
        of_own_address: Some("https://known.example.com".to_owned()),
    }
}

/// Makes every kind of request that the operator sends with a token.
async fn everything(vault: &Vault, name: &str) {
    let _ = vault.read::<Key>(name).await;
    let _ = vault.list::<Assignment>().await;
    let _ = vault.write(name, &key()).await;
    let _ = vault.write(name, &assignment()).await;
    let _ = vault.write(name, &scope()).await;
    let _ = vault.write(name, &client(None)).await;
    let _ = vault.write(name, &provider()).await;
    let _ = vault.delete::<Client>(name).await;
    let _ = vault.rotate(name).await;
    let _ = vault.id_by_name(IdentityType::Entity, name).await;
    let _ = vault.id_by_name(IdentityType::Group, name).await;
    let _ = vault.id_by_alias(IdentityType::Entity, name, "accessor").await;
    let _ = vault.id_by_alias(IdentityType::Group, name, "accessor").await;
    let _ = vault.accessor("userpass").await;
}

/// The requests of [`everything`] with this name, below `/v1/`.
fn paths(name: &str) -> Vec<String> {
    let paths = [
        "GET identity/oidc/key/{}",
        "GET identity/oidc/assignment",
        "POST identity/oidc/key/{}",
        "POST identity/oidc/assignment/{}",
        "POST identity/oidc/scope/{}",
        "POST identity/oidc/client/{}",
        "POST identity/oidc/provider/{}",
        "DELETE identity/oidc/client/{}",
        "POST identity/oidc/key/{}/rotate",
        "GET identity/entity/name/{}",
        "GET identity/group/name/{}",
        "POST identity/lookup/entity",
        "POST identity/lookup/group",
        "GET sys/auth",
    ];
    paths.map(|path| path.replace("{}", name)).into()
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap_or_default()
}

fn asked(requests: &[Request]) -> Vec<String> {
    let all = requests.iter();
    all.map(|request| format!("{} {}", request.method, request.url.path().trim_start_matches("/v1/")))
        .collect()
}

#[tokio::test]
async fn every_write_has_every_field_and_sorted_lists() {
    let (server, vault) = always(ResponseTemplate::new(204)).await;
    let _ = vault.write("x", &key()).await;
    let _ = vault.write("x", &assignment()).await;
    let _ = vault.write("x", &scope()).await;
    let _ = vault.write("x", &client(None)).await;
    let _ = vault.write("x", &client(Some((true, false)))).await;
    let _ = vault.write("x", &client(Some((false, true)))).await;
    let _ = vault.write("x", &provider()).await;
    let _ = vault.rotate("x").await;
    let _ = vault.id_by_alias(IdentityType::Group, "alice", "auth_userpass_1").await;
    let expected = [
        json!({
            "algorithm": "ES256", "rotation_period": 7200, "verification_ttl": 0,
            "allowed_client_ids": ["C", "a", "b"],
        }),
        json!({ "entity_ids": ["1", "2"], "group_ids": [] }),
        json!({ "description": "", "template": r#"{"groups": {{identity.entity.groups.names}}}"# }),
        json!({
            "key": "default", "client_type": "confidential",
            "redirect_uris": ["https://x/b", "https://x/cb?a=1,2"], "assignments": ["allow_all", "staff"],
            "id_token_ttl": 3600, "access_token_ttl": 0,
        }),
        json!({
            "key": "default", "client_type": "confidential",
            "redirect_uris": ["https://x/b", "https://x/cb?a=1,2"], "assignments": ["allow_all", "staff"],
            "id_token_ttl": 3600, "access_token_ttl": 0,
            "authorization_code": true, "client_credentials": false,
        }),
        json!({
            "key": "default", "client_type": "confidential",
            "redirect_uris": ["https://x/b", "https://x/cb?a=1,2"], "assignments": ["allow_all", "staff"],
            "id_token_ttl": 3600, "access_token_ttl": 0,
            "authorization_code": false, "client_credentials": true,
        }),
        json!({ "issuer": "", "allowed_client_ids": ["a", "b"], "scopes_supported": [] }),
        json!({}),
        json!({ "alias_name": "alice", "alias_mount_accessor": "auth_userpass_1" }),
    ];
    let sent = requests(&server).await;
    let bodies: Vec<Value> = sent.iter().filter_map(|request| request.body_json().ok()).collect();
    assert_eq!(bodies, expected);
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter().any(holds_null),
        Value::Object(members) => members.values().any(holds_null),
        _ => false,
    }
}

/// A null member removes a value, and an omitted member keeps it.
#[tokio::test]
async fn no_body_contains_a_null_and_each_is_declared_as_json() {
    let (server, vault) = always(ResponseTemplate::new(204)).await;
    everything(&vault, "x").await;
    let sent = requests(&server).await;
    assert_eq!(asked(&sent), paths("x"));
    for request in &sent {
        let context = format!("{} {}", request.method, request.url);
        let content_type = header(request, "Content-Type");
        assert_eq!(
            header(request, "Accept").as_deref(),
            Some("application/json"),
            "{context}"
        );
        if request.method != "POST" {
            assert_eq!((content_type, request.body.len()), (None, 0), "{context}");
            continue;
        }
        assert_eq!(content_type.as_deref(), Some("application/json"), "{context}");
        let body: Value = request.body_json().expect("JSON");
        assert!(body.is_object() && !holds_null(&body), "{context}: {body}");
    }
}

#[tokio::test]
async fn every_request_carries_the_token_and_its_namespace_in_headers() {
    for (namespace, of_login) in [("", ""), ("team1", ""), ("", "team1"), ("org/team1", "org")] {
        let server = MockServer::start().await;
        let look_up = json_reply(200, &json!({ "data": { "ttl": 0 } }));
        super::answer(&server, look_up).await;
        let vault = within(&server, given(), namespace, of_login);
        everything(&vault, "x").await;
        let sent = requests(&server).await;
        let mut expected = vec!["GET auth/token/lookup-self".to_owned()];
        expected.extend(paths("x"));
        assert_eq!(asked(&sent), expected);
        for (index, request) in sent.iter().enumerate() {
            let context = format!("{namespace:?} {of_login:?} {} {}", request.method, request.url);
            assert_eq!(header(request, "X-Vault-Token").as_deref(), Some(GIVEN), "{context}");
            let named = if index == 0 { of_login } else { namespace };
            let named = Some(named).filter(|named| !named.is_empty());
            assert_eq!(header(request, "X-Vault-Namespace").as_deref(), named, "{context}");
        }
    }
}

/// An issuer is public: its namespace is in its path, where every user finds it, and no token is sent there.
#[tokio::test]
async fn discovery_and_keys_are_fetched_below_the_namespace_without_a_token() {
    for (namespace, below) in [
        ("", ""),
        ("team1", "team1/"),
        ("org/team1", "org/team1/"),
        ("a b", "a%20b/"),
    ] {
        let document = json!({ "issuer": "https://id.example.com", "keys": [] });
        let (server, _) = always(json_reply(200, &document)).await;
        let vault = within(&server, given(), namespace, "");
        let path = vault.provider_path("shop");
        let found = discovery::fetch_below(vault.http(), &path).await.expect("a document");
        assert_eq!(found.endpoints.issuer, "https://id.example.com");
        assert!(discovery::fetch_keys_below(vault.http(), &path).await.is_ok());
        let sent = requests(&server).await;
        let base = format!("GET {below}identity/oidc/provider/shop/.well-known");
        assert_eq!(
            asked(&sent),
            [format!("{base}/openid-configuration"), format!("{base}/keys")]
        );
        for request in &sent {
            let context = format!("{namespace}: {}", request.url);
            assert_eq!(header(request, "X-Vault-Token"), None, "{context}");
            assert_eq!(header(request, "X-Vault-Namespace"), None, "{context}");
        }
    }
}

#[tokio::test]
async fn a_name_is_one_path_segment_whatever_it_contains() {
    let names = [
        ("shop", "shop"),
        ("team-a.shop_1", "team-a.shop_1"),
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("../key/x", "..%2Fkey%2Fx"),
        ("a?list=true", "a%3Flist=true"),
        ("a#b", "a%23b"),
        ("100%", "100%25"),
        ("%2e%2e", "%252e%252e"),
        ("größe", "gr%C3%B6%C3%9Fe"),
    ];
    for (name, segment) in names {
        let (server, vault) = always(errors_reply(404, &[])).await;
        everything(&vault, name).await;
        let sent = requests(&server).await;
        assert_eq!(asked(&sent), paths(segment), "{name}");
        let queries = sent.iter().filter_map(|request| request.url.query());
        assert_eq!(queries.collect::<Vec<_>>(), ["list=true"], "{name}");
    }
}

#[tokio::test]
async fn a_name_that_no_path_can_hold_is_not_sent() {
    for name in ["", ".", "..", "a\nb", "a\tb"] {
        let (server, vault) = always(ResponseTemplate::new(204)).await;
        let refused = Failure::Reply("cannot be requested: the id cannot be part of a URL");
        assert_eq!(vault.write(name, &scope()).await, Err(refused.clone()), "{name:?}");
        assert_eq!(vault.delete::<Scope>(name).await, Err(refused.clone()), "{name:?}");
        assert_eq!(vault.rotate(name).await, Err(refused.clone()), "{name:?}");
        assert_eq!(vault.read::<Scope>(name).await, Err(refused.clone()), "{name:?}");
        let id = vault.id_by_name(IdentityType::Group, name).await;
        assert_eq!(id, Err(refused), "{name:?}");
        assert_eq!(received(&server).await, 0, "{name:?}");
    }
}

/// A candidate that is not the leader may read everything, with its own login.
#[tokio::test]
async fn a_closed_fence_lets_reads_and_the_login_pass_but_no_write() {
    use std::sync::Arc;

    use oidc_operator::admin::http::{Http, Settings};
    use oidc_operator::admin::vault::Session;
    use oidc_operator::leader::Election;
    use oidc_operator::metrics::Metrics;

    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, _fake) = super::fake::Fake::start(super::fake::Rules::default()).await;
    let config = kube::Config::new("http://127.0.0.1:1".parse().expect("a URL"));
    let candidate = Election::new(kube::Client::try_from(config).expect("a client"), "ns", "lease", "me");
    let (settings, metrics) = (Settings::default(), Arc::new(Metrics::default()));
    let http = Http::new("default", &server.uri(), &settings, candidate.fence(), metrics);
    let session = Session::new(Arc::new(http.expect("an endpoint")), super::app_role(), "");
    let vault = Vault::new(Arc::new(session), "");
    everything(&vault, "x").await;
    assert_eq!(vault.write("x", &scope()).await, Err(Failure::NotLeader));
    assert_eq!(vault.delete::<Scope>("x").await, Err(Failure::NotLeader));
    assert_eq!(vault.rotate("x").await, Err(Failure::NotLeader));
    vault.session().close().await;
    let reads = paths("x")
        .into_iter()
        .filter(|path| path.starts_with("GET") || path.contains("lookup"));
    let mut expected = vec!["POST auth/approle/login".to_owned()];
    expected.extend(reads);
    expected.push("POST auth/token/revoke-self".to_owned());
    assert_eq!(asked(&requests(&server).await), expected);
}

/// HashiCorp Vault 2 refuses a path with an empty segment. No server has a use for one.
#[tokio::test]
async fn a_path_with_an_empty_segment_is_never_sent() {
    for (namespace, of_login) in [("", ""), ("team1", "team1")] {
        let server = MockServer::start().await;
        let vault = within(&server, given(), namespace, of_login);
        everything(&vault, "").await;
        let _ = discovery::fetch_below(vault.http(), &vault.provider_path("")).await;
        for mount in ["", "/", "a//b", "a/", "/a"] {
            let login = Login::AppRole(mount.to_owned(), "operator".to_owned(), secret("geheim-id"));
            let failed = within(&server, login, namespace, of_login).session().keep().await;
            assert!(matches!(failed, Err(Failure::Reply(_))), "{mount:?}: {failed:?}");
        }
        for base in ["/", ""] {
            let http = crate::http(&format!("{}{base}", server.uri()), &Settings::default());
            let session = Session::new(Arc::new(http), given(), of_login);
            everything(&Vault::new(Arc::new(session), namespace), "name").await;
        }
        for path in ["team1//inner", "/team1", "team1/"] {
            let vault = within(&server, given(), path, of_login);
            let _ = discovery::fetch_below(vault.http(), &vault.provider_path("name")).await;
        }
        let requests = server.received_requests().await.unwrap_or_default();
        assert!(!requests.is_empty(), "nothing was sent at all");
        let empty = requests.iter().find(|request| request.url.path().contains("//"));
        assert_eq!(empty.map(|request| request.url.to_string()), None);
    }
}
