//! Objects on a Vault or an OpenBao: when two are the same, what no write can change, and what a refusal means.

use oidc_operator::admin::http::{Failure, RedirectTo};
use oidc_operator::admin::vault::session::NO_NAMESPACE;
use oidc_operator::admin::vault::{Assignment, Client, Key, Object, Provider, Scope};
use oidc_operator::api::condition::Reason;
use oidc_operator::controller::vault::failure::failure;
use oidc_operator::error::{Class, Error, Outage};
use serde_json::{Value, json};

use crate::with;

/// What was changed on the server, and the names of the fields in which it differs from what is wanted then.
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
fn a_key_differs_in_each_of_its_fields_and_in_no_order() {
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
            ("a field that we do not know", json!({ "new": 1 }), &[]),
        ],
    );
}

#[test]
fn ids_of_entities_and_groups_have_no_case_and_no_order() {
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
fn a_template_is_compared_to_the_letter() {
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

/// What every server knows of a client.
fn client() -> Value {
    json!({
        "key": "default", "client_type": "confidential", "redirect_uris": ["https://x/a", "https://x/b"],
        "assignments": ["allow_all", "staff"], "id_token_ttl": 3600, "access_token_ttl": 600,
    })
}

#[test]
fn a_client_differs_in_each_field_that_is_ours_and_in_nothing_that_the_server_makes() {
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
            ("nobody", json!({ "assignments": [] }), &["assignments"]),
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

/// A server that does not choose grants has neither field, and one that does may have null for a client that is older than the fields.
#[test]
fn a_grant_that_is_not_there_is_as_it_was_before_there_was_a_choice() {
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
        issuer: issuer.to_owned(),
        allowed_client_ids: ["a".to_owned(), "b".to_owned()].into(),
        scopes_supported: ["groups".to_owned()].into(),
        of_own_address: of_own_address.map(str::to_owned),
    }
}

#[test]
fn an_issuer_is_read_as_the_one_that_was_written_with_the_path_of_the_provider() {
    let id = "https://id.example.com:8200";
    let path = "/v1/identity/oidc/provider/main";
    let cases = [
        // Nothing was written: the server's own address, which may be any until it is known.
        ("", None, OWN.to_owned(), true),
        ("", None, format!("http://10.0.0.1:8200{path}"), true),
        ("", Some(OWN), OWN.to_owned(), true),
        ("", Some(OWN), format!("http://10.0.0.1:8200{path}"), false),
        ("", Some(OWN), format!("{id}{path}"), false),
        ("", Some(""), OWN.to_owned(), false), // one that was written before cannot be told from it
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
fn a_provider_differs_in_its_lists_and_in_no_order() {
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

/// With a write the server takes the address that it has now.
#[test]
fn a_write_is_confirmed_whatever_address_the_server_has_since() {
    let moved = provider("https://new.example.com/v1/identity/oidc/provider/main", None);
    for known in [None, Some(""), Some(OWN)] {
        assert!(provider("", known).is_confirmed_by(&moved), "{known:?}");
    }
    let written = provider("https://id.example.com", Some(OWN));
    assert!(!written.is_confirmed_by(&moved), "an issuer that was written is shown");
    assert!(!written.is_confirmed_by(&provider(OWN, None)));
}

#[test]
fn only_key_and_type_of_a_client_cannot_be_changed() {
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
fn what_is_the_servers_own_is_known_by_its_name() {
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

/// What becomes of a failure of `write_key` on a `key`.
fn meaning(failed: Failure) -> Error {
    failure("write_key", "key", failed)
}

fn status(code: u16, description: &str) -> Failure {
    Failure::Status {
        code,
        error: None,
        description: description.to_owned(),
    }
}

/// What servers say with a status of 400, and of each the field that it is about, if it is, and class and reason.
#[test]
fn each_refusal_that_a_server_is_known_for_means_one_thing() {
    type Meant = (&'static str, Class, Reason);
    let invalid = |field| (field, Class::Invalid, Reason::InvalidSpec);
    let cases: [(Meant, &[&str]); 9] = [
        (
            invalid("rotation.period"),
            &["rotation_period must be at least one minute"],
        ),
        (
            invalid("rotation.overlap"),
            &["verification_ttl cannot be longer than 10x rotation_period"],
        ),
        (invalid("generate.algorithm"), &[r#"unknown signing algorithm "XX""#]),
        (
            invalid("template"),
            &[
                "error parsing template JSON: unexpected end of JSON input",
                "error parsing template JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
                r#"error parsing template JSON: invalid character '"' after object key:value pair"#,
                "error parsing template: no value could be found for one of the template directives",
                "error parsing template: unbalanced templating characters",
                r#"top level key "sub" not allowed. Restricted keys: iat, aud, exp, iss, sub, namespace, nonce"#,
            ],
        ),
        (
            invalid("issuer"),
            &[
                "invalid issuer, which must include only a scheme, host, and optional port (e.g. https://example.com:8200)",
            ],
        ),
        (
            ("", Class::Blocked, Reason::ReferenceNotFound),
            &[
                r#"key "x" does not exist"#,
                r#"assignment "m" does not exist"#,
                r#"scope "x" does not exist"#,
                r#"assignment "key" does not exist"#,
            ],
        ),
        (
            ("", Class::Blocked, Reason::InUse),
            &[
                r#"unable to delete key "k2" because it is currently referenced by these clients: cc, cp"#,
                r#"unable to delete key "k2" because it is currently referenced by these roles: r1"#,
                r#"unable to delete assignment "a1" because it is currently referenced by these clients: c1"#,
                r#"unable to delete scope "s1" because it is currently referenced by these providers: p1"#,
            ],
        ),
        (
            ("", Class::Blocked, Reason::InvalidSpec),
            &[
                "a client's id_token_ttl cannot be greater than the verification_ttl of the key it references",
                r#"unable to update key "k" because it is currently referenced by one or more clients with an id_token_ttl greater than 60 seconds"#,
            ],
        ),
        // What is never asked for, so that it is the operator's fault.
        (
            ("", Class::Bug, Reason::InternalError),
            &[
                r#"invalid client_type "web""#,
                "key modification is not allowed",
                "client_type modification is not allowed",
                r#"error converting input for field "rotation_period": time: invalid duration "abc""#,
                r#"the "openid" scope name is reserved"#,
                r#"deletion of OIDC provider "default" not allowed"#,
                "something new",
                "",
            ],
        ),
    ];
    for ((field, class, reason), texts) in cases {
        for text in texts {
            let error = meaning(status(400, text));
            assert_eq!(error.class(), (class, reason), "{text}");
            let named = match &error {
                Error::InvalidField { field, .. } => field,
                _ => "",
            };
            assert_eq!(named, field, "{text}");
            assert!(!error.is_outage(), "{text}");
        }
    }
}

/// What a server says is for finding out, and for nobody to read: it may hold what users wrote.
#[test]
fn no_message_shows_what_the_server_says() {
    let texts = [
        r#"key "geheim" does not exist"#,
        r#"unable to delete key "geheim" because it is currently referenced by these clients: geheim"#,
        r#"top level key "geheim" not allowed"#,
        "error parsing template JSON: geheim",
        "invalid issuer geheim",
        "geheim",
    ];
    for text in texts {
        for code in [400, 404, 409, 418] {
            let message = meaning(status(code, text)).to_string();
            assert!(!message.contains("geheim"), "{code} {text}: {message}");
        }
    }
}

#[test]
fn each_failure_has_class_and_reason_and_only_that_of_the_login_speaks_of_the_server() {
    let at = |outage| Failure::Outage(outage);
    let refused = (Class::ServerRefused, Reason::PermissionDenied);
    let nowhere = (Class::Blocked, Reason::NamespaceNotFound);
    let strange = (Class::Transient, Reason::ServerNotRecognized);
    let bug = (Class::Bug, Reason::InternalError);
    let unavailable = (Class::Transient, Reason::ServerUnavailable);
    let cases = [
        (Failure::Denied, refused, false),
        (Failure::Refused(403), refused, false),
        (
            Failure::NoLogin("there is no such role"),
            (Class::ServerRefused, Reason::LoginFailed),
            true,
        ),
        (Failure::NoLogin(NO_NAMESPACE), nowhere, true),
        (status(404, "namespace not found"), nowhere, true),
        (
            status(
                404,
                "no handler for route \"team1/identity/oidc/key/k\". route entry not found.",
            ),
            nowhere,
            true,
        ),
        (
            status(404, "1 error occurred:\n\t* unsupported path\n\n"),
            strange,
            false,
        ),
        (status(404, ""), strange, false),
        (status(405, "unsupported operation"), strange, false),
        (status(409, "namespace"), bug, false),
        (
            Failure::Reply("is a redirect"),
            (Class::Transient, Reason::ServerStandby),
            false,
        ),
        (Failure::Reply("is not JSON"), bug, false),
        (at(Outage::Unreachable), unavailable, true),
        (at(Outage::Status(503, None)), unavailable, true),
        (at(Outage::Known), unavailable, false),
        (
            Failure::NotLeader,
            (Class::Transient, Reason::ClusterUnavailable),
            false,
        ),
        (Failure::Expired, bug, false),
        (
            Failure::Handled(Some(RedirectTo::new("https://x".to_owned()))),
            bug,
            false,
        ),
        (Failure::NotInThisVersion, bug, false),
    ];
    for (failed, expected, is_outage) in cases {
        let error = meaning(failed.clone());
        assert_eq!(error.class(), expected, "{failed:?}");
        assert_eq!(error.is_outage(), is_outage, "{failed:?}");
    }
}

#[test]
fn a_message_names_the_operation_or_the_object_or_what_is_missing() {
    let cases = [
        (Failure::Denied, "do not allow write_key"),
        (status(400, "something new"), "write_key"),
        (
            status(400, "it is currently referenced by x"),
            "The key is still referred to",
        ),
        (status(400, r#"key "k" does not exist"#), "a key"),
        (status(400, r#"scope "s" does not exist"#), "a scope"),
        (status(400, r#"assignment "a" does not exist"#), "an assignment"),
        (
            Failure::NoLogin("there is no such role"),
            "cannot log in: there is no such role",
        ),
        (Failure::NoLogin(NO_NAMESPACE), "vault.namespace"),
        (status(404, "unsupported path"), "vault.address"),
    ];
    for (failed, expected) in cases {
        let message = meaning(failed.clone()).to_string();
        assert!(message.contains(expected), "{failed:?}: {message}");
    }
}
