//! How resources of hydra-maester become those of the operator.

mod steps;

use std::collections::BTreeSet;

use kube::core::DynamicObject;
use oidc_operator::access::Namespace;
use oidc_operator::api::OAuth2Client;
use oidc_operator::api::access::AccessRule;
use oidc_operator::plugin::migrate::fields::{FIELDS, SPECIAL};
use oidc_operator::plugin::migrate::grants::{Wish, check_room, granted};
use oidc_operator::plugin::migrate::maester::{Choice, Credentials, Move, Past, SecretFate, plan};
use oidc_operator::plugin::migrate::server::Known;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../docs/migration.md");

fn old(name: &str, spec: Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "hydra.ory.sh/v1alpha1", "kind": "OAuth2Client",
        "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-of-{name}"), "labels": { "team": "a" },
            "annotations": { "note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}" } },
        "spec": spec,
    });
    serde_json::from_value(object).expect("an object")
}

fn secret(keys: &[&str], is_owned: bool) -> Credentials {
    Credentials {
        client_id: Some("the-id".to_owned()),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        is_owned,
    }
}

fn known(name: &str, admin_url: &str) -> Known {
    Known {
        name: name.to_owned(),
        admin_url: admin_url.to_owned(),
        forwarded_proto: None,
    }
}

fn choice(servers: &[Known]) -> Choice<'_> {
    Choice {
        server: "default",
        servers,
        keys: None,
    }
}

fn moved(spec: Value, found: &Credentials) -> Move {
    plan(&old("web", spec), Some(found), &choice(&[])).expect("a plan")
}

const BOTH: [&str; 2] = ["CLIENT_ID", "CLIENT_SECRET"];

#[test]
fn every_field_arrives() {
    let machine =
        json!({ "grantTypes": ["client_credentials"], "scopeArray": ["a", "b"], "scope": "c  a", "secretName": "web" });
    let rows = [
        (json!({}), json!({})),
        (
            json!({ "clientName": "Web", "contacts": ["a@b.c"] }),
            json!({ "clientName": "Web", "contacts": ["a@b.c"] }),
        ),
        (
            json!({ "audience": ["x", "y", "x"] }),
            json!({ "audience": ["x", "y"] }),
        ),
        // What hydra-maester writes into a spec by itself.
        (
            json!({ "hydraAdmin": {}, "tokenLifespans": {}, "metadata": null, "skipConsent": false, "clientName": "" }),
            json!({}),
        ),
        (
            json!({ "metadata": { "a": "", "b": null, "c": false } }),
            json!({ "metadata": { "a": "", "b": null, "c": false } }),
        ),
        (
            json!({ "skipConsent": true, "accessTokenStrategy": "jwt" }),
            json!({ "hydra": { "skipConsent": true, "accessTokenStrategy": "jwt" } }),
        ),
        (
            json!({ "tokenLifespans": { "authorization_code_grant_id_token_lifespan": "1h", "jwt_bearer_grant_access_token_lifespan": "" } }),
            json!({ "hydra": { "tokenLifespans": { "authorizationCodeGrantIdToken": "1h" } } }),
        ),
        (
            json!({ "frontChannelLogoutURI": "https://a.b/c", "backChannelLogoutSessionRequired": true }),
            json!({ "frontchannelLogoutUri": "https://a.b/c", "backchannelLogoutSessionRequired": true }),
        ),
        (
            json!({ "deletionPolicy": "orphan" }),
            json!({ "deletionPolicy": "Orphan" }),
        ),
        (
            json!({ "tokenEndpointAuthMethod": "client_secret_post" }),
            json!({ "tokenEndpointAuthMethod": "client_secret_post" }),
        ),
        (
            json!({ "secretName": "login" }),
            json!({ "credentials": { "secretName": "login" } }),
        ),
    ];
    for (more, expected) in rows {
        let mut spec = machine.clone();
        extend(&mut spec, &more);
        let planned = moved(spec, &secret(&BOTH, true));
        let mut wanted = json!({
            "grantTypes": ["client_credentials"], "scopes": ["a", "b", "c"], "clientId": "the-id", "adoption": "Allow",
            "deletionPolicy": "Delete",
        });
        extend(&mut wanted, &expected);
        assert_eq!(planned.manifest["spec"], wanted, "{more}");
        assert_eq!(
            (planned.secret, planned.notes.len()),
            (SecretFate::TakenOver, 0),
            "{more}"
        );
        // The kind takes it as it is.
        serde_json::from_value::<OAuth2Client>(planned.manifest).expect("an OAuth2Client");
    }
}

fn extend(target: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        target[name] = value.clone();
    }
}

#[test]
fn a_secret_that_the_operator_cannot_write_stays_as_it_is() {
    let of = |method: &str| json!({ "grantTypes": ["client_credentials"], "scope": "a", "secretName": "web", "tokenEndpointAuthMethod": method });
    let reference = |key: &str| json!({ "name": "web", "key": key });
    let lower = ["client_id", "client_secret"];
    for (method, keys, is_owned, fate, output, source) in [
        ("", &BOTH[..], true, SecretFate::TakenOver, Value::Null, Value::Null),
        ("", &lower, true, SecretFate::TakenOver, Value::Null, Value::Null),
        (
            "",
            &BOTH,
            false,
            SecretFate::Untouched,
            json!("web-oidc"),
            reference("CLIENT_SECRET"),
        ),
        (
            "",
            &lower,
            false,
            SecretFate::Untouched,
            json!("web-oidc"),
            reference("client_secret"),
        ),
        (
            "",
            &["CLIENT_ID", "CLIENT_SECRET", "SALT"],
            true,
            SecretFate::Released,
            json!("web-oidc"),
            reference("CLIENT_SECRET"),
        ),
        (
            "private_key_jwt",
            &BOTH,
            true,
            SecretFate::Released,
            json!("web-oidc"),
            Value::Null,
        ),
        (
            "none",
            &["CLIENT_ID"],
            true,
            SecretFate::TakenOver,
            Value::Null,
            Value::Null,
        ),
    ] {
        let planned = moved(of(method), &secret(keys, is_owned));
        let spec = &planned.manifest["spec"];
        let found = (
            planned.secret,
            &spec["credentials"]["secretName"],
            &spec["clientSecretRef"],
        );
        assert_eq!(found, (fate, &output, &source), "{method} {keys:?} {is_owned}");
        assert_eq!(
            planned.notes.len(),
            usize::from(fate != SecretFate::TakenOver),
            "{:?}",
            planned.notes
        );
        let keys = &spec["credentials"]["keys"]["clientId"];
        assert_eq!(
            keys == "client_id",
            planned.manifest.to_string().contains("client_secret\""),
            "{spec}"
        );
    }
    let public = moved(of("none"), &secret(&["CLIENT_ID"], true));
    assert_eq!(public.manifest["spec"]["clientType"], "Public");
}

#[test]
fn what_cannot_move_says_why() {
    let spec = json!({ "grantTypes": ["client_credentials"], "scope": "a", "secretName": "web" });
    let mut elsewhere = spec.clone();
    elsewhere["hydraAdmin"] = json!({ "url": "http://user:pass@hydra.other", "port": 4445 });
    let mut nameless = secret(&["SALT"], true);
    nameless.client_id = None;
    let mut going = old("web", spec.clone());
    going.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).expect("a time"));
    for (old, found, part) in [
        (old("web", spec.clone()), None, "does not exist"),
        (old("web", spec.clone()), Some(nameless), "no client id"),
        (
            old("web", spec.clone()),
            Some(secret(&["CLIENT_ID"], true)),
            "no key `CLIENT_SECRET`",
        ),
        (
            old("web", elsewhere),
            Some(secret(&BOTH, true)),
            "Its hydraAdmin is http://hydra.other:4445",
        ),
        (going, Some(secret(&BOTH, true)), "being deleted"),
    ] {
        let why = plan(&old, found.as_ref(), &choice(&[])).expect_err("it cannot move");
        assert!(why.contains(part) && why.ends_with('.'), "{why}");
        assert!(!why.contains("pass"), "{why}");
    }
}

#[test]
fn a_resource_with_an_admin_api_of_its_own_gets_its_server() {
    let servers = [known("other", "http://hydra.other:4445/")];
    let spec = json!({ "grantTypes": ["client_credentials"], "scope": "a", "secretName": "web",
        "hydraAdmin": { "url": "http://hydra.other", "port": 4445, "endpoint": "/admin/clients" } });
    let planned = plan(&old("web", spec), Some(&secret(&BOTH, true)), &choice(&servers)).expect("a plan");
    assert_eq!(planned.manifest["spec"]["serverRef"]["name"], "other");
}

#[test]
fn what_it_was_is_kept_for_the_way_back() {
    let planned = moved(
        json!({ "grantTypes": ["client_credentials"], "scope": "a", "secretName": "web" }),
        &secret(&BOTH, true),
    );
    let new: DynamicObject = serde_json::from_value(planned.manifest).expect("an object");
    let past = Past::of(&new).expect("a past");
    assert_eq!((past.uid.as_str(), past.secret), ("uid-of-web", SecretFate::TakenOver));
    assert_eq!(past.manifest["metadata"]["annotations"], json!({ "note": "x" }));
    assert_eq!(past.manifest["spec"]["secretName"], "web");
    assert!(past.manifest["metadata"]["uid"].is_null());
    assert_eq!(past.admin_host(), None);

    // A tenant who writes the annotation of one resource gets no other one.
    for (name, namespace) in [("other", "shop"), ("web", "bank")] {
        let mut moved = new.clone();
        moved.metadata.name = Some(name.to_owned());
        moved.metadata.namespace = Some(namespace.to_owned());
        assert!(Past::of(&moved).is_none(), "{namespace}/{name}");
    }
    let mut elsewhere = past;
    elsewhere.manifest["spec"]["hydraAdmin"] = json!({ "url": "http://user:pass@hydra.other:4445" });
    assert_eq!(elsewhere.admin_host().as_deref(), Some("hydra.other"));
}

#[test]
fn servers_get_the_least_that_is_needed() {
    let rules = |rules: Value| -> Vec<AccessRule> { serde_json::from_value(rules).expect("rules") };
    let spec = |id: &str, more: Value| {
        let mut spec =
            json!({ "clientId": id, "adoption": "Allow", "grantTypes": ["client_credentials"], "scopes": ["a"] });
        extend(&mut spec, &more);
        serde_json::from_value(spec).expect("a spec")
    };
    let shop = json!({ "namespaces": { "from": "Names", "names": ["shop"] }, "kinds": ["OAuth2Client"] });
    let with = |rule: &Value, more: Value| {
        let mut rule = rule.clone();
        extend(&mut rule, &more);
        rule
    };
    let limited = with(&shop, json!({ "clients": { "scopes": ["a"] } }));
    let consent = json!({ "hydra": { "skipConsent": true } });
    let fetched = json!({ "backchannelLogoutUri": "http://app.shop:8080/out", "jwksUri": "https://app.shop/keys" });
    for (before, asked, expected) in [
        (
            json!([]),
            json!({}),
            json!([with(&shop, json!({ "adopt": { "clientIds": ["x"] } }))]),
        ),
        (
            json!([]),
            consent.clone(),
            json!([with(
                &shop,
                json!({ "clients": { "skipConsent": "Allow" }, "adopt": { "clientIds": ["x"] } })
            )]),
        ),
        (
            json!([]),
            fetched,
            json!([with(
                &shop,
                json!({
                    "clients": { "serverUriHosts": ["app.shop", "http://app.shop:8080"] }, "adopt": { "clientIds": ["x"] },
                })
            )]),
        ),
        (
            json!([limited]),
            json!({}),
            json!([with(&limited, json!({ "adopt": { "clientIds": ["x"] } }))]),
        ),
        // Nobody else may take the client.
        (
            json!([{ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "clients": { "scopes": ["a"] } }]),
            json!({}),
            json!([
                { "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "clients": { "scopes": ["a"] } },
                with(&limited, json!({ "adopt": { "clientIds": ["x"] } })),
            ]),
        ),
        // A limit that somebody set is for somebody to lift.
        (json!([limited]), json!({ "scopes": ["a", "b"] }), json!([limited])),
        (json!([limited]), consent, json!([limited])),
    ] {
        let spec = spec("x", asked.clone());
        let namespace = Namespace {
            name: "shop",
            labels: None,
        };
        let found = json!(granted(&rules(before.clone()), &[Wish { namespace, spec: &spec }]));
        assert_eq!(found, json!(rules(expected)), "{before} {asked}");
        // Asked again, it changes nothing.
        let again = granted(&rules(found.clone()), &[Wish { namespace, spec: &spec }]);
        assert_eq!(json!(again), found);
    }
    // A rule has room for 256 ids.
    let specs: Vec<_> = (0..300)
        .map(|number| spec(&format!("id-{number}"), json!({})))
        .collect();
    let namespace = Namespace {
        name: "shop",
        labels: None,
    };
    let wishes: Vec<_> = specs.iter().map(|spec| Wish { namespace, spec }).collect();
    let found = granted(&[], &wishes);
    let ids = |rule: &AccessRule| rule.adopt.as_ref().map_or(0, |adopt| adopt.client_ids.len());
    assert_eq!(found.iter().map(ids).collect::<Vec<_>>(), [256, 44]);
    assert_eq!(check_room("default", 64), Ok(()));
    assert!(check_room("default", 65).is_err_and(|why| why.contains("would need 65 access rules")));
}

/// The page names every field, and where it goes.
#[test]
fn the_page_tells_what_becomes_of_each_field() {
    let (_, section) = PAGE.split_once("### What becomes of each field").expect("a section");
    let rows: Vec<BTreeSet<&str>> = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.split('`').skip(1).step_by(2).collect())
        .collect();
    for (old, new) in FIELDS {
        let is_told = rows.iter().any(|row| row.contains(old) && row.contains(new));
        assert!(is_told, "no row for {old} and {new}");
    }
    for (old, new) in SPECIAL {
        for new in new.split(", ").filter(|new| !new.is_empty() && *new != old) {
            let told = |row: &BTreeSet<&str>| row.contains(old) && row.iter().any(|word| word.starts_with(new));
            assert!(rows.iter().any(told), "no row for {old} and {new}");
        }
        assert!(rows.iter().any(|row| row.contains(old)), "no row for {old}");
    }
}
