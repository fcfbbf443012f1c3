//! The device authorization grant (RFC 8628) in the login app, with Hydra's answers.

use reqwest::redirect;
use serde_json::json;
use testbed::login_app::LoginApp;
use wiremock::matchers::{body_json, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{error_reply, json_reply};

const ACCEPT: &str = "/admin/oauth2/auth/requests/device/accept";

async fn hydra(version: &str) -> MockServer {
    let server = MockServer::start().await;
    let answer = json_reply(200, &json!({ "version": version }));
    let mock = Mock::given(path("/version")).respond_with(answer);
    mock.mount(&server).await;
    server
}

async fn accepts(server: &MockServer, code: &str, answer: ResponseTemplate) {
    let mock = Mock::given(method("PUT")).and(path(ACCEPT));
    let mock = mock.and(query_param("device_challenge", "c1"));
    let mock = mock.and(body_json(json!({ "user_code": code }))).respond_with(answer);
    mock.mount(server).await;
}

/// Enters a code. Returns status, location and page.
async fn enter(app: &LoginApp, code: &str) -> (u16, Option<String>, String) {
    let client = reqwest::Client::builder().redirect(redirect::Policy::none());
    let client = client.build().expect("a client");
    let url = format!("{}/device", app.url());
    let shown = client.get(format!("{url}?device_challenge=c1&user_code={code}"));
    let shown = shown.send().await.expect("a page").text().await.expect("text");
    assert!(shown.contains(r#"name="device_challenge" value="c1""#), "{shown}");
    assert!(
        shown.contains(&format!(r#"name="user_code" value="{code}""#)),
        "{shown}"
    );
    let form = client
        .post(url)
        .header("Content-Type", "application/x-www-form-urlencoded");
    let form = form.body(format!("device_challenge=c1&user_code={code}"));
    let answer = form.send().await.expect("an answer");
    let location = answer.headers().get("Location").and_then(|value| value.to_str().ok());
    let location = location.map(str::to_owned);
    (answer.status().as_u16(), location, answer.text().await.expect("text"))
}

#[tokio::test]
async fn a_code_from_a_device_leads_to_the_login() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = hydra("v26.2.0").await;
    let next = "https://id.example.com/oauth2/device/verify?device_verifier=v";
    accepts(&server, "RIGHT", json_reply(200, &json!({ "redirect_to": next }))).await;
    accepts(&server, "WRONG", error_reply(400, "invalid_request")).await;
    accepts(&server, "LATE", error_reply(404, "Not Found")).await;
    let app = LoginApp::start(Vec::new()).await.expect("an app");
    app.connect(&server.uri()).await.expect("a Hydra");

    let (status, location, _) = enter(&app, "RIGHT").await;
    assert_eq!((status, location.as_deref()), (303, Some(next)));
    let (status, _, shown) = enter(&app, "WRONG").await;
    assert!(
        status == 422 && shown.contains("This code is wrong"),
        "{status}: {shown}"
    );
    assert_eq!(enter(&app, "LATE").await.0, 410);
}

#[tokio::test]
async fn a_version_without_the_grant_is_not_asked() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = hydra("v2.3.0").await;
    let app = LoginApp::start(Vec::new()).await.expect("an app");
    app.connect(&server.uri()).await.expect("a Hydra");
    assert_eq!(enter(&app, "ANY").await.0, 503);
    let asked = server.received_requests().await.unwrap_or_default();
    assert!(asked.iter().all(|request| request.url.path() == "/version"));
}
