//! One rule must allow all that a resource asks for, one thing after another.

use std::collections::BTreeMap;

use oidc_operator::access::{self, Candidates, Denied, KeySetRequest, NameRequest, Namespace};
use oidc_operator::api::access::{AccessRule, ManagedKind};
use serde_json::{Value, json};

use crate::access::{all, rules};
use crate::with;

#[derive(Clone, Copy, Debug)]
enum Ask {
    /// A name of its own choice.
    Name(&'static str),
    /// To adopt the object of this name.
    Adopt(&'static str),
    /// That the object stays.
    Leave,
    /// To offer a scope of others.
    Offer(&'static str),
}

fn ask(rules: &[AccessRule], asked: &[Ask]) -> Result<(), Denied> {
    let labels = BTreeMap::new();
    let namespace = Namespace {
        name: "team-a",
        labels: Some(&labels),
    };
    let mut candidates = Candidates::of(rules, namespace, ManagedKind::OidcProvider)?;
    let named = |name, adopts| NameRequest {
        field: "vault.name",
        name,
        is_own: access::is_prefixed("team-a", name),
        adopts,
    };
    for ask in asked {
        match ask {
            Ask::Name(name) => candidates.may_name(rules, named(name, false))?,
            Ask::Adopt(name) => candidates.may_name(rules, named(name, true))?,
            Ask::Leave => candidates.may_leave(rules)?,
            Ask::Offer(scope) => candidates.may_offer(rules, scope, access::is_prefixed("team-a", scope))?,
        }
    }
    Ok(())
}

fn rule(more: Value) -> Value {
    with(
        json!({ "namespaces": all(), "kinds": ["OidcProvider", "JsonWebKeySet"] }),
        more,
    )
}

fn only_delete(more: Value) -> Value {
    with(rule(json!({ "clients": { "deletionPolicies": ["Delete"] } })), more)
}

#[test]
fn what_two_rules_allow_in_parts_no_resource_gets() {
    use Ask::{Adopt, Leave, Name, Offer};
    let any_name = || only_delete(json!({ "objectNames": "Any" }));
    let own_name = || only_delete(json!({ "objectNames": "Prefixed" }));
    let adopts = || only_delete(json!({ "adopt": { "objectNames": ["legacy"] } }));
    let offers = || only_delete(json!({ "providers": { "scopes": ["groups", "mail"] } }));
    let leaves = || rule(json!({}));
    let policy = |index: usize| {
        format!(
            "access[{index}].clients.deletionPolicies does not allow `Orphan` in deletionPolicy; change it or ask the server's admin."
        )
    };
    let of = |denied: &str| format!("{denied}; change it or ask the server's admin.");
    let table: Vec<(Vec<Value>, &[Ask], String)> = vec![
        (vec![any_name(), leaves()], &[Name("x")], String::new()),
        (vec![any_name(), leaves()], &[Leave], String::new()),
        (vec![any_name(), leaves()], &[Name("x"), Leave], policy(0)),
        (
            vec![any_name(), leaves()],
            &[Leave, Name("x")],
            of("access[1].objectNames does not allow `x` in vault.name"),
        ),
        (vec![adopts(), leaves()], &[Adopt("legacy"), Leave], policy(0)),
        (
            vec![leaves(), adopts(), any_name()],
            &[Adopt("legacy"), Name("x")],
            of("access[1].objectNames does not allow `x` in vault.name"),
        ),
        (
            vec![own_name(), offers()],
            &[Name("team-a.x"), Offer("groups")],
            of("access[0].providers.scopes does not allow `groups` in scopes"),
        ),
        (
            vec![own_name(), offers()],
            &[Offer("groups"), Offer("phone")],
            of("access[1].providers.scopes does not allow `phone` in scopes (only `groups`, `mail`)"),
        ),
        (
            vec![own_name(), any_name()],
            &[Name("team-a.x"), Name("x"), Offer("y")],
            String::new(),
        ),
        (
            vec![own_name(), any_name(), leaves()],
            &[Name("x"), Offer("y"), Leave],
            policy(1),
        ),
        (
            vec![any_name(), rule(json!({ "objectNames": "Any" }))],
            &[Name("x"), Offer("y"), Leave],
            String::new(),
        ),
    ];
    for (listed, asked, expected) in table {
        let denied = ask(&rules(json!(listed)), asked).err();
        let said = denied.map(|denied| denied.to_string()).unwrap_or_default();
        assert_eq!(said, expected, "{listed:?} {asked:?}");
    }
}

#[test]
fn a_key_set_stays_only_by_the_rule_that_allows_its_name() {
    let any_name = || only_delete(json!({ "objectNames": "Any" }));
    let labels = BTreeMap::new();
    let namespace = Namespace {
        name: "team-a",
        labels: Some(&labels),
    };
    for (listed, name, stays, expected) in [
        (vec![any_name(), rule(json!({}))], Some("x"), false, true),
        (vec![any_name(), rule(json!({}))], None, true, true),
        (vec![any_name(), rule(json!({}))], Some("x"), true, false),
        (vec![any_name()], None, true, false),
        (vec![rule(json!({ "objectNames": "Any" }))], Some("x"), true, true),
    ] {
        let request = KeySetRequest {
            name,
            stays,
            ..KeySetRequest::default()
        };
        let rules = rules(json!(listed));
        let may = access::check_key_set(&rules, namespace, request).is_ok();
        assert_eq!(may, expected, "{rules:?} {name:?} {stays}");
    }
}
