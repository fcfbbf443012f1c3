//! What a reply means, and what it never means.

use std::time::Duration;

use oidc_operator::admin::discovery;
use oidc_operator::admin::http::Failure;
use oidc_operator::admin::vault::health::health;
use oidc_operator::admin::vault::identity::IdentityType;
use oidc_operator::admin::vault::{Assignment, Client, Key, Provider, Scope, Vault};
use oidc_operator::error::Outage;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::fake::{Fake, Rules};
use super::{always, app_role, errors_reply, proxied, status, vault};
use crate::{html, json_reply, received, unfinished};

fn scope() -> Scope {
    Scope {
        description: "d".to_owned(),
        template: "{}".to_owned(),
    }
}

/// Each operation that looks something up, and whether it found something.
async fn lookups(vault: &Vault) -> Vec<Result<bool, Failure>> {
    fn there<T>(found: Result<Option<T>, Failure>) -> Result<bool, Failure> {
        found.map(|found| found.is_some())
    }
    let results = [
        there(vault.read::<Assignment>("x").await),
        there(vault.read::<Client>("x").await),
        there(vault.read::<Key>("x").await),
        there(vault.read::<Provider>("x").await),
        there(vault.read::<Scope>("x").await),
        there(vault.id_by_name(IdentityType::Entity, "x").await),
        there(vault.id_by_name(IdentityType::Group, "x").await),
        there(vault.id_by_alias(IdentityType::Entity, "x", "y").await),
        there(vault.id_by_alias(IdentityType::Group, "x", "y").await),
        there(vault.accessor("userpass").await),
        vault.list::<Client>().await.map(|listed| !listed.objects.is_empty()),
    ];
    results.into()
}

/// The failure of each operation that changes something.
async fn writes(vault: &Vault) -> Vec<Option<Failure>> {
    let results = [
        vault.write("x", &scope()).await,
        vault.delete::<Scope>("x").await,
        vault.rotate("x").await,
    ];
    results.into_iter().map(Result::err).collect()
}

#[tokio::test]
async fn a_404_without_a_reason_means_absence() {
    let (_server, vault) = always(errors_reply(404, &[])).await;
    assert_eq!(lookups(&vault).await, vec![Ok(false); 11]);
    // A write has nothing that could be absent.
    assert_eq!(writes(&vault).await, vec![Some(status(404, "")); 3]);
}

/// If this counted as absence, a typo in an ingress would make the operator recreate everything.
#[tokio::test]
async fn a_404_of_a_proxy_is_never_absence() {
    for reply in [
        html(404),
        ResponseTemplate::new(404),
        json_reply(404, &json!({ "error": "not_found" })),
    ] {
        let (_server, vault) = always(reply.clone()).await;
        assert_eq!(lookups(&vault).await, vec![Err(proxied(404)); 11], "{reply:?}");
    }
}

#[tokio::test]
async fn a_404_with_a_reason_is_a_failure_and_never_absence() {
    for said in [
        "1 error occurred:\n\t* unsupported path\n\n",
        "namespace not found",
        "no handler for route \"team1/identity/oidc/key/x\". route entry not found.",
    ] {
        let (_server, vault) = always(errors_reply(404, &[said])).await;
        assert_eq!(lookups(&vault).await, vec![Err(status(404, said)); 11], "{said}");
        assert_eq!(writes(&vault).await, vec![Some(status(404, said)); 3], "{said}");
    }
}

#[tokio::test]
async fn an_object_in_use_is_not_deleted_and_the_failure_names_its_users() {
    let said = r#"unable to delete scope "x" because it is currently referenced by these providers: p1"#;
    let (_server, vault) = always(errors_reply(400, &[said])).await;
    assert_eq!(vault.delete::<Scope>("x").await, Err(status(400, said)));
    assert!(!vault.http().breaker().is_open());
}

#[tokio::test]
async fn all_errors_of_a_reply_are_in_the_description() {
    let (_server, vault) = always(errors_reply(400, &["one", "two"])).await;
    assert_eq!(writes(&vault).await, vec![Some(status(400, "one; two")); 3]);
}

#[tokio::test]
async fn a_write_with_a_warning_succeeds() {
    let warned =
        json!({ "request_id": "r", "data": null, "warnings": ["If \"issuer\" is set explicitly, …"], "auth": null });
    for reply in [ResponseTemplate::new(204), json_reply(200, &warned)] {
        let (_server, vault) = always(reply.clone()).await;
        assert_eq!(writes(&vault).await, vec![None; 3], "{reply:?}");
    }
}

#[tokio::test]
async fn an_invalid_reply_is_a_failure_and_neither_absence_nor_success() {
    let no_json = vec![Err(Failure::Reply("is not JSON")); 11];
    let (_server, vault) = always(html(200)).await;
    assert_eq!(lookups(&vault).await, no_json);
    assert_eq!(writes(&vault).await, vec![Some(Failure::Reply("is not JSON")); 3]);
    let whole = json!({ "entity_ids": [], "group_ids": [] });
    let mut cases = vec![json!({}), json!([]), json!("text")];
    for name in ["entity_ids", "group_ids"] {
        for wrong in [json!(null), json!("x"), json!([null]), json!([1]), json!({})] {
            let mut changed = whole.clone();
            changed[name] = wrong;
            cases.push(changed);
        }
        let mut without = whole.clone();
        without.as_object_mut().map(|members| members.remove(name));
        cases.push(without);
    }
    for data in cases {
        let (_server, vault) = always(json_reply(200, &json!({ "data": data }))).await;
        let found = vault.read::<Assignment>("x").await;
        let expected = Failure::Reply("lacks a field or has one of the wrong type");
        assert_eq!(found, Err(expected), "{data}");
        let listed = vault.list::<Assignment>().await;
        assert_eq!(listed, Err(Failure::Reply("is not a list")), "{data}");
    }
    let (_server, vault) = always(json_reply(200, &json!({ "data": whole }))).await;
    assert_eq!(vault.read("x").await, Ok(Some(Assignment::default())));
}

#[tokio::test]
async fn a_list_returns_names_and_the_listed_fields() {
    let fields = json!({ "scopes_supported": [], "issuer": "" });
    let cases: [(Value, Vec<(&str, Value)>); 3] = [
        (
            json!({ "keys": ["b", "a"] }),
            vec![("a", json!(null)), ("b", json!(null))],
        ),
        (
            json!({ "keys": ["b", "a"], "key_info": { "a": fields, "c": fields } }),
            vec![("a", fields.clone()), ("b", json!(null))],
        ),
        (json!({ "keys": [] }), vec![]),
    ];
    for (data, expected) in cases {
        let (_server, vault) = always(json_reply(200, &json!({ "data": data }))).await;
        let listed = vault.list::<Provider>().await.expect("a list").objects.into_iter();
        let found: Vec<_> = listed.map(|(name, fields)| (name, json!(fields))).collect();
        let expected = expected.into_iter().map(|(name, fields)| (name.to_owned(), fields));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{data}");
    }
}

#[tokio::test]
async fn an_accessor_is_found_by_the_path_of_its_auth_method_with_or_without_a_slash() {
    let mounts = json!({ "data": {
        "userpass/": { "accessor": "auth_userpass_1", "type": "userpass" },
        "team/ldap/": { "accessor": "auth_ldap_2", "type": "ldap" },
        "odd/": { "accessor": "", "type": "odd" },
    } });
    let (_server, vault) = always(json_reply(200, &mounts)).await;
    for (path, expected) in [
        ("userpass", Some("auth_userpass_1")),
        ("userpass/", Some("auth_userpass_1")),
        ("team/ldap", Some("auth_ldap_2")),
        ("ldap", None),
        ("odd", None),
        ("user", None),
    ] {
        let found = vault.accessor(path).await;
        assert_eq!(found, Ok(expected.map(str::to_owned)), "{path}");
    }
}

#[tokio::test]
async fn statuses_have_one_meaning_for_every_operation() {
    let outage = |code| Failure::Outage(Outage::Status(code, None));
    let cases = [
        (errors_reply(503, &["Vault is sealed"]), outage(503)),
        (
            errors_reply(500, &["leadership lost while committing log"]),
            outage(500),
        ),
        (
            errors_reply(429, &["request path \"x\": rate limit quota exceeded"]).insert_header("Retry-After", "60"),
            Failure::Outage(Outage::Limited(Duration::from_secs(60))),
        ),
        (
            errors_reply(405, &["unsupported operation"]),
            status(405, "unsupported operation"),
        ),
        (html(502), outage(502)),
    ];
    for (reply, expected) in cases {
        let (_server, vault) = always(reply.clone()).await;
        let found = vault.read::<Scope>("x").await;
        assert_eq!(found, Err(expected.clone()), "{reply:?}");
        vault.http().breaker().close(); // an open breaker would answer the next call
        let of_write = unfinished(&expected);
        assert_eq!(vault.write("x", &scope()).await, Err(of_write.clone()), "{reply:?}");
        vault.http().breaker().close();
        assert_eq!(vault.delete::<Scope>("x").await, Err(of_write), "{reply:?}");
    }
}

/// The replica has not caught up with what the token has seen.
#[tokio::test]
async fn a_replica_that_lags_behind_is_busy() {
    let (_server, vault) = always(errors_reply(412, &["required index state not present"])).await;
    assert_eq!(lookups(&vault).await, vec![Err(Failure::Outage(Outage::Busy)); 11]);
}

/// A standby that does not forward requests names the active server, which any server could claim to be.
#[tokio::test]
async fn a_redirect_is_not_followed_and_no_token_is_sent_there() {
    let elsewhere = MockServer::start().await;
    Mock::given(any())
        .respond_with(json_reply(
            200,
            &json!({ "data": { "ttl": 0 }, "auth": { "client_token": "t" } }),
        ))
        .mount(&elsewhere)
        .await;
    let location = format!("{}/v1/identity/oidc/scope/x", elsewhere.uri());
    for code in [301, 302, 303, 307, 308] {
        let redirect = html(code).insert_header("Location", location.as_str());
        let expected = Failure::Reply("is a redirect");
        let (_server, given) = always(redirect.clone()).await;
        assert_eq!(lookups(&given).await, vec![Err(expected.clone()); 11], "{code}");
        assert_eq!(writes(&given).await, vec![Some(expected.clone()); 3], "{code}");
        assert_eq!(health(given.http()).await, Err(expected.clone()), "{code}");
        let path = given.provider_path("default");
        let found = discovery::fetch_below(given.http(), &path).await;
        assert_eq!(found, Err(expected.clone()), "{code}");
        let (server, fake) = Fake::start(Rules::default()).await;
        fake.rule(|rules| rules.login = Some(redirect.clone()));
        let logging_in = vault(&server, app_role());
        assert_eq!(logging_in.session().keep().await, Err(expected), "{code}");
        assert_eq!(received(&server).await, 1, "{code}");
    }
    assert_eq!(received(&elsewhere).await, 0);
}
