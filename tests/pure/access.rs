//! Access rules: an empty list matches nothing, one rule must allow the whole resource, and a refusal says how to fix
//! it.

use std::collections::BTreeMap;

use oidc_operator::access::{self, Broken, Denied, Namespace};
use oidc_operator::api::access::AccessRule;
use oidc_operator::api::oauth2_client::Effective;
use serde_json::{Value, json};

use crate::{spec, web, with};

pub fn rules(value: Value) -> Vec<AccessRule> {
    serde_json::from_value(value).expect("rules")
}

pub fn all() -> Value {
    json!({ "from": "All" })
}

/// One rule for all namespaces with these limits.
pub fn limited(clients: Value) -> Vec<AccessRule> {
    rules(json!([{ "namespaces": all(), "kinds": ["OAuth2Client"], "clients": clients }]))
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn check_labelled(rules: &[AccessRule], labels: Option<&BTreeMap<String, String>>, value: Value) -> Result<(), Denied> {
    let spec = spec(value);
    let namespace = Namespace { name: "team-a", labels };
    access::check(rules, namespace, &spec, &Effective::of(&spec, &[], &[])).map(drop)
}

pub fn check(rules: &[AccessRule], value: Value) -> Result<(), Denied> {
    check_labelled(rules, Some(&BTreeMap::new()), value)
}

/// `limit: field: value` of the first violation; empty if allowed.
pub fn violation(rules: &[AccessRule], value: Value) -> String {
    check(rules, value).err().map(first).unwrap_or_default()
}

fn first(denied: Denied) -> String {
    match denied {
        Denied::NoRule { .. } => "no rule".to_owned(),
        Denied::Reserved { set_name, .. } => format!("reservedKeySets: setName: {set_name}"),
        Denied::TooOften { period, min, .. } => format!("minRotationPeriod: {period}: {min}"),
        Denied::Limits { mut broken, .. } => {
            let Broken {
                limit, field, values, ..
            } = broken.remove(0);
            format!("{}: {field}: {}", limit.trim_start_matches("clients."), values[0])
        }
        Denied::All(mut all) => first(all.remove(0)),
    }
}

#[test]
fn rules_that_list_nothing_admit_no_namespace() {
    for (what, listed) in [
        ("no rules", json!([])),
        ("a rule without kinds", json!([{ "namespaces": all(), "kinds": [] }])),
        (
            "an empty list of names",
            json!([{ "namespaces": { "from": "Names", "names": [] }, "kinds": ["OAuth2Client"] }]),
        ),
        (
            "names without a list",
            json!([{ "namespaces": { "from": "Names" }, "kinds": ["OAuth2Client"] }]),
        ),
        (
            "a missing selector",
            json!([{ "namespaces": { "from": "Selector" }, "kinds": ["OAuth2Client"] }]),
        ),
    ] {
        let denied = check(&rules(listed), web()).expect_err(what);
        assert_eq!(
            denied.to_string(),
            "no access rule lets namespace `team-a` have an OAuth2Client; ask the server's admin for one.",
            "{what}"
        );
    }
}

#[test]
fn a_rule_selects_all_namespaces_or_by_name_or_label() {
    let selector = |selector: Value| json!({ "from": "Selector", "selector": selector });
    let expression = |key: &str, operator: &str, values: Value| {
        let requirement = json!({ "key": key, "operator": operator, "values": values });
        selector(json!({ "matchExpressions": [requirement] }))
    };
    let team = labels(&[("team", "a"), ("oidc", "true")]);
    let cases = [
        (all(), true),
        (json!({ "from": "Names", "names": ["other", "team-a"] }), true),
        (
            json!({ "from": "Names", "names": ["team", "team-ab", "TEAM-A"] }),
            false,
        ),
        (selector(json!({})), true),
        (selector(json!({ "matchLabels": { "oidc": "true" } })), true),
        (selector(json!({ "matchLabels": { "oidc": "false" } })), false),
        (
            selector(json!({ "matchLabels": { "oidc": "true", "stage": "prod" } })),
            false,
        ),
        (expression("team", "In", json!(["b", "a"])), true),
        (expression("team", "In", json!(["b"])), false),
        (expression("team", "In", json!([])), false),
        (expression("stage", "In", json!(["prod"])), false),
        (expression("team", "NotIn", json!(["a"])), false),
        (expression("team", "NotIn", json!(["b"])), true),
        (expression("stage", "NotIn", json!(["prod"])), true),
        (expression("team", "Exists", Value::Null), true),
        (expression("stage", "Exists", Value::Null), false),
        (expression("stage", "DoesNotExist", Value::Null), true),
        (expression("team", "DoesNotExist", Value::Null), false),
        (expression("team", "Gt", json!(["0"])), false), // an unknown operator
        (
            selector(json!({
                "matchLabels": { "oidc": "true" },
                "matchExpressions": [{ "key": "team", "operator": "In", "values": ["b"] }]
            })),
            false, // all requirements must hold
        ),
    ];
    for (selection, expected) in cases {
        let listed = rules(json!([{ "namespaces": selection, "kinds": ["OAuth2Client"] }]));
        let allowed = check_labelled(&listed, Some(&team), web()).is_ok();
        assert_eq!(allowed, expected, "{selection}");
    }
}

#[test]
fn a_namespace_with_unknown_labels_matches_no_selector_not_even_an_empty_one() {
    for selector in [
        json!({}),
        json!({ "matchExpressions": [{ "key": "x", "operator": "DoesNotExist" }] }),
    ] {
        let selection = json!({ "from": "Selector", "selector": selector });
        let listed = rules(json!([{ "namespaces": selection, "kinds": ["OAuth2Client"] }]));
        assert!(check_labelled(&listed, None, web()).is_err(), "{selection}");
    }
}

#[test]
fn a_limit_left_out_does_not_limit_and_an_empty_list_allows_nothing() {
    let spec = json!({
        "redirectUris": ["https://app.example.com/cb"],
        "audience": ["https://api.example.com"],
        "deletionPolicy": "Orphan",
    });
    assert_eq!(violation(&limited(json!({})), spec.clone()), "");
    for (limit, expected) in [
        ("grantTypes", "grantTypes: grantTypes: authorization_code"),
        ("scopes", "scopes: scopes: openid"),
        ("audiences", "audiences: audience: https://api.example.com"),
        ("uriHosts", "uriHosts: redirectUris: https://app.example.com/cb"),
        ("deletionPolicies", "deletionPolicies: deletionPolicy: Orphan"),
    ] {
        assert_eq!(violation(&limited(json!({ limit: [] })), spec.clone()), expected);
    }
}

#[test]
fn each_limit_names_the_field_that_breaks_it() {
    let hosts = || json!({ "uriHosts": ["app.example.com"], "serverUriHosts": ["app.example.com"] });
    let machine = json!({ "grantTypes": ["client_credentials"] });
    let evil = "https://evil.example.org/x";
    let cases = [
        (
            json!({ "grantTypes": ["authorization_code"] }),
            json!({}),
            "grantTypes: grantTypes: client_credentials".to_owned(),
        ),
        (
            json!({ "grantTypes": ["client_credentials"] }),
            json!({ "grantTypes": ["client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"] }),
            "grantTypes: grantTypes: urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(),
        ),
        (
            json!({ "scopes": ["openid"] }),
            json!({ "scopes": ["openid", "email"] }),
            "scopes: scopes: email".to_owned(),
        ),
        (
            json!({ "scopes": ["openid"] }),
            json!({ "scopes": ["OpenID"] }),
            "scopes: scopes: OpenID".to_owned(), // scopes are case-sensitive
        ),
        (
            json!({ "audiences": ["api"] }),
            json!({ "audience": ["api", "other"] }),
            "audiences: audience: other".to_owned(),
        ),
        (
            json!({}), // Deny by default
            json!({ "hydra": { "skipConsent": true } }),
            "skipConsent: hydra.skipConsent: true".to_owned(),
        ),
        (
            json!({ "skipConsent": "Deny" }),
            json!({ "hydra": { "skipLogoutConsent": true } }),
            "skipConsent: hydra.skipLogoutConsent: true".to_owned(),
        ),
        (json!({}), json!({ "hydra": { "skipConsent": false } }), String::new()),
        (
            json!({ "skipConsent": "Allow" }),
            json!({ "hydra": { "skipConsent": true, "skipLogoutConsent": true } }),
            String::new(),
        ),
        (json!({ "owners": ["a"] }), json!({ "hydra": {} }), String::new()),
        (
            json!({ "owners": ["a"] }),
            json!({ "hydra": { "owner": "a" } }),
            String::new(),
        ),
        (
            json!({ "owners": ["a"] }),
            json!({ "hydra": { "owner": "b" } }),
            "owners: hydra.owner: b".to_owned(),
        ),
        (
            json!({ "owners": ["a"] }),
            json!({ "hydra": { "owner": "" } }),
            "owners: hydra.owner: ".to_owned(),
        ),
        (
            json!({ "deletionPolicies": ["Orphan"] }),
            json!({}), // the default is Delete
            "deletionPolicies: deletionPolicy: Delete".to_owned(),
        ),
        (
            json!({ "deletionPolicies": ["Delete", "Orphan"] }),
            json!({ "deletionPolicy": "Orphan" }),
            String::new(),
        ),
    ];
    let list = ["redirectUris", "postLogoutRedirectUris", "allowedCorsOrigins"];
    let single = ["clientUri", "logoUri", "policyUri", "tosUri", "frontchannelLogoutUri"];
    let fetched = ["jwksUri", "sectorIdentifierUri", "backchannelLogoutUri"];
    let lists = list.map(|field| (hosts(), json!({ field: [evil] }), format!("uriHosts: {field}: {evil}")));
    let singles = single.map(|field| (hosts(), json!({ field: evil }), format!("uriHosts: {field}: {evil}")));
    let fetched = fetched.map(|field| {
        (
            hosts(),
            json!({ field: evil }),
            format!("serverUriHosts: {field}: {evil}"),
        )
    });
    let requests = (
        hosts(),
        json!({ "requestUris": [evil] }),
        format!("serverUriHosts: requestUris: {evil}"),
    );
    let all = cases
        .into_iter()
        .chain(lists)
        .chain(singles)
        .chain(fetched)
        .chain([requests]);
    for (limits, more, expected) in all {
        let spec = with(machine.clone(), more);
        assert_eq!(
            violation(&limited(limits.clone()), spec.clone()),
            expected,
            "{limits} {spec}"
        );
    }
}

#[test]
fn client_ids_are_generated_prefixed_or_any() {
    let cases = [
        (None, None, true),
        (None, Some("team-a.shop"), false), // Generated is the default
        (Some("Generated"), None, true),
        (Some("Generated"), Some("team-a.shop"), false),
        (Some("Prefixed"), None, true),
        (Some("Prefixed"), Some("team-a.shop"), true),
        (Some("Prefixed"), Some("team-a.x.y"), true),
        (Some("Prefixed"), Some("team-a."), false),
        (Some("Prefixed"), Some("team-a"), false),
        (Some("Prefixed"), Some("team-a-shop"), false),
        (Some("Prefixed"), Some("team-ab.x"), false),
        (Some("Prefixed"), Some("team-b.x"), false),
        (Some("Prefixed"), Some("Team-a.x"), false),
        (Some("Prefixed"), Some("x.team-a.y"), false),
        (Some("Any"), Some("team-b.x"), true),
        (Some("Any"), None, true),
    ];
    for (limit, id, expected) in cases {
        let limits = limit.map_or(json!({}), |limit| json!({ "clientIds": limit }));
        let spec = id.map_or(web(), |id| with(web(), json!({ "clientId": id })));
        let found = violation(&limited(limits), spec);
        let wanted = match (expected, id) {
            (false, Some(id)) => format!("clientIds: clientId: {id}"),
            _ => String::new(),
        };
        assert_eq!(found, wanted, "{limit:?} {id:?}");
    }
}

#[test]
fn only_listed_client_ids_can_be_adopted() {
    let granted = |ids: Value| {
        let adopt = json!({ "clientIds": ids });
        rules(json!([{ "namespaces": all(), "kinds": ["OAuth2Client"], "adopt": adopt }]))
    };
    let adopting = |id: &str| with(web(), json!({ "clientId": id, "adoption": "Allow" }));
    let cases = [
        (granted(json!(["shop"])), adopting("shop"), ""),
        (
            granted(json!(["Shop", "sho", "shop.x"])),
            adopting("shop"),
            "adopt.clientIds: clientId: shop",
        ),
        (granted(json!([])), adopting("shop"), "adopt.clientIds: clientId: shop"),
        // A grant to choose an id is no grant to adopt it, and the other way round.
        (
            limited(json!({ "clientIds": "Any" })),
            adopting("shop"),
            "adopt.clientIds: clientId: shop",
        ),
        (
            granted(json!(["shop"])),
            with(web(), json!({ "clientId": "shop" })),
            "clientIds: clientId: shop",
        ),
        (
            granted(json!(["shop"])),
            with(web(), json!({ "clientId": "shop", "adoption": "Never" })),
            "clientIds: clientId: shop",
        ),
    ];
    for (rules, value, expected) in cases {
        assert_eq!(violation(&rules, value.clone()), expected, "{value}");
    }
    // On a Vault the name is adopted.
    let named = |adopt: Value, names: &str| {
        rules(json!([{ "namespaces": all(), "kinds": ["OAuth2Client"], "adopt": adopt, "objectNames": names }]))
    };
    let by_name = |adoption: &str| with(web(), json!({ "vault": { "name": "shop" }, "adoption": adoption }));
    let no_grant = "adopt.objectNames: vault.name: shop";
    for (rules, value, expected) in [
        (
            named(json!({ "objectNames": ["shop"] }), "Generated"),
            by_name("Allow"),
            "",
        ),
        (
            named(json!({ "objectNames": ["Shop"] }), "Any"),
            by_name("Allow"),
            no_grant,
        ),
        (
            named(json!({ "clientIds": ["shop"] }), "Any"),
            by_name("Allow"),
            no_grant,
        ),
        (
            named(json!({ "objectNames": ["shop"] }), "Generated"),
            by_name("Never"),
            "objectNames: vault.name: shop",
        ),
        (named(json!({}), "Any"), by_name("Never"), ""),
    ] {
        assert_eq!(violation(&rules, value.clone()), expected, "{value}");
    }
    let denied = check(&granted(json!([])), adopting("shop")).expect_err("denied");
    assert_eq!(
        denied.to_string(),
        "access[0].adopt.clientIds does not allow `shop` in clientId; change it or ask the server's admin."
    );
}

#[test]
fn limits_are_checked_on_effective_values() {
    // The spec sets neither grant types nor scopes; both have defaults.
    assert_eq!(
        violation(&limited(json!({ "grantTypes": ["authorization_code"] })), web()),
        "grantTypes: grantTypes: refresh_token"
    );
    assert_eq!(
        violation(&limited(json!({ "scopes": ["openid"] })), web()),
        "scopes: scopes: offline_access"
    );
}

#[test]
fn limits_of_two_rules_do_not_combine() {
    let two = rules(json!([
        { "namespaces": all(), "kinds": ["OAuth2Client"], "clients": { "scopes": ["openid", "email"], "audiences": [] } },
        { "namespaces": all(), "kinds": ["OAuth2Client"], "clients": { "scopes": [], "audiences": ["api"] } },
    ]));
    let machine = |more| with(json!({ "grantTypes": ["client_credentials"] }), more);
    assert_eq!(violation(&two, machine(json!({ "scopes": ["email"] }))), "");
    assert_eq!(violation(&two, machine(json!({ "audience": ["api"] }))), "");
    assert_ne!(
        violation(&two, machine(json!({ "scopes": ["email"], "audience": ["api"] }))),
        ""
    );
}

#[test]
fn one_rule_that_allows_everything_is_enough() {
    let listed = rules(json!([
        { "namespaces": all(), "kinds": ["OAuth2Client"], "clients": { "scopes": [] } },
        { "namespaces": { "from": "Names", "names": ["other"] }, "kinds": ["OAuth2Client"] },
        { "namespaces": { "from": "Names", "names": ["team-a"] }, "kinds": ["OAuth2Client"] },
    ]));
    assert_eq!(check(&listed, web()), Ok(()));
}

#[test]
fn the_message_names_the_rule_with_the_fewest_violations() {
    let rule = |name: &str, clients: Value| json!({ "namespaces": { "from": "Names", "names": [name] }, "kinds": ["OAuth2Client"], "clients": clients });
    let listed = rules(json!([
        rule("other", json!({ "audiences": [] })), // for another namespace, with the fewest violations
        rule("team-a", json!({ "scopes": [], "audiences": [] })),
        rule(
            "team-a",
            json!({ "scopes": ["openid", "offline_access"], "grantTypes": ["authorization_code"] })
        ),
        rule("team-a", json!({ "audiences": [] })), // as few as the rule before
    ]));
    let spec = with(web(), json!({ "audience": ["api"] }));
    assert_eq!(
        check(&listed, spec).expect_err("denied").to_string(),
        "access[2].clients.grantTypes does not allow `refresh_token` in grantTypes (a default: set grantTypes to replace it; only `authorization_code`); change it or ask the server's admin."
    );
}

#[test]
fn the_message_names_every_violation_and_what_is_allowed() {
    let listed = rules(json!([{
        "namespaces": all(), "kinds": ["OAuth2Client"], "minRotationPeriod": "2h",
        "clients": { "scopes": ["openid"], "audiences": [], "uriHosts": ["*.example.org"] },
    }]));
    let spec = with(
        web(),
        json!({
            "scopes": ["a", "openid", "b"], "audience": ["api"],
            "rotation": { "period": "1h", "withoutOverlap": "Allow" },
        }),
    );
    assert_eq!(
        check(&listed, spec).expect_err("denied").to_string(),
        "access[0].clients.scopes does not allow `a`, `b` in scopes (only `openid`); access[0].clients.audiences does not allow `api` in audience (nothing is allowed); access[0].clients.uriHosts does not allow `https://app.example.com/cb` in redirectUris (only `*.example.org`); change it or ask the server's admin. access[0].minRotationPeriod does not allow rotation.period `1h`, which is shorter than 2h; lengthen it or ask the server's admin."
    );
    // A long list is cut, and the message still fits into an event.
    let many: Vec<String> = (0..1000).map(|number| format!("scope-{number:0>100}")).collect();
    let message = check(&listed, with(web(), json!({ "scopes": many })))
        .expect_err("denied")
        .to_string();
    assert!(message.contains("`, …") && message.len() < 1024, "{message}");
}
