//! The login with each auth method, and the failures of a refused login.

use std::sync::Arc;
use std::time::Duration;

use oidc_operator::admin::http::Failure;
use oidc_operator::admin::vault::login::Jwt;
use oidc_operator::admin::vault::session::NO_NAMESPACE;
use oidc_operator::admin::vault::{Login, Scope, Session, Vault};
use oidc_operator::error::Outage;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::fake::{Fake, Rules, asked, count, header};
use super::{app_role, errors_reply, given, secret, vault, within};
use crate::{html, json_reply, received};

const LOGIN: &str = "POST auth/approle/login";

fn s(text: &str) -> String {
    text.to_owned()
}

fn held() -> Jwt {
    Jwt::Held(secret("geheim-jwt"))
}

/// Each way to log in, with the path and the body of its request.
fn logins() -> Vec<(Login, &'static str, Value)> {
    vec![
        (
            Login::Kubernetes(s("kubernetes"), s("operator"), held()),
            "/v1/auth/kubernetes/login",
            json!({ "role": "operator", "jwt": "geheim-jwt" }),
        ),
        (
            Login::Kubernetes(s("clusters/a b"), s("operator"), held()),
            "/v1/auth/clusters/a%20b/login",
            json!({ "role": "operator", "jwt": "geheim-jwt" }),
        ),
        (
            Login::Jwt(s("jwt"), Some(s("operator")), held()),
            "/v1/auth/jwt/login",
            json!({ "role": "operator", "jwt": "geheim-jwt" }),
        ),
        (
            Login::Jwt(s("jwt"), None, held()),
            "/v1/auth/jwt/login",
            json!({ "jwt": "geheim-jwt" }),
        ),
        (
            app_role(),
            "/v1/auth/approle/login",
            json!({ "role_id": "operator", "secret_id": "geheim-id" }),
        ),
        (
            Login::Certificate(s("cert"), Some(s("operator"))),
            "/v1/auth/cert/login",
            json!({ "name": "operator" }),
        ),
        (Login::Certificate(s("cert"), None), "/v1/auth/cert/login", json!({})),
    ]
}

#[tokio::test]
async fn each_auth_method_gets_its_credentials_and_no_token() {
    for namespace in ["", "team1", "org/team1"] {
        for (login, expected, body) in logins() {
            let (server, _fake) = Fake::start(Rules::default()).await;
            let context = format!("{expected}, namespace {namespace:?}");
            let vault = within(&server, login, "", namespace);
            assert!(vault.session().keep().await.is_ok(), "{context}");
            let requests = server.received_requests().await.unwrap_or_default();
            assert_eq!(requests.len(), 1, "{context}");
            let request = &requests[0];
            let line = (request.method.as_str(), request.url.path());
            assert_eq!(line, ("POST", expected), "{context}");
            assert_eq!(request.body_json::<Value>().ok().as_ref(), Some(&body), "{context}");
            let sent = |name| header(request, name);
            assert_eq!(sent("Content-Type").as_deref(), Some("application/json"), "{context}");
            assert_eq!(sent("X-Vault-Token"), None, "{context}");
            let within = Some(namespace).filter(|namespace| !namespace.is_empty());
            assert_eq!(sent("X-Vault-Namespace").as_deref(), within, "{context}");
        }
    }
}

#[test]
fn a_login_is_described_without_its_secrets() {
    let described = logins().into_iter().map(|(login, ..)| {
        let http = Arc::new(crate::http("http://127.0.0.1:1", &Default::default()));
        Session::new(http, login, "").describe()
    });
    let expected = [
        "Kubernetes role operator",
        "Kubernetes role operator",
        "JWT role operator",
        "JWT",
        "AppRole",
        "Certificate role operator",
        "Certificate",
    ];
    assert_eq!(described.collect::<Vec<_>>(), expected);
}

/// Status and text of servers that refuse a login, and a part of the problem that the operator reports.
const REFUSALS: [(u16, &str, &str); 19] = [
    // Kubernetes, and any auth method that does not exist.
    (
        403,
        "invalid audience (aud) claim: audience claim does not match",
        "refused",
    ),
    (403, "service account name not authorized", "refused"),
    (403, "namespace not authorized", "refused"),
    (403, "permission denied", "refused"),
    (400, r#"invalid role name "operator""#, "no such role"),
    // JWT
    (
        400,
        "error validating token: invalid audience (aud) claim: audience claim does not match any bound audience",
        "token is not accepted",
    ),
    (
        400,
        "error validating token: invalid subject (sub) claim",
        "token is not accepted",
    ),
    (
        400,
        "error validating token: invalid issuer (iss) claim",
        "token is not accepted",
    ),
    (
        400,
        "error validating token: token is expired (exp)",
        "token is not accepted",
    ),
    (
        400,
        "error validating claims: claim \"team\" is missing",
        "token is not accepted",
    ),
    (400, r#"role "operator" could not be found"#, "no such role"),
    // AppRole
    (400, "invalid role or secret ID", "secret id"),
    // Certificate
    (400, "no client certificate found", "client certificate"),
    (
        400,
        "no chain matching all constraints could be found for this login certificate",
        "client certificate",
    ),
    (
        400,
        "invalid certificate or no client certificate supplied",
        "client certificate",
    ),
    // The namespace
    (404, "namespace not found", NO_NAMESPACE),
    (
        404,
        "no handler for route \"team1/auth/approle/login\". route entry not found.",
        NO_NAMESPACE,
    ),
    // Unknown texts
    (400, "no", "not accepted"),
    (404, "1 error occurred:\n\t* unsupported path\n\n", "refused"),
];

async fn read(vault: &Vault) -> Result<Option<Scope>, Failure> {
    vault.read("s").await
}

#[tokio::test]
async fn a_refused_login_fails_and_is_not_tried_by_other_requests() {
    for (code, text, expected) in REFUSALS {
        let (server, fake) = Fake::start(Rules::default()).await;
        fake.rule(|rules| rules.login = Some(errors_reply(code, &[text])));
        let vault = vault(&server, app_role());
        match read(&vault).await {
            Err(Failure::NoLogin(problem)) => assert!(problem.contains(expected), "{text}: {problem}"),
            other => panic!("{text}: {other:?}"),
        }
        assert!(vault.http().breaker().is_open(), "{text}");
        let known = Err(Failure::Outage(Outage::Known));
        for _ in 0..3 {
            assert_eq!(read(&vault).await, known, "{text}");
        }
        assert_eq!(asked(&server).await, [LOGIN], "{text}");
        // The pass that keeps the login is not blocked.
        let again = vault.session().keep().await;
        assert!(matches!(again, Err(Failure::NoLogin(_))), "{text}: {again:?}");
        assert_eq!(asked(&server).await, [LOGIN, LOGIN], "{text}");
    }
}

#[tokio::test]
async fn a_refused_token_fails_the_login() {
    let (server, fake) = Fake::start(Rules::default()).await;
    fake.kill();
    let vault = vault(&server, given());
    let failed = read(&vault).await;
    assert!(
        matches!(failed, Err(Failure::NoLogin(problem)) if problem.contains("token is refused")),
        "{failed:?}"
    );
    assert!(vault.http().breaker().is_open());
    assert_eq!(read(&vault).await, Err(Failure::Outage(Outage::Known)));
    assert_eq!(received(&server).await, 1);
}

#[tokio::test]
async fn one_of_many_waiting_requests_gets_the_refusal_and_the_rest_a_known_outage() {
    let (server, fake) = Fake::start(Rules::default()).await;
    fake.rule(|rules| rules.login = Some(errors_reply(400, &["invalid role or secret ID"])));
    let vault = vault(&server, app_role());
    let results = futures::future::join_all((0..50).map(|_| read(&vault))).await;
    let told = |result: &&Result<_, Failure>| matches!(result, Err(Failure::NoLogin(_)));
    assert_eq!(results.iter().filter(told).count(), 1, "{results:?}");
    let known = |result: &&Result<_, Failure>| matches!(result, Err(Failure::Outage(Outage::Known)));
    assert_eq!(results.iter().filter(known).count(), 49, "{results:?}");
    assert_eq!(asked(&server).await, [LOGIN]);
}

#[tokio::test]
async fn a_login_works_as_soon_as_it_is_accepted() {
    let (server, fake) = Fake::start(Rules::default()).await;
    fake.rule(|rules| rules.login = Some(errors_reply(403, &["permission denied"])));
    let vault = vault(&server, app_role());
    assert!(read(&vault).await.is_err());
    fake.rule(|rules| rules.login = None);
    assert!(vault.session().keep().await.is_ok());
    vault.http().breaker().close();
    assert!(read(&vault).await.is_ok());
    assert_eq!(count(&server, "GET identity/oidc/scope/s as geheim-1").await, 1);
}

/// A failing server has not refused the login.
#[tokio::test]
async fn a_login_that_fails_with_the_server_is_a_failure_of_the_server() {
    let outage = |code| Failure::Outage(Outage::Status(code, None));
    let cases = [
        (
            errors_reply(500, &["could not load backend configuration"]),
            outage(500),
        ),
        (errors_reply(503, &["Vault is sealed"]), outage(503)),
        (
            errors_reply(429, &["rate limit quota exceeded"]).insert_header("Retry-After", "60"),
            Failure::Outage(Outage::Limited(Duration::from_secs(60))),
        ),
        (html(200), Failure::Reply("is not JSON")),
        (html(307), Failure::Reply("is a redirect")),
        (json_reply(200, &json!({})), Failure::Reply("holds no token")),
        (
            json_reply(200, &json!({ "auth": null })),
            Failure::Reply("holds no token"),
        ),
        (
            json_reply(200, &json!({ "auth": { "client_token": null } })),
            Failure::Reply("holds no token"),
        ),
        (ResponseTemplate::new(204), Failure::Reply("holds no token")),
    ];
    for (reply, expected) in cases {
        let (server, fake) = Fake::start(Rules::default()).await;
        fake.rule(|rules| rules.login = Some(reply.clone()));
        let vault = vault(&server, app_role());
        assert_eq!(read(&vault).await, Err(expected), "{reply:?}");
        assert_eq!(asked(&server).await, [LOGIN], "{reply:?}");
    }
}
