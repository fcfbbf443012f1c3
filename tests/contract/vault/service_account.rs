//! A login with a ServiceAccount token, which the operator requests after it has asked which tokens must not be sent.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oidc_operator::admin::http::Failure;
use oidc_operator::admin::vault::login::Jwt;
use oidc_operator::admin::vault::{Login, Scope, Vault};
use oidc_operator::cluster::Cluster;
use oidc_operator::error::{ClusterFault, Error, LoginFault, Outage, Untold};
use oidc_operator::leader::Fence;
use oidc_operator::login::Unsafe;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::fake::{Fake, Rules};
use super::vault;
use crate::{json_reply, received};

/// The audience of the Kubernetes API.
const API: &str = "https://kubernetes.default.svc";

async fn read(vault: &Vault) -> Result<Option<Scope>, Failure> {
    vault.read("s").await
}

/// How a Kubernetes API answers.
struct Kubernetes {
    /// Reply to a SelfSubjectReview.
    review: ResponseTemplate,
    /// Reply to a token request without audiences.
    audiences: ResponseTemplate,
    /// Reply to a token request with audiences.
    token: ResponseTemplate,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Kubernetes {
            review: review("system:serviceaccount:operator-ns:operator"),
            audiences: token(&[API], "geheim-for-the-api"),
            token: token(&["vault", "other"], "geheim-issued"),
        }
    }
}

impl Respond for Kubernetes {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = request.body_json().unwrap_or_default();
        let spec = json!({ "audiences": ["vault", "other"], "expirationSeconds": 600 });
        match (request.method.as_str(), request.url.path()) {
            ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews") => self.review.clone(),
            ("POST", "/api/v1/namespaces/operator-ns/serviceaccounts/login/token") => match &body["spec"] {
                asked if *asked == spec => self.token.clone(),
                asked if asked["audiences"].as_array().is_none_or(Vec::is_empty) => self.audiences.clone(),
                _ => ResponseTemplate::new(418),
            },
            _ => ResponseTemplate::new(418),
        }
    }
}

impl Kubernetes {
    /// Starts the API. Returns it, and a cluster that uses it.
    async fn start(self) -> (MockServer, Cluster) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let api = MockServer::start().await;
        Mock::given(any()).respond_with(self).mount(&api).await;
        let config = kube::Config::new(api.uri().parse().expect("a URL"));
        let client = kube::Client::try_from(config).expect("a client");
        (api, Cluster::new(client, Fence::open()))
    }
}

fn review(user: &str) -> ResponseTemplate {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
        "status": { "userInfo": { "username": user } },
    });
    json_reply(201, &review)
}

fn token(audiences: &[&str], token: &str) -> ResponseTemplate {
    let made = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
        "spec": { "audiences": audiences, "expirationSeconds": 600 },
        "status": { "token": token, "expirationTimestamp": "2026-01-01T00:10:00Z" },
    });
    json_reply(201, &made)
}

fn refusal(code: u16, reason: &str) -> ResponseTemplate {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": "no", "reason": reason, "code": code,
    });
    json_reply(code, &status)
}

fn issued_to(cluster: Cluster, name: &str, audiences: &[&str]) -> Login {
    let jwt = Jwt::Issued {
        cluster,
        namespace: "operator-ns".to_owned(),
        name: name.to_owned(),
        audiences: audiences.iter().copied().map(str::to_owned).collect(),
    };
    Login::Kubernetes("kubernetes".to_owned(), "operator".to_owned(), jwt)
}

fn issued(cluster: Cluster) -> Login {
    issued_to(cluster, "login", &["vault", "other"])
}

/// Bodies of the logins that a Vault received.
async fn sent(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap_or_default();
    let logins = requests.iter().filter(|request| request.url.path().ends_with("/login"));
    logins.filter_map(|request| request.body_json().ok()).collect()
}

#[tokio::test]
async fn each_login_gets_a_new_service_account_token_for_its_audiences() {
    let (api, cluster) = Kubernetes::default().start().await;
    let (server, fake) = Fake::start(Rules::default()).await;
    let vault = vault(&server, issued(cluster));
    for _ in 0..2 {
        assert!(read(&vault).await.is_ok());
        assert!(read(&vault).await.is_ok());
        fake.kill();
    }
    // The accepted audiences and the operator's user name are requested once for both.
    assert_eq!(received(&api).await, 4);
    let bodies = sent(&server).await;
    assert_eq!(bodies, vec![json!({ "role": "operator", "jwt": "geheim-issued" }); 2]);
}

/// For each answer of the Kubernetes API and each requested token: the failure, and whether anything was sent.
#[tokio::test]
async fn a_token_for_the_api_or_of_the_operator_itself_is_never_sent() {
    let untold = LoginFault::Untold;
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let lie = json!({ "sub": "system:serviceaccount:operator-ns:login", "aud": ["vault", API] }).to_string();
    let lie = format!("{}.{}.{}", part("{}"), part(&lie), part("geheim"));
    let ok = Kubernetes::default;
    let cases = [
        (
            ok(),
            "operator",
            vec!["vault"],
            LoginFault::Account(Unsafe::OwnAccount),
            1, // no token is requested
        ),
        (ok(), "login", vec![API], LoginFault::Account(Unsafe::ApiAudience), 2),
        (
            ok(),
            "login",
            vec!["vault", API],
            LoginFault::Account(Unsafe::ApiAudience),
            2,
        ),
        (
            Kubernetes {
                audiences: token(&["other", API], "geheim-for-the-api"),
                ..ok()
            },
            "login",
            vec!["vault", "other"],
            LoginFault::Account(Unsafe::ApiAudience),
            2,
        ),
        // The issued token counts, not the request.
        (
            Kubernetes {
                token: token(&["vault", API], &lie),
                ..ok()
            },
            "login",
            vec!["vault", "other"],
            LoginFault::Account(Unsafe::ApiAudience),
            3,
        ),
        // Nothing is sent while the answer of the API is missing.
        (
            Kubernetes {
                audiences: token(&[], "geheim-for-the-api"),
                ..ok()
            },
            "login",
            vec!["vault", "other"],
            untold(Untold::Audiences),
            2,
        ),
        (
            Kubernetes {
                review: refusal(403, "Forbidden"),
                ..ok()
            },
            "login",
            vec!["vault", "other"],
            untold(Untold::Operator),
            1,
        ),
        (
            Kubernetes {
                review: refusal(404, "NotFound"),
                ..ok()
            },
            "login",
            vec!["vault", "other"],
            untold(Untold::Operator),
            1,
        ),
        (
            Kubernetes {
                review: review(""),
                ..ok()
            },
            "login",
            vec!["vault", "other"],
            untold(Untold::Operator),
            1,
        ),
        (
            Kubernetes {
                audiences: refusal(404, "NotFound"),
                ..ok()
            },
            "login",
            vec!["vault", "other"],
            untold(Untold::NoAccount),
            2,
        ),
        (
            Kubernetes {
                audiences: refusal(403, "Forbidden"),
                ..ok()
            },
            "login",
            vec!["vault", "other"],
            untold(Untold::NotGranted),
            2,
        ),
    ];
    for (kubernetes, name, audiences, expected, asked) in cases {
        let (api, cluster) = kubernetes.start().await;
        let (server, _fake) = Fake::start(Rules::default()).await;
        let vault = vault(&server, issued_to(cluster, name, &audiences));
        assert_eq!(read(&vault).await, Err(Failure::NotSent(expected.clone())));
        // No other request asks the API.
        let waiting = futures::future::join_all((0..50).map(|_| read(&vault))).await;
        let known = Err(Failure::Outage(Outage::Known));
        assert!(
            waiting.iter().all(|failed| *failed == known),
            "{expected:?}: {waiting:?}"
        );
        let counts = (received(&api).await, received(&server).await);
        assert_eq!(counts, (asked, 0), "{name} for {audiences:?}: {expected:?}");
    }
}

/// A failing Kubernetes API says nothing about the Vault and its login.
#[tokio::test]
async fn a_failing_kubernetes_api_is_waited_for() {
    let trouble = || refusal(500, "InternalError");
    let ok = Kubernetes::default;
    for kubernetes in [
        Kubernetes {
            review: trouble(),
            ..ok()
        },
        Kubernetes {
            audiences: trouble(),
            ..ok()
        },
        Kubernetes {
            token: trouble(),
            ..ok()
        },
    ] {
        let (_api, cluster) = kubernetes.start().await;
        let (server, _fake) = Fake::start(Rules::default()).await;
        let vault = vault(&server, issued(cluster));
        assert_eq!(read(&vault).await, Err(Failure::Outage(Outage::Busy)));
        assert!(!vault.http().breaker().is_open());
        assert_eq!(received(&server).await, 0);
    }
}

/// Checks a value of a Secret before it is sent to a server.
async fn checked(cluster: &Cluster, value: &str) -> Result<(), Error> {
    let secret = json!({ "metadata": { "name": "mine" }, "type": "Opaque" });
    let secret = serde_json::from_value(secret).expect("a Secret");
    cluster.check_value(&secret, "token", value).await
}

fn jwt(claims: &Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part("{}"), part(&claims.to_string()), part("geheim"))
}

#[tokio::test]
async fn a_value_without_a_token_is_allowed_without_a_request() {
    let (api, cluster) = Kubernetes::default().start().await;
    for cluster in [
        cluster.clone().with_login_account("operator-ns", Some("login")),
        cluster,
    ] {
        for value in ["a password", "hvs.CAESIJ7.geheim", ""] {
            assert_eq!(checked(&cluster, value).await, Ok(()), "{value}");
        }
    }
    assert_eq!(received(&api).await, 0);
}

#[tokio::test]
async fn a_token_in_a_secret_is_allowed_only_if_the_accepted_audiences_are_known() {
    let for_vault = jwt(&json!({ "sub": "alice", "aud": "vault" }));
    let for_api = jwt(&json!({ "sub": "alice", "aud": API }));
    let refused = |why| LoginFault::Secret {
        secret: "mine".to_owned(),
        key: "token".to_owned(),
        why,
    };
    let untold = |why| {
        Err(Error::from(LoginFault::SecretUntold {
            secret: "mine".to_owned(),
            key: "token".to_owned(),
            why,
        }))
    };
    let ok = Kubernetes::default;
    let down = || Kubernetes {
        audiences: refusal(500, "InternalError"),
        ..ok()
    };
    let cases = [
        (ok(), Some("login"), &for_vault, Ok(())),
        (ok(), Some("login"), &for_api, Err(refused(Unsafe::ApiAudience).into())),
        (ok(), None, &for_vault, untold(Untold::NoAccount)),
        (
            Kubernetes {
                audiences: refusal(403, "Forbidden"),
                ..ok()
            },
            Some("login"),
            &for_vault,
            untold(Untold::NotGranted),
        ),
        (
            Kubernetes {
                audiences: refusal(404, "NotFound"),
                ..ok()
            },
            Some("login"),
            &for_vault,
            untold(Untold::NoAccount),
        ),
        (
            Kubernetes {
                review: refusal(403, "Forbidden"),
                ..ok()
            },
            Some("login"),
            &for_vault,
            untold(Untold::Operator),
        ),
        (
            Kubernetes {
                audiences: token(&[], "geheim-for-the-api"),
                ..ok()
            },
            Some("login"),
            &for_vault,
            untold(Untold::Audiences),
        ),
        (
            down(),
            Some("login"),
            &for_vault,
            Err(Error::Cluster(ClusterFault::Status(500))),
        ),
    ];
    for (kubernetes, account, value, expected) in cases {
        let (_api, cluster) = kubernetes.start().await;
        let cluster = cluster.with_login_account("operator-ns", account);
        assert_eq!(checked(&cluster, value).await, expected);
    }
}
