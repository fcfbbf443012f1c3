//! The annotations by which users ask the operator for something: a closed list, and what is wrong with those that it
//! cannot follow. Pure.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::{ABANDON_ANNOTATION, GROUP, MIGRATED_FROM_ANNOTATION, RECONCILE_AT_ANNOTATION, ROTATE_AT_ANNOTATION};

/// Annotation that a policy of the cluster reads, which the operator's manifests contain.
const PROTECTION: &str = "oidc-operator.dev/deletion-protection";

/// Annotations of our group that users may set on a kind.
pub fn known(kind: &str) -> &'static [&'static str] {
    match kind {
        "OAuth2Client" => &[
            ABANDON_ANNOTATION,
            MIGRATED_FROM_ANNOTATION,
            PROTECTION,
            RECONCILE_AT_ANNOTATION,
            ROTATE_AT_ANNOTATION,
        ],
        "JsonWebKeySet" => &[
            ABANDON_ANNOTATION,
            PROTECTION,
            RECONCILE_AT_ANNOTATION,
            ROTATE_AT_ANNOTATION,
        ],
        "AuthorizationServer" => &[PROTECTION, RECONCILE_AT_ANNOTATION],
        _ => &[ABANDON_ANNOTATION, PROTECTION, RECONCILE_AT_ANNOTATION],
    }
}

/// What is wrong with the annotations of our group on a resource of a kind: full sentences. The operator ignores these
/// annotations.
pub fn problems(kind: &str, annotations: &BTreeMap<String, String>) -> Vec<String> {
    let ours = annotations.iter().filter(|(name, _)| is_ours(name));
    ours.filter_map(|(name, value)| problem(kind, name, value)).collect()
}

/// Whether an annotation belongs to our group.
pub fn is_ours(name: &str) -> bool {
    name.split_once('/').is_some_and(|(group, _)| group == GROUP)
}

fn problem(kind: &str, name: &str, value: &str) -> Option<String> {
    let known = known(kind);
    if !known.contains(&name) {
        return Some(format!(
            "The operator ignores the annotation `{name}`, which {kind}s do not have; they have {}.",
            known
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ));
    }
    let wanted = match name {
        ABANDON_ANNOTATION if !matches!(value, "true" | "false") => "set it to true, or remove it",
        ROTATE_AT_ANNOTATION if value.parse::<Timestamp>().is_err() => {
            "set it to an RFC 3339 time such as 2026-01-31T12:00:00Z"
        }
        RECONCILE_AT_ANNOTATION if value.is_empty() => "set it to a value of at most 256 bytes, such as the time",
        _ => return None,
    };
    Some(format!(
        "The operator ignores the value of the annotation `{name}`; {wanted}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_annotation_is_found() {
        let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let client = "OAuth2Client";
        for (kind, name, value, expected) in [
            (client, "oidc-operator.dev/rotate-at", "2026-01-31T12:00:00Z", None),
            (client, "oidc-operator.dev/rotate-at", "2026-01-31T12:00:00+01:00", None),
            (client, "oidc-operator.dev/rotate-at", "tomorrow", Some("RFC 3339")),
            (
                client,
                "oidc-operator.dev/rotate_at",
                "2026-01-31T12:00:00Z",
                Some("rotate_at"),
            ),
            (client, "oidc-operator.dev/abandon", "yes", Some("set it to true")),
            (client, "oidc-operator.dev/abandon", "true", None),
            (client, "oidc-operator.dev/abandon", "false", None),
            (client, "oidc-operator.dev/reconcile-at", "", Some("256 bytes")),
            (client, "oidc-operator.dev/reconcile-at", "anything", None),
            (client, "oidc-operator.dev/deletion-protection", "true", None),
            (client, "other.example.com/rotate_at", "x", None),
            (client, "oidc-operator.dev", "x", None),
            (
                "Scope",
                "oidc-operator.dev/rotate-at",
                "2026-01-31T12:00:00Z",
                Some("Scopes do not have"),
            ),
            (
                "AuthorizationServer",
                "oidc-operator.dev/abandon",
                "true",
                Some("do not have"),
            ),
            ("AuthorizationServer", "oidc-operator.dev/reconcile-at", "1", None),
        ] {
            let found = problems(kind, &of(&[(name, value)]));
            let is_as_expected = match (&*found, expected) {
                ([], None) => true,
                ([text], Some(expected)) => text.contains(expected) && text.ends_with('.'),
                _ => false,
            };
            assert!(is_as_expected, "{kind} {name}={value}: {found:?}");
        }
        let many = of(&[("oidc-operator.dev/a", ""), ("oidc-operator.dev/b", "")]);
        assert_eq!(problems(client, &many).len(), 2);
    }
}
