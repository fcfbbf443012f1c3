//! What a reply means, and what it never means.

use std::time::Duration;

use oidc_operator::admin::http::Failure;
use oidc_operator::admin::hydra::get_version;
use oidc_operator::error::Outage;
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::{always, client, error_reply, html, json_reply, unfinished};

fn redirected() -> ResponseTemplate {
    html(307).insert_header("Location", "http://127.0.0.1:1/admin/clients/shop")
}

fn status(code: u16, error: Option<&str>) -> Failure {
    Failure::Status {
        code,
        error: error.map(str::to_owned),
        description: String::new(),
    }
}

/// The failure of every operation on one client, in the order get, create, update, delete.
async fn failures(reply: ResponseTemplate) -> Vec<Option<Failure>> {
    let (_server, hydra) = always(reply).await;
    let shop = client("shop");
    let mut found = Vec::new();
    for operation in 0..4 {
        found.push(match operation {
            0 => hydra.get_client("shop").await.err(),
            1 => hydra.create_client(&shop, None).await.err(),
            2 => hydra.update_client(&shop, None).await.err(),
            _ => hydra.delete_client("shop").await.err(),
        });
        hydra.http().breaker().close(); // an open breaker would answer the next call
    }
    found
}

#[tokio::test]
async fn an_invalid_reply_is_a_failure_and_neither_absence_nor_success() {
    let text = |status, body: &str| ResponseTemplate::new(status).set_body_raw(body.to_owned(), "application/json");
    let no_json = Failure::Reply("is not JSON");
    let no_client = Failure::Reply("is not a client");
    let stranger = Failure::Reply("describes another client");
    let cases = [
        ("HTML", html(200), no_json.clone()),
        ("HTML instead of a created client", html(201), no_json.clone()),
        (
            "cut off",
            text(200, r#"{"client_id":"shop","scope":"op"#),
            no_json.clone(),
        ),
        ("two values", text(200, "{}{}"), no_json.clone()),
        (
            "not UTF-8",
            ResponseTemplate::new(200).set_body_raw(b"{\"client_id\":\"\xff\"}".to_vec(), "application/json"),
            no_json.clone(),
        ),
        (
            "too deep",
            text(
                200,
                &format!("{{\"client_id\":\"shop\",\"metadata\":{}", "[".repeat(5_000)),
            ),
            no_json,
        ),
        ("nothing", ResponseTemplate::new(200), no_client.clone()),
        ("null", text(200, "null"), no_client.clone()),
        (
            "a list",
            json_reply(200, &json!([{ "client_id": "shop" }])),
            no_client.clone(),
        ),
        ("an empty object", json_reply(200, &json!({})), no_client.clone()),
        (
            "a success with an error in it",
            error_reply(200, "Not Found"),
            no_client.clone(),
        ),
        (
            "a text for a list",
            json_reply(200, &json!({ "client_id": "shop", "redirect_uris": "x" })),
            no_client.clone(),
        ),
        (
            "null in a list",
            json_reply(200, &json!({ "client_id": "shop", "audience": [null] })),
            no_client.clone(),
        ),
        (
            "a number for a text",
            json_reply(200, &json!({ "client_id": "shop", "scope": 1 })),
            no_client.clone(),
        ),
        (
            "a text for a bool",
            json_reply(200, &json!({ "client_id": "shop", "skip_consent": "yes" })),
            no_client.clone(),
        ),
        (
            "a number for an id",
            json_reply(200, &json!({ "client_id": 1 })),
            no_client,
        ),
        // A database that ignores case or accents answers with the client that it has.
        (
            "another case",
            json_reply(200, &json!({ "client_id": "SHOP" })),
            stranger.clone(),
        ),
        (
            "an accent",
            json_reply(200, &json!({ "client_id": "shöp" })),
            stranger.clone(),
        ),
        ("a space", json_reply(200, &json!({ "client_id": "shop " })), stranger),
    ];
    for (what, reply, expected) in cases {
        let found = failures(reply).await;
        // A deletion needs no client in the reply, but still JSON or nothing.
        let written = [Some(expected.clone()), Some(expected.clone()), Some(expected)];
        assert_eq!(found[..3], written, "{what}");
    }
}

#[tokio::test]
async fn only_hydras_own_404_means_that_a_client_is_absent() {
    let (_server, hydra) = always(error_reply(404, "Unable to locate the resource")).await;
    assert_eq!(hydra.get_client("shop").await, Ok(None));
    assert_eq!(hydra.update_client(&client("shop"), None).await, Ok(None));
    assert_eq!(hydra.delete_client("shop").await, Ok(()));
    let foreign = [
        html(404),
        ResponseTemplate::new(404),
        ResponseTemplate::new(404).set_body_string("404 page not found"),
        json_reply(404, &json!({ "error": { "code": 404 } })), // the reply of the router of version 2
        json_reply(404, &json!({ "message": "no route" })),
        json_reply(404, &json!([])),
    ];
    for reply in foreign {
        let found = failures(reply.clone()).await;
        assert_eq!(found, vec![Some(status(404, None)); 4], "{reply:?}");
    }
}

/// A 404 on a POST is never absence: there is nothing that could be absent.
#[tokio::test]
async fn a_404_for_a_new_client_is_a_failure() {
    let (_server, hydra) = always(error_reply(404, "Not Found")).await;
    let found = hydra.create_client(&client("shop"), None).await;
    assert_eq!(found, Err(status(404, Some("Not Found"))));
}

#[tokio::test]
async fn only_hydras_own_409_means_that_an_id_is_taken() {
    let taken = "Unable to insert or update resource because a resource with that value exists already";
    let (_server, hydra) = always(error_reply(409, taken)).await;
    assert_eq!(hydra.create_client(&client("shop"), None).await, Ok(None));
    assert_eq!(hydra.get_client("shop").await, Err(status(409, Some(taken))));
    assert_eq!(
        hydra.update_client(&client("shop"), None).await,
        Err(status(409, Some(taken)))
    );
    let (_server, hydra) = always(html(409)).await;
    assert_eq!(hydra.create_client(&client("shop"), None).await, Err(status(409, None)));
}

#[tokio::test]
async fn statuses_have_one_meaning_for_every_operation() {
    let outage = |code| Failure::Outage(Outage::Status(code, None));
    let cases = [
        (html(401), Failure::Refused(401)),
        (html(403), Failure::Refused(403)),
        (
            error_reply(429, "slow down").insert_header("Retry-After", "60"),
            Failure::Outage(Outage::Limited(Duration::from_secs(60))),
        ),
        (error_reply(500, "error"), outage(500)),
        (html(502), outage(502)),
        (html(503), outage(503)),
        (html(504), outage(504)),
        (redirected(), Failure::Reply("is a redirect")),
        (html(302), Failure::Reply("is a redirect")),
        (html(405), status(405, None)),
        (
            error_reply(400, "invalid_client_metadata"),
            status(400, Some("invalid_client_metadata")),
        ),
        (
            error_reply(
                400,
                "Unable to serialize access due to a concurrent update in another session",
            ),
            Failure::Outage(Outage::Busy),
        ),
    ];
    for (reply, expected) in cases {
        let found = failures(reply.clone()).await;
        let of_write = unfinished(&expected);
        let all = [expected, of_write.clone(), of_write.clone(), of_write].map(Some);
        assert_eq!(found, all, "{reply:?}");
    }
}

#[tokio::test]
async fn the_description_of_an_error_is_kept_for_finding_fields() {
    let body = json!({ "error": "invalid_redirect_uri", "error_description": "redirect_uris is invalid" });
    let (_server, hydra) = always(json_reply(400, &body)).await;
    let expected = Failure::Status {
        code: 400,
        error: Some("invalid_redirect_uri".to_owned()),
        description: "redirect_uris is invalid".to_owned(),
    };
    assert_eq!(hydra.create_client(&client("shop"), None).await, Err(expected));
}

#[tokio::test]
async fn null_lists_are_empty_lists() {
    let body = json!({
        "client_id": "shop", "scope": "openid", "redirect_uris": null, "grant_types": null, "response_types": null,
        "contacts": null, "audience": [], "jwks": null, "metadata": null, "skip_logout_consent": null,
        "implicit_grant_id_token_lifespan": null,
    });
    let (_server, hydra) = always(json_reply(200, &body)).await;
    assert_eq!(hydra.get_client("shop").await, Ok(Some(client("shop"))));
}

#[tokio::test]
async fn a_version_is_a_short_text() {
    let (_server, hydra) = always(json_reply(200, &json!({ "version": "v2.3.0" }))).await;
    assert_eq!(get_version(hydra.http()).await, Ok("v2.3.0".to_owned()));
    let none = Failure::Reply("holds no version");
    let cases = [
        (json_reply(200, &json!({})), none.clone()),
        (json_reply(200, &json!({ "version": "" })), none.clone()),
        (json_reply(200, &json!({ "version": 2 })), none.clone()),
        (json_reply(200, &json!({ "version": "v".repeat(65) })), none.clone()),
        (json_reply(200, &json!(["v2.3.0"])), none.clone()),
        (ResponseTemplate::new(204), none),
        (html(200), Failure::Reply("is not JSON")),
        (html(404), status(404, None)),
    ];
    for (reply, expected) in cases {
        let (_server, hydra) = always(reply.clone()).await;
        assert_eq!(get_version(hydra.http()).await, Err(expected), "{reply:?}");
    }
}
