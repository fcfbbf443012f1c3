//! A secret is tried at the revocation endpoint, in the way of the client's authentication method.

use oidc_operator::admin::http::{Failure, Settings};
use oidc_operator::admin::hydra::revocation::{SentIn, is_secret_of};
use oidc_operator::error::Outage;
use oidc_operator::secret::Secret;
use wiremock::MockServer;
use wiremock::ResponseTemplate;

use crate::{always, error_reply, html, http};

const ID: &str = "shop:1";
const SECRET: &str = "geheim%+ &";

async fn tried(reply: ResponseTemplate, sent_in: SentIn) -> (Result<bool, Failure>, MockServer) {
    let (server, _) = always(reply).await;
    let public = http(&server.uri(), &Settings::default());
    let result = is_secret_of(&public, ID, &Secret::new(SECRET.to_owned()), sent_in).await;
    (result, server)
}

#[tokio::test]
async fn only_200_and_401_say_whether_a_secret_is_right() {
    let table = [
        (ResponseTemplate::new(200), Ok(true)),
        (error_reply(401, "invalid_client"), Ok(false)),
        (html(403), Err(Failure::Refused(403))),
        (html(503), Err(Failure::Outage(Outage::Status(503, None)))),
    ];
    for (reply, expected) in table {
        assert_eq!(tried(reply, SentIn::Header).await.0, expected);
    }
    for reply in [html(404), error_reply(400, "invalid_request"), html(302)] {
        assert!(tried(reply, SentIn::Header).await.0.is_err());
    }
}

#[tokio::test]
async fn the_secret_is_sent_as_the_client_would_send_it() {
    let (_, server) = tried(ResponseTemplate::new(200), SentIn::Header).await;
    let requests = server.received_requests().await.unwrap_or_default();
    let [request] = requests.as_slice() else {
        unreachable!("one request")
    };
    assert_eq!(request.url.path(), "/oauth2/revoke");
    // `shop%3A1:geheim%25%2B+%26`
    let basic = "Basic c2hvcCUzQTE6Z2VoZWltJTI1JTJCKyUyNg==";
    assert_eq!(
        request.headers.get("authorization").and_then(|v| v.to_str().ok()),
        Some(basic)
    );
    assert_eq!(request.body, b"token=none");

    let (_, server) = tried(ResponseTemplate::new(200), SentIn::Body).await;
    let requests = server.received_requests().await.unwrap_or_default();
    let [request] = requests.as_slice() else {
        unreachable!("one request")
    };
    assert!(request.headers.get("authorization").is_none());
    assert_eq!(
        request.body,
        b"token=none&client_id=shop%3A1&client_secret=geheim%25%2B+%26"
    );

    let methods = [
        ("", Some(SentIn::Header)),
        ("client_secret_basic", Some(SentIn::Header)),
        ("client_secret_post", Some(SentIn::Body)),
        ("none", None),
        ("private_key_jwt", None),
    ];
    for (method, expected) in methods {
        assert_eq!(SentIn::of(method), expected, "{method}");
    }
}
