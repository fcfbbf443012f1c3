//! What a failed request to a Vault or OpenBao server means.

use oidc_operator::admin::http::{Failure, RedirectTo};
use oidc_operator::admin::vault::session::NO_NAMESPACE;
use oidc_operator::api::condition::Reason;
use oidc_operator::controller::vault::failure::failure;
use oidc_operator::error::{Class, Error, Hindrance, Outage};

/// The error for a failure of `write_key` on a `key`.
fn meaning(failed: Failure) -> Error {
    failure("write_key", "key", failed)
}

fn status(code: u16, description: &str) -> Failure {
    Failure::Status {
        code,
        error: Some(String::new()),
        description: description.to_owned(),
    }
}

/// Messages of servers with status 400, each with the field that it is about, if any, and with class and reason.
#[test]
fn each_known_refusal_has_one_meaning() {
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
                r#"key "default" does not exist"#,
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
        // The operator never sends such requests, so these are its own faults.
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

/// A server's text is only used to classify an error and is never shown: it may hold what users wrote.
#[test]
fn no_message_shows_the_text_of_the_server() {
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
fn each_failure_has_a_class_and_a_reason_and_only_a_failed_login_or_outage_concerns_the_server() {
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
        (
            at(Outage::Unreachable("http://h".to_owned(), Hindrance::Refused)),
            unavailable,
            true,
        ),
        (at(Outage::Status(503, None)), unavailable, true),
        (at(Outage::Known), unavailable, true),
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
        (status(400, "it is currently referenced by x"), "still uses the key"),
        (status(400, r#"key "k" does not exist"#), "a key"),
        (status(400, r#"key "default" does not exist"#), "set keySetRef"),
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
