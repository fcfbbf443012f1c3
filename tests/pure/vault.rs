//! Objects on a Vault or OpenBao server: when two are the same, and which fields no write can change.

use oidc_operator::admin::vault::{Assignment, Client, Key, Object, Provider, Scope};
use serde_json::{Value, json};

use crate::with;

/// A label, a change on the server, and the names of the fields that then differ from the wanted object.
type Case = (&'static str, Value, &'static [&'static str]);

fn object<O: Object>(value: Value) -> O {
    serde_json::from_value(value).expect(O::TYPE)
}

fn check<O: Object>(wanted: &Value, cases: Vec<Case>) {
    for (what, change, expected) in cases {
        let ours: O = object(wanted.clone());
        let theirs: O = object(with(wanted.clone(), change));
        assert_eq!(ours.differences(&theirs), expected, "{what}");
        assert_eq!(theirs.differences(&ours), expected, "{what}, the other way round");
        assert_eq!(ours.is_confirmed_by(&theirs), expected.is_empty(), "{what}");
    }
}

#[test]
fn a_key_differs_in_each_of_its_fields_and_not_in_order() {
    let wanted = json!({
        "algorithm": "RS256", "rotation_period": 86400, "verification_ttl": 3600, "allowed_client_ids": ["a", "b"],
    });
    check::<Key>(
        &wanted,
        vec![
            ("nothing", json!({}), &[]),
            ("order", json!({ "allowed_client_ids": ["b", "a"] }), &[]),
            ("twice", json!({ "allowed_client_ids": ["b", "a", "b", "a"] }), &[]),
            (
                "one more",
                json!({ "allowed_client_ids": ["a", "b", "c"] }),
                &["allowed_client_ids"],
            ),
            (
                "one less",
                json!({ "allowed_client_ids": ["a"] }),
                &["allowed_client_ids"],
            ),
            ("none", json!({ "allowed_client_ids": [] }), &["allowed_client_ids"]),
            ("all", json!({ "allowed_client_ids": ["*"] }), &["allowed_client_ids"]),
            (
                "another case",
                json!({ "allowed_client_ids": ["A", "b"] }),
                &["allowed_client_ids"],
            ),
            ("algorithm", json!({ "algorithm": "ES256" }), &["algorithm"]),
            ("period", json!({ "rotation_period": 86401 }), &["rotation_period"]),
            ("overlap", json!({ "verification_ttl": 0 }), &["verification_ttl"]),
            (
                "more than one field",
                json!({ "algorithm": "EdDSA", "verification_ttl": 1 }),
                &["algorithm", "verification_ttl"],
            ),
            ("an unknown field", json!({ "new": 1 }), &[]),
        ],
    );
}

#[test]
fn ids_of_entities_and_groups_ignore_case_and_order() {
    let wanted = json!({ "entity_ids": ["7F29-ce10", "b"], "group_ids": ["G"] });
    check::<Assignment>(
        &wanted,
        vec![
            ("nothing", json!({}), &[]),
            (
                "as the server keeps them",
                json!({ "entity_ids": ["7f29-ce10", "b"], "group_ids": ["g"] }),
                &[],
            ),
            ("order", json!({ "entity_ids": ["b", "7F29-ce10"] }), &[]),
            (
                "twice, in two cases",
                json!({ "entity_ids": ["B", "b", "7F29-CE10"] }),
                &[],
            ),
            ("another", json!({ "entity_ids": ["7f29-ce11", "b"] }), &["entity_ids"]),
            ("one less", json!({ "entity_ids": ["b"] }), &["entity_ids"]),
            ("no group", json!({ "group_ids": [] }), &["group_ids"]),
            (
                "an entity for a group",
                json!({ "entity_ids": ["7f29-ce10"], "group_ids": ["b", "g"] }),
                &["entity_ids", "group_ids"],
            ),
        ],
    );
}

#[test]
fn a_template_is_compared_exactly() {
    let wanted = json!({ "description": "Groups", "template": r#"{"groups": {{identity.entity.groups.names}}}"# });
    check::<Scope>(
        &wanted,
        vec![
            ("nothing", json!({}), &[]),
            (
                "a space",
                json!({ "template": r#"{"groups":{{identity.entity.groups.names}}}"# }),
                &["template"],
            ),
            (
                "a line break",
                json!({ "template": "{\"groups\": {{identity.entity.groups.names}}}\n" }),
                &["template"],
            ),
            ("no template", json!({ "template": "" }), &["template"]),
            ("no description", json!({ "description": "" }), &["description"]),
            (
                "both",
                json!({ "description": "groups", "template": "{}" }),
                &["description", "template"],
            ),
        ],
    );
}

/// The client fields that every server has.
fn client() -> Value {
    json!({
        "key": "default", "client_type": "confidential", "redirect_uris": ["https://x/a", "https://x/b"],
        "assignments": ["allow_all", "staff"], "id_token_ttl": 3600, "access_token_ttl": 600,
    })
}

#[test]
fn a_client_differs_in_each_field_of_ours_and_not_in_server_made_fields() {
    check::<Client>(
        &client(),
        vec![
            ("nothing", json!({}), &[]),
            (
                "order, and twice",
                json!({ "redirect_uris": ["https://x/b", "https://x/a", "https://x/b"], "assignments": ["staff", "allow_all"] }),
                &[],
            ),
            (
                "id and secret",
                json!({ "client_id": "0123456789", "client_secret": "hvo_secret_x" }),
                &[],
            ),
            ("key", json!({ "key": "other" }), &["key"]),
            ("type", json!({ "client_type": "public" }), &["client_type"]),
            (
                "one URI",
                json!({ "redirect_uris": ["https://x/a"] }),
                &["redirect_uris"],
            ),
            (
                "another URI",
                json!({ "redirect_uris": ["https://x/a", "https://x/b/"] }),
                &["redirect_uris"],
            ),
            ("no assignments", json!({ "assignments": [] }), &["assignments"]),
            ("ID token", json!({ "id_token_ttl": 3599 }), &["id_token_ttl"]),
            ("access token", json!({ "access_token_ttl": 0 }), &["access_token_ttl"]),
            (
                "all at once, in this order",
                json!({
                    "access_token_ttl": 1, "id_token_ttl": 1, "assignments": [], "redirect_uris": [], "client_type": "public",
                    "key": "k", "client_credentials": true, "authorization_code": false,
                }),
                &[
                    "key",
                    "client_type",
                    "redirect_uris",
                    "assignments",
                    "id_token_ttl",
                    "access_token_ttl",
                    "authorization_code",
                    "client_credentials",
                ],
            ),
        ],
    );
}

/// A server without a choice of grants has neither field. A server with that choice may return null for a client that
/// is older than the fields.
#[test]
fn a_missing_grant_field_means_the_grants_before_there_was_a_choice() {
    let none = json!({});
    let null = json!({ "authorization_code": null, "client_credentials": null });
    let grants =
        |code: bool, credentials: bool| json!({ "authorization_code": code, "client_credentials": credentials });
    let cases: [(&Value, Value, &[&str]); 9] = [
        (&none, none.clone(), &[]),
        (&none, null.clone(), &[]),
        (&none, grants(true, false), &[]),
        (&grants(true, false), none.clone(), &[]),
        (&grants(true, false), null.clone(), &[]),
        (&grants(false, false), null.clone(), &["authorization_code"]),
        (&grants(true, true), null, &["client_credentials"]),
        (
            &grants(false, true),
            none.clone(),
            &["authorization_code", "client_credentials"],
        ),
        (&grants(false, true), grants(false, true), &[]),
    ];
    for (wanted, observed, expected) in cases {
        let [ours, theirs]: [Client; 2] = [wanted, &observed].map(|grants| object(with(client(), grants.clone())));
        assert_eq!(ours.differences(&theirs), expected, "{wanted} {observed}");
    }
}

const OWN: &str = "https://vault.example.com:8200/v1/identity/oidc/provider/main";

fn provider(issuer: &str, of_own_address: Option<&str>) -> Provider {
    Provider {
        issuer: Some(issuer.to_owned()),
        allowed_client_ids: ["a".to_owned(), "b".to_owned()].into(),
        kept_client_ids: [].into(),
        scopes_supported: ["groups".to_owned()].into(),
        of_own_address: of_own_address.map(str::to_owned),
    }
}

#[test]
fn a_written_issuer_is_read_back_with_the_path_of_the_provider() {
    let id = "https://id.example.com:8200";
    let path = "/v1/identity/oidc/provider/main";
    let cases = [
        // No issuer was written: the server uses its own address, which may be any until it is known.
        ("", None, OWN.to_owned(), true),
        ("", None, format!("http://10.0.0.1:8200{path}"), true),
        ("", Some(OWN), OWN.to_owned(), true),
        ("", Some(OWN), format!("http://10.0.0.1:8200{path}"), false),
        ("", Some(OWN), format!("{id}{path}"), false),
        ("", Some(""), OWN.to_owned(), false), // it cannot be distinguished from an issuer written before
        // An issuer was written.
        (id, None, format!("{id}{path}"), true),
        (id, Some(OWN), format!("{id}{path}"), true),
        (id, None, format!("{id}/v1/team1/identity/oidc/provider/main"), true),
        (id, None, OWN.to_owned(), false),
        (id, Some(OWN), OWN.to_owned(), false),
        (id, None, id.to_owned(), false),
        (id, None, format!("https://ID.example.com:8200{path}"), false),
        (id, None, format!("http://id.example.com:8200{path}"), false),
        ("https://id.example.com", None, format!("{id}{path}"), false),
        (
            "https://id.example.com",
            None,
            format!("https://id.example.com.evil.org{path}"),
            false,
        ),
        (
            "https://id.example.com",
            None,
            format!("https://id.example.com{path}"),
            true,
        ),
        (
            "https://ID.example.com",
            None,
            format!("https://ID.example.com{path}"),
            true,
        ),
    ];
    for (written, of_own_address, read, expected) in cases {
        let differences = provider(written, of_own_address).differences(&provider(&read, None));
        let differing: &[&str] = if expected { &[] } else { &["issuer"] };
        assert_eq!(differences, differing, "{written:?} {of_own_address:?} {read}");
    }
}

#[test]
fn a_provider_differs_in_its_lists_and_not_in_order() {
    let change = |clients: &[&str], scopes: &[&str]| {
        let mut changed = provider(OWN, None);
        changed.allowed_client_ids = clients.iter().map(|id| (*id).to_owned()).collect();
        changed.scopes_supported = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        changed
    };
    let cases: [(_, &[&str]); 6] = [
        (change(&["a", "b"], &["groups"]), &[]),
        (change(&["b", "a", "b"], &["groups", "groups"]), &[]),
        (change(&["*"], &["groups"]), &["allowed_client_ids"]),
        (change(&["a"], &["groups"]), &["allowed_client_ids"]),
        (change(&["a", "b"], &[]), &["scopes_supported"]),
        (
            change(&[], &["email", "groups"]),
            &["allowed_client_ids", "scopes_supported"],
        ),
    ];
    for (observed, expected) in cases {
        let wanted = provider("", Some(OWN));
        assert_eq!(wanted.differences(&observed), expected, "{observed:?}");
        assert_eq!(wanted.is_confirmed_by(&observed), expected.is_empty(), "{observed:?}");
    }
}

/// With a write, the server takes its current address.
#[test]
fn a_write_is_confirmed_whatever_address_the_server_has_now() {
    let moved = provider("https://new.example.com/v1/identity/oidc/provider/main", None);
    for known in [None, Some(""), Some(OWN)] {
        assert!(provider("", known).is_confirmed_by(&moved), "{known:?}");
    }
    let written = provider("https://id.example.com", Some(OWN));
    assert!(!written.is_confirmed_by(&moved), "a written issuer is shown");
    assert!(!written.is_confirmed_by(&provider(OWN, None)));
}

#[test]
fn only_key_and_type_of_a_client_are_immutable() {
    let changed = |more: Value| object::<Client>(with(client(), more));
    let cases: [(Value, &[&str]); 5] = [
        (json!({}), &[]),
        (json!({ "key": "other" }), &["keySetRef"]),
        (json!({ "client_type": "public" }), &["clientType"]),
        (
            json!({ "key": "other", "client_type": "public", "id_token_ttl": 1 }),
            &["keySetRef", "clientType"],
        ),
        (
            json!({
                "redirect_uris": [], "assignments": [], "id_token_ttl": 1, "access_token_ttl": 1,
                "authorization_code": false, "client_credentials": true,
            }),
            &[],
        ),
    ];
    for (more, expected) in cases {
        assert_eq!(changed(json!({})).immutable(&changed(more.clone())), expected, "{more}");
    }
    let key = |algorithm: &str| {
        object::<Key>(
            json!({ "algorithm": algorithm, "rotation_period": 1, "verification_ttl": 1, "allowed_client_ids": [] }),
        )
    };
    assert!(key("RS256").immutable(&key("ES256")).is_empty());
    let scope = |template: &str| object::<Scope>(json!({ "description": "", "template": template }));
    assert!(scope("{}").immutable(&scope("")).is_empty());
    let assignment = |id: &str| object::<Assignment>(json!({ "entity_ids": [id], "group_ids": [id] }));
    assert!(assignment("a").immutable(&assignment("b")).is_empty());
    assert!(
        provider("", Some(OWN))
            .immutable(&provider("https://x", None))
            .is_empty()
    );
}

#[test]
fn built_in_objects_are_recognized_by_name() {
    // Assignment, client, key, provider, scope
    let cases = [
        ("default", [false, false, true, true, false]),
        ("allow_all", [true, false, false, false, false]),
        ("openid", [false, false, false, false, true]),
        ("Default", [false; 5]),
        ("ALLOW_ALL", [false; 5]),
        ("OpenID", [false; 5]),
        ("default.", [false; 5]),
        ("team-a.default", [false; 5]),
        ("", [false; 5]),
    ];
    for (name, expected) in cases {
        let found = [
            Assignment::is_reserved(name),
            Client::is_reserved(name),
            Key::is_reserved(name),
            Provider::is_reserved(name),
            Scope::is_reserved(name),
        ];
        assert_eq!(found, expected, "{name:?}");
    }
}

#[test]
fn grants_that_the_server_does_not_know_are_found_in_what_it_stored() {
    let asked = |grants: Value| object::<Client>(with(client(), grants));
    let [code, machine, both] = [(true, false), (false, true), (true, true)]
        .map(|(code, machine)| json!({ "authorization_code": code, "client_credentials": machine }));
    let cases = [
        (json!({}), json!({}), false),
        (code.clone(), json!({}), false),
        (code, machine.clone(), false),
        (machine.clone(), json!({}), true),
        (machine.clone(), machine.clone(), false),
        (
            machine,
            json!({ "authorization_code": null, "client_credentials": false }),
            false,
        ),
        (both.clone(), json!({}), true),
        (both.clone(), both, false),
    ];
    for (wanted, stored, expected) in cases {
        let dropped = asked(wanted.clone()).dropped(&asked(stored.clone()));
        let expected: &[&str] = if expected { &["grantTypes"] } else { &[] };
        assert_eq!(dropped, expected, "{wanted} {stored}");
    }
}
