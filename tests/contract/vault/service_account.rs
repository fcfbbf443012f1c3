//! A login with a token of a ServiceAccount, which the Kubernetes API makes.

use oidc_operator::admin::http::Failure;
use oidc_operator::admin::vault::login::Jwt;
use oidc_operator::admin::vault::{Login, Scope, Vault};
use oidc_operator::cluster::Cluster;
use oidc_operator::error::Outage;
use oidc_operator::leader::Fence;
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::fake::{Fake, Rules};
use super::vault;
use crate::{json_reply, received};

async fn read(vault: &Vault) -> Result<Option<Scope>, Failure> {
    vault.read("s").await
}

/// A Kubernetes API that makes tokens of ServiceAccounts, or does not.
async fn kubernetes(reply: ResponseTemplate) -> (MockServer, Cluster) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let api = MockServer::start().await;
    let request = json!({ "spec": { "audiences": ["vault", "other"], "expirationSeconds": 600 } });
    Mock::given(method("POST"))
        .and(path("/api/v1/namespaces/operator-ns/serviceaccounts/operator/token"))
        .and(body_partial_json(request))
        .respond_with(reply)
        .mount(&api)
        .await;
    let config = kube::Config::new(api.uri().parse().expect("a URL"));
    let client = kube::Client::try_from(config).expect("a client");
    (api, Cluster::new(client, Fence::open()))
}

fn issued(cluster: Cluster) -> Login {
    let jwt = Jwt::Issued {
        cluster,
        namespace: "operator-ns".to_owned(),
        name: "operator".to_owned(),
        audiences: ["vault", "other"].map(str::to_owned).into(),
    };
    Login::Kubernetes("kubernetes".to_owned(), "operator".to_owned(), jwt)
}

#[tokio::test]
async fn a_token_of_a_service_account_is_made_for_each_login_and_for_its_audiences() {
    let token = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
        "spec": { "audiences": ["vault", "other"], "expirationSeconds": 600 },
        "status": { "token": "geheim-issued", "expirationTimestamp": "2026-01-01T00:10:00Z" },
    });
    let (api, cluster) = kubernetes(json_reply(201, &token)).await;
    let (server, fake) = Fake::start(Rules::default()).await;
    let vault = vault(&server, issued(cluster));
    for _ in 0..2 {
        assert!(read(&vault).await.is_ok());
        assert!(read(&vault).await.is_ok());
        fake.kill();
    }
    assert_eq!(received(&api).await, 2);
    let requests = server.received_requests().await.unwrap_or_default();
    let logins = requests.iter().filter(|request| request.url.path().ends_with("/login"));
    let bodies: Vec<Value> = logins.filter_map(|request| request.body_json().ok()).collect();
    assert_eq!(bodies, vec![json!({ "role": "operator", "jwt": "geheim-issued" }); 2]);
}

fn refusal(code: u16, reason: &str) -> ResponseTemplate {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": "no", "reason": reason, "code": code,
    });
    json_reply(code, &status)
}

#[tokio::test]
async fn without_a_token_of_the_service_account_there_is_no_login_and_nobody_else_asks_for_one() {
    let cases = [
        (refusal(404, "NotFound"), "no such ServiceAccount"),
        (refusal(403, "Forbidden"), "may not ask for tokens"),
    ];
    for (reply, expected) in cases {
        let (api, cluster) = kubernetes(reply).await;
        let (server, _fake) = Fake::start(Rules::default()).await;
        let vault = vault(&server, issued(cluster));
        let failed = read(&vault).await;
        assert!(
            matches!(failed, Err(Failure::NoLogin(problem)) if problem.contains(expected)),
            "{expected}: {failed:?}"
        );
        let waiting = futures::future::join_all((0..50).map(|_| read(&vault))).await;
        let known = Err(Failure::Outage(Outage::Known));
        assert!(waiting.iter().all(|failed| *failed == known), "{expected}: {waiting:?}");
        assert_eq!((received(&api).await, received(&server).await), (1, 0), "{expected}");
    }
}

/// A Kubernetes API in trouble says nothing of the Vault and its login.
#[tokio::test]
async fn a_kubernetes_api_that_fails_is_waited_for() {
    let (_api, cluster) = kubernetes(refusal(500, "InternalError")).await;
    let (server, _fake) = Fake::start(Rules::default()).await;
    let vault = vault(&server, issued(cluster));
    assert_eq!(read(&vault).await, Err(Failure::Outage(Outage::Busy)));
    assert!(!vault.http().breaker().is_open());
    assert_eq!(received(&server).await, 0);
}
