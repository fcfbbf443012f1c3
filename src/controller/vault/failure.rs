//! What a failed request to a Vault means for a resource.

use crate::admin::http::{Failure, TOO_LARGE};
use crate::admin::vault::session::{NO_NAMESPACE, names_namespace};
use crate::error::{Error, Outage, VaultFault};

/// Known parts of the texts with which the server refuses a write, and their meanings. The first match counts.
const REFUSALS: [(&str, Meaning); 14] = [
    ("id_token_ttl greater than", Meaning::TtlInUse),
    ("currently referenced by", Meaning::InUse),
    ("id_token_ttl cannot be greater", Meaning::TtlTooLong),
    (
        "verification_ttl cannot be longer",
        Meaning::Field(
            "rotation.overlap",
            "it must not be longer than ten times rotation.period; shorten it",
        ),
    ),
    (
        "rotation_period must be",
        Meaning::Field("rotation.period", "it must be at least one minute; lengthen it"),
    ),
    (
        "unknown signing algorithm",
        Meaning::Field(
            "generate.algorithm",
            "the server does not support it; choose another one",
        ),
    ),
    (
        "top level key",
        Meaning::Field(
            "template",
            "it sets a claim that the server reserves (iat, aud, exp, iss, sub, namespace, nonce, auth_time, at_hash or c_hash); remove it",
        ),
    ),
    (
        "no value could be found for one of the template directives",
        Meaning::Field(
            "template",
            "the server does not know one of the `{{…}}`; see the documentation of its identity templates",
        ),
    ),
    (
        "template",
        Meaning::Field(
            "template",
            "the server does not accept it; it must be a JSON object when every `{{…}}` is filled in",
        ),
    ),
    (
        "invalid issuer",
        Meaning::Field(
            "issuer",
            "the server accepts only scheme, host and port, such as https://vault.example.com:8200; correct it",
        ),
    ),
    ("scope \"", Meaning::Missing("a scope")),
    ("assignment \"", Meaning::Missing("an assignment")),
    ("key \"default\"", Meaning::NoDefaultKey),
    ("key \"", Meaning::Missing("a key")),
];

#[derive(Clone, Copy)]
enum Meaning {
    Field(&'static str, &'static str),
    Missing(&'static str),
    NoDefaultKey,
    InUse,
    TtlInUse,
    TtlTooLong,
}

/// What a failed request means. `object`: what the request was about, for messages.
pub fn failure(operation: &'static str, object: &'static str, failed: Failure) -> Error {
    let known = |text: &str| {
        REFUSALS
            .iter()
            .find(|(part, _)| text.contains(part))
            .map(|(_, meaning)| *meaning)
    };
    match failed {
        Failure::Outage(Outage::Unfinished) => Error::Unfinished(Vec::new()),
        Failure::Outage(outage) => Error::Unavailable(outage),
        Failure::NotLeader => Error::NotLeader,
        Failure::NoLogin(NO_NAMESPACE) => VaultFault::NamespaceNotFound.into(),
        Failure::NoLogin(problem) => VaultFault::LoginFailed(problem).into(),
        Failure::NotSent(fault) => fault.into(),
        Failure::Denied | Failure::Refused(_) => VaultFault::PermissionDenied(operation).into(),
        Failure::Reply("is a redirect") => VaultFault::Standby.into(),
        Failure::Reply(problem) => Error::Reply { operation, problem },
        Failure::TooLarge(_) => Error::Reply {
            operation,
            problem: TOO_LARGE,
        },
        Failure::Status {
            code: 400, description, ..
        } => match known(&description) {
            Some(Meaning::Field(field, problem)) => Error::InvalidField {
                field,
                problem: problem.to_owned(),
            },
            Some(Meaning::Missing(what)) => VaultFault::Missing(what).into(),
            Some(Meaning::NoDefaultKey) => VaultFault::NoDefaultKey.into(),
            Some(Meaning::InUse) => VaultFault::InUse(object).into(),
            Some(Meaning::TtlInUse) => VaultFault::TtlInUse.into(),
            Some(Meaning::TtlTooLong) => VaultFault::TtlTooLong.into(),
            None => unexpected(operation),
        },
        Failure::Status {
            code: 404, description, ..
        } if names_namespace(&description) => VaultFault::NamespaceNotFound.into(),
        Failure::Status { code: 404 | 405, .. } => Error::NotRecognized {
            what: "The identity engine",
            problem: "is not found where it should be",
            field: "vault.address",
        },
        Failure::Status { .. } | Failure::Expired | Failure::Handled(_) | Failure::NotInThisVersion => {
            unexpected(operation)
        }
    }
}

fn unexpected(operation: &'static str) -> Error {
    Error::Reply {
        operation,
        problem: "has an unexpected status",
    }
}
