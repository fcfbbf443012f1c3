//! Users' requests and tokens: what is sent, what is understood, and what stays secret.

use oidc_operator::admin::http::{Failure, RedirectTo, Settings};
use oidc_operator::admin::hydra::Hydra;
use oidc_operator::admin::hydra::clients::JsonPatchOperation;
use oidc_operator::admin::hydra::request::{AcceptConsent, AcceptLogin, ConsentSession, Reject};
use oidc_operator::error::Outage;
use oidc_operator::secret::Secret;
use serde_json::{Map, Value, json};
use wiremock::{MockServer, ResponseTemplate};

use crate::{always, error_reply, html, http, json_reply, over};

fn challenge() -> Secret {
    Secret::new("a challenge".to_owned())
}

/// The last request: its query, its content type, and its body.
async fn last(server: &MockServer) -> (String, Option<String>, String) {
    let requests = server.received_requests().await.unwrap_or_default();
    let request = requests.last().expect("a request");
    let content_type = request
        .headers
        .get("Content-Type")
        .and_then(|value| value.to_str().ok());
    let body = String::from_utf8(request.body.clone()).expect("UTF-8");
    let query = request.url.query().unwrap_or_default().to_owned();
    (query, content_type.map(str::to_owned), body)
}

/// Hydra refuses members that its version does not know, so only members that are set are sent.
#[tokio::test]
async fn answers_contain_only_the_members_that_are_set() {
    let (server, hydra) = always(json_reply(
        200,
        &json!({ "redirect_to": "https://id/?login_verifier=v" }),
    ))
    .await;
    let json = async || {
        let (query, content_type, body) = last(&server).await;
        assert_eq!(content_type.as_deref(), Some("application/json"));
        (query, serde_json::from_str::<Value>(&body).expect("JSON"))
    };
    let next = RedirectTo::new("https://id/?login_verifier=v".to_owned());
    let login = AcceptLogin {
        subject: "alice".to_owned(),
        amr: vec!["pwd".to_owned()],
        ..AcceptLogin::default()
    };
    assert_eq!(
        hydra.accept_login_request(&challenge(), &login).await,
        Ok(Some(next.clone()))
    );
    let body = json!({ "subject": "alice", "remember": false, "remember_for": 0, "amr": ["pwd"] });
    assert_eq!(json().await, ("login_challenge=a+challenge".to_owned(), body));

    let consent = AcceptConsent {
        grant_scope: vec!["openid".to_owned()],
        session: ConsentSession {
            access_token: Map::from_iter([("team".to_owned(), json!("shop"))]),
            id_token: Map::new(),
        },
        ..AcceptConsent::default()
    };
    assert_eq!(
        hydra.accept_consent_request(&challenge(), &consent).await,
        Ok(Some(next.clone()))
    );
    let body = json!({ "grant_scope": ["openid"], "session": { "access_token": { "team": "shop" }, "id_token": {} } });
    assert_eq!(json().await, ("consent_challenge=a+challenge".to_owned(), body));

    let reason = Reject {
        error: "access_denied".to_owned(),
        ..Reject::default()
    };
    assert_eq!(
        hydra.reject_consent_request(&challenge(), &reason).await,
        Ok(Some(next.clone()))
    );
    assert_eq!(json().await.1, json!({ "error": "access_denied" }));

    assert_eq!(hydra.accept_logout_request(&challenge()).await, Ok(Some(next)));
    assert_eq!(
        last(&server).await,
        ("logout_challenge=a+challenge".to_owned(), None, String::new())
    );
}

#[tokio::test]
async fn a_request_that_was_answered_before_is_reported_as_handled() {
    let gone = json_reply(410, &json!({ "redirect_to": "https://id/oauth2/auth" }));
    let to = Some(RedirectTo::new("https://id/oauth2/auth".to_owned()));
    let (_server, hydra) = always(gone).await;
    assert_eq!(
        hydra.get_login_request(&challenge()).await.err(),
        Some(Failure::Handled(to.clone()))
    );
    assert_eq!(
        hydra.get_consent_request(&challenge()).await.err(),
        Some(Failure::Handled(to.clone()))
    );
    assert_eq!(
        hydra.get_logout_request(&challenge()).await.err(),
        Some(Failure::Handled(to))
    );

    let conflict = "Unable to process the requested resource because of conflict in the current state";
    let (_server, hydra) = always(error_reply(409, conflict)).await;
    let accepted = hydra
        .accept_consent_request(&challenge(), &AcceptConsent::default())
        .await;
    assert_eq!(accepted, Err(Failure::Handled(None)));

    // None of these replies is Hydra's own.
    for reply in [html(410), html(409), json_reply(410, &json!({ "redirect_to": 1 }))] {
        let (_server, hydra) = always(reply).await;
        let failure = hydra.get_login_request(&challenge()).await.err();
        assert!(
            matches!(failure, Some(Failure::Status { error: None, .. })),
            "{failure:?}"
        );
    }
}

/// An expired request of a user is no refusal of our login, so it does not block other requests.
#[tokio::test]
async fn an_expired_request_does_not_open_the_breaker() {
    let (_server, hydra) = always(error_reply(401, "request_unauthorized")).await;
    assert_eq!(
        hydra.get_login_request(&challenge()).await.err(),
        Some(Failure::Expired)
    );
    assert!(!hydra.http().breaker().is_open());
    let (_server, hydra) = always(html(401)).await;
    assert_eq!(
        hydra.get_login_request(&challenge()).await.err(),
        Some(Failure::Refused(401))
    );
    assert!(hydra.http().breaker().is_open());
}

#[tokio::test]
async fn a_null_member_counts_as_absent() {
    let members = [
        "requested_scope",
        "requested_access_token_audience",
        "oidc_context",
        "client",
        "session_id",
        "login_challenge",
        "login_session_id",
        "amr",
        "context",
        "expires_at",
        "sid",
    ];
    let mut body = Map::from_iter(members.map(|name| (name.to_owned(), Value::Null)));
    body.insert("challenge".to_owned(), json!("c"));
    let (_server, hydra) = always(json_reply(200, &Value::Object(body))).await;
    let login = hydra
        .get_login_request(&challenge())
        .await
        .expect("a reply")
        .expect("a login");
    assert!(login.requested_scope.is_empty() && login.client.is_none());
    let consent = hydra.get_consent_request(&challenge()).await.expect("a reply");
    assert!(consent.expect("a consent").login_challenge.is_none());
    let logout = hydra.get_logout_request(&challenge()).await.expect("a reply");
    assert!(logout.expect("a logout").client.is_none());

    let token = json!({ "active": true, "aud": null, "ext": null, "scope": null, "sub": "alice" });
    let (_server, hydra) = always(json_reply(200, &token)).await;
    let found = hydra.introspect_token(&challenge(), "").await.expect("a reply");
    assert_eq!(
        found.map(|token| (token.sub, token.aud)),
        Some(("alice".to_owned(), vec![]))
    );
}

#[tokio::test]
async fn a_token_is_introspected_with_a_form() {
    let (server, hydra) = always(json_reply(200, &json!({ "active": false }))).await;
    let token = Secret::new("a&b=c d".to_owned());
    assert_eq!(hydra.introspect_token(&token, "").await, Ok(None));
    let form = Some("application/x-www-form-urlencoded".to_owned());
    assert_eq!(
        last(&server).await,
        (String::new(), form.clone(), "token=a%26b%3Dc+d".to_owned())
    );
    assert_eq!(hydra.introspect_token(&token, "openid email").await, Ok(None));
    assert_eq!(last(&server).await.2, "token=a%26b%3Dc+d&scope=openid+email");
}

#[tokio::test]
async fn a_flush_may_name_a_time_and_is_not_sent_to_version_2() {
    let (server, newer) = always(ResponseTemplate::new(204)).await;
    let older = over(http(&server.uri(), &Settings::default()), "v1.11.10");
    let time = "2026-01-02T03:04:05Z".parse().ok();
    for (not_after, body) in [(None, json!({})), (time, json!({ "notAfter": "2026-01-02T03:04:05Z" }))] {
        assert_eq!(older.flush_tokens(not_after).await, Ok(()));
        assert_eq!(serde_json::from_str::<Value>(&last(&server).await.2).ok(), Some(body));
    }
    let sent = crate::received(&server).await;
    assert_eq!(newer.flush_tokens(None).await, Err(Failure::NotInThisVersion));
    assert_eq!(crate::received(&server).await, sent);
}

#[tokio::test]
async fn a_patch_is_a_list_of_operations() {
    let (server, hydra) = always(json_reply(200, &json!({ "client_id": "shop" }))).await;
    let path = |path: &str| path.to_owned();
    let patch = [
        JsonPatchOperation::Add {
            path: path("/contacts/-"),
            value: json!("a@example.com"),
        },
        JsonPatchOperation::Remove { path: path("/owner") },
        JsonPatchOperation::Move {
            from: path("/a"),
            path: path("/b"),
        },
    ];
    assert!(matches!(hydra.patch_client("shop", &patch).await, Ok(Some(_))));
    let expected = json!([
        { "op": "add", "path": "/contacts/-", "value": "a@example.com" },
        { "op": "remove", "path": "/owner" },
        { "op": "move", "from": "/a", "path": "/b" },
    ]);
    assert_eq!(
        serde_json::from_str::<Value>(&last(&server).await.2).ok(),
        Some(expected)
    );
}

async fn metrics(reply: ResponseTemplate) -> Result<String, Failure> {
    let (_server, hydra): (_, Hydra) = always(reply).await;
    hydra.metrics().await
}

#[tokio::test]
async fn metrics_are_text_and_bounded() {
    let text = "# TYPE go_goroutines gauge\ngo_goroutines 7\n";
    let reply = |body: Vec<u8>| ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4");
    assert_eq!(metrics(reply(text.into())).await, Ok(text.to_owned()));
    // Larger than one object may be, and smaller than a page.
    assert_eq!(
        metrics(reply(vec![b'a'; 2 << 20])).await.map(|text| text.len()),
        Ok(2 << 20)
    );
    let larger = Failure::TooLarge(None);
    assert_eq!(metrics(reply(vec![b'a'; 33 << 20])).await, Err(larger));
    assert_eq!(metrics(reply(vec![0xff])).await, Err(Failure::Reply("is not text")));
    let down = Failure::Outage(Outage::Status(503, None));
    assert_eq!(metrics(html(503)).await, Err(down));
}

#[tokio::test]
async fn a_server_is_healthy_only_with_status_ok() {
    let (server, hydra) = always(json_reply(200, &json!({ "status": "ok" }))).await;
    assert_eq!((hydra.is_alive().await, hydra.is_ready().await), (Ok(()), Ok(())));
    drop(server);
    let (_server, hydra) = always(json_reply(200, &json!({ "status": "error" }))).await;
    assert!(hydra.is_alive().await.is_err() && hydra.is_ready().await.is_err());
    let (_server, hydra) = always(json_reply(503, &json!({ "error": "error" }))).await;
    for _ in 0..2 {
        // Both calls reach the server: this is how the operator notices that it is back.
        assert_eq!(hydra.is_ready().await, Err(Failure::Outage(Outage::Status(503, None))));
    }
}
