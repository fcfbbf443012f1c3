//! Objects of the Kubernetes API are decoded one by one.

use kube::ResourceExt;
use kube::core::{ObjectList, PartialObjectMeta, WatchEvent};
use oidc_operator::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use oidc_operator::decode::{Decode, Item, flaw, has_all_finalizers};
use serde_json::json;

fn list(items: &[&str]) -> Vec<OAuth2Client> {
    let text = format!(
        r#"{{"apiVersion":"oidc-operator.dev/v1alpha1","kind":"OAuth2ClientList","metadata":{{"resourceVersion":"7"}},"items":[{}]}}"#,
        items.join(",")
    );
    let list: ObjectList<Item<OAuth2Client>> = serde_json::from_str(&text).expect("a list");
    list.items.into_iter().map(|Item(client)| client).collect()
}

fn item(spec: &str, rest: &str) -> String {
    format!(r#"{{"metadata":{{"name":"n","namespace":"ns","uid":"u","resourceVersion":"3"}},"spec":{spec}{rest}}}"#)
}

fn one(spec: &str, rest: &str) -> OAuth2Client {
    list(&[&item(spec, rest)]).remove(0)
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn a_bad_item_does_not_affect_the_others() {
    let good = item(r#"{"clientName":"good"}"#, "");
    let deep = item(&format!(r#"{{"metadata":{{"a":{}}}}}"#, nested(100_000)), "");
    let fat = item(&format!(r#"{{"metadata":{{"a":[{}0]}}}}"#, "0,".repeat(600_000)), "");
    let odd = item(r#"{"redirectUris":7,"clientName":"odd"}"#, "");
    let found = list(&[&deep, "7", "[]", "null", "{}", &fat, &odd, &good]);
    assert_eq!(found.len(), 8);
    let last = &found[7];
    assert_eq!((last.spec.client_name.as_deref(), flaw(last)), (Some("good"), None));
    for nameless in &found[1..5] {
        assert_eq!(nameless.metadata.name, None);
    }
    for flawed in [&found[0], &found[5], &found[6]] {
        assert!(flaw(flawed).is_some());
        assert_eq!(
            (flawed.name_any(), flawed.uid().as_deref()),
            ("n".to_owned(), Some("u"))
        );
    }
    assert_eq!(
        found[6].spec.client_name.as_deref(),
        Some("odd"),
        "readable fields are kept"
    );
}

#[test]
fn a_watch_event_with_a_flawed_object_is_decoded() {
    let deep = item(&format!(r#"{{"metadata":{{"a":{}}}}}"#, nested(10_000)), "");
    for (type_, is_meant) in [
        (
            "ADDED",
            (|event| matches!(event, WatchEvent::Added(_))) as fn(&WatchEvent<Item<OAuth2Client>>) -> bool,
        ),
        ("MODIFIED", |event| matches!(event, WatchEvent::Modified(_))),
        ("DELETED", |event| matches!(event, WatchEvent::Deleted(_))),
    ] {
        let line = format!(r#"{{"type":"{type_}","object":{deep}}}"#);
        let event: WatchEvent<Item<OAuth2Client>> = serde_json::from_str(&line).expect("an event");
        assert!(is_meant(&event), "{type_}");
    }
}

#[test]
fn a_flaw_names_the_member_at_fault() {
    let deep = |levels| format!(r#"{{"clientName":"n","metadata":{{"a":{}}}}}"#, nested(levels));
    let fat = |bytes| format!(r#"{{"clientName":"n","metadata":{{"a":"{}"}}}}"#, "x".repeat(bytes));
    let too_deep = "metadata: it is nested deeper than 64 levels; make it flatter.";
    let too_large = "metadata: the spec is larger than 128 KiB; shorten it.";
    let unreadable = |member: &str| {
        format!(
            "{member}: this version of the operator cannot read it; correct it, or upgrade the operator if it needs a later version."
        )
    };
    let table = [
        (deep(63), None),
        (deep(64), Some(too_deep.to_owned())),
        (deep(127), Some(too_deep.to_owned())),
        (deep(10_000), Some(too_deep.to_owned())),
        (fat(100_000), None),
        (fat(140_000), Some(too_large.to_owned())),
        (
            r#"{"clientName":"n","grantTypes":["tomorrow"]}"#.to_owned(),
            Some(unreadable("grantTypes")),
        ),
        (
            r#"{"clientName":"n","deletionPolicy":"Archive"}"#.to_owned(),
            Some(unreadable("deletionPolicy")),
        ),
        (
            r#"{"clientName":"n","metadata":[]}"#.to_owned(),
            Some(unreadable("metadata")),
        ),
        (r#"{"clientName":"n","tomorrow":[{"a":1e400}]}"#.to_owned(), None),
        (
            r#"{"clientName":"n","jwks":{"keys":[{"kty":"RSA"}]}}"#.to_owned(),
            Some(unreadable("jwks")),
        ),
    ];
    for (spec, expected) in table {
        let client = one(&spec, "");
        let shown = &spec[..spec.len().min(90)];
        assert_eq!(flaw(&client), expected.as_deref(), "{shown}");
        assert_eq!(client.spec.client_name.as_deref(), Some("n"), "{shown}");
    }
}

#[test]
fn readable_fields_of_a_status_of_another_version_are_kept() {
    let status = r#","status":{"clientId":"id","observedGeneration":"x","effective":{"grantTypes":["tomorrow"]},"tomorrow":[],
        "conditions":[{"type":"Ready","status":"True","reason":"R","message":"m","lastTransitionTime":"yesterday"}]}"#;
    let client = one("{}", status);
    assert_eq!(flaw(&client), None);
    let status = client.status.expect("a status");
    assert_eq!(status.client_id.as_deref(), Some("id"));
    assert_eq!((status.observed_generation, status.conditions.len()), (None, 0));
    assert!(status.effective.is_none());
}

#[test]
fn every_kind_decodes_without_spec_status_and_metadata() {
    fn check<K: Decode>() {
        for text in [
            "{}",
            r#"{"spec":null,"status":null}"#,
            r#"{"spec":{},"status":{}}"#,
            r#"{"spec":[],"status":"x"}"#,
        ] {
            let item: Item<K> = serde_json::from_str(text).expect("an item");
            assert!(flaw(&item.0).is_none(), "{text}");
        }
    }
    check::<AuthorizationServer>();
    check::<OAuth2Client>();
    check::<Scope>();
    check::<Assignment>();
    check::<JsonWebKeySet>();
    check::<OidcProvider>();
}

#[test]
fn only_metadata_that_the_operator_reads_is_kept() {
    let text = json!({ "metadata": {
        "name": "n", "uid": "u", "generation": 4, "creationTimestamp": "2026-01-01T00:00:00Z",
        "deletionTimestamp": "0000-00-00T99:00:00Z",
        "labels": { "a": "b" },
        "annotations": {
            "oidc-operator.dev/abandon": "true",
            "flaw": "forged",
            "oidc-operator.dev/flaw": "forged",
            "reconcile.fluxcd.io/requestedAt": "now",
            "oidc-operator.dev/rotate-at": "x".repeat(1000),
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
        },
        "managedFields": [{ "time": "yesterday", "fieldsV1": 7 }],
    }, "spec": {} });
    let Item(client): Item<OAuth2Client> = serde_json::from_str(&text.to_string()).expect("an item");
    assert_eq!(flaw(&client), None, "an annotation cannot forge a flaw");
    let kept: Vec<_> = client
        .annotations()
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let expected = [
        ("oidc-operator.dev/abandon", "true"),
        ("oidc-operator.dev/flaw", "forged"),
        ("oidc-operator.dev/rotate-at", ""), // too long
        ("reconcile.fluxcd.io/requestedAt", "now"),
    ];
    assert_eq!(kept, expected);
    assert!(client.metadata.deletion_timestamp.is_some(), "only its presence counts");
    assert!(client.metadata.managed_fields.is_none() && client.metadata.labels.is_none());
    assert_eq!(client.metadata.generation, Some(4));
}

#[test]
fn our_finalizer_is_found_among_many() {
    let with = |finalizers: Vec<String>| {
        let text = json!({ "metadata": { "name": "n", "finalizers": finalizers } }).to_string();
        let Item(client): Item<OAuth2Client> = serde_json::from_str(&text).expect("an item");
        client
    };
    let ours = "oidc-operator.dev/cleanup".to_owned();
    let others = |count: usize| (0..count).map(|number| format!("example.com/{number}"));
    let few = with(others(3).chain([ours.clone()]).collect());
    assert!(has_all_finalizers(&few) && few.finalizers().contains(&ours));
    let many = with(others(50_000).chain([ours.clone()]).collect());
    assert!(!has_all_finalizers(&many) && many.finalizers().contains(&ours));
    assert!(many.finalizers().len() < 50);
    assert!(!with(others(50_000).collect()).finalizers().contains(&ours));
}

#[test]
fn annotations_and_foreign_labels_of_a_secret_are_dropped() {
    let text = json!({ "metadata": {
        "name": "n", "namespace": "ns", "uid": "u", "resourceVersion": "1",
        "annotations": { "a": "x".repeat(100_000) },
        "labels": { "oidc-operator.dev/uid": "owner", "other": "label" },
        "ownerReferences": [{ "apiVersion": "v1", "kind": "OAuth2Client", "name": "app", "uid": "owner" }],
    } });
    let Item(secret): Item<PartialObjectMeta<k8s_openapi::api::core::v1::Secret>> =
        serde_json::from_str(&text.to_string()).expect("an item");
    let labels: Vec<_> = secret.labels().iter().collect();
    assert_eq!(labels.len(), 1);
    assert!(secret.annotations().is_empty());
    assert_eq!(secret.owner_references()[0].name, "app");
}
