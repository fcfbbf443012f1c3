//! Patterns of fields as rules with a message. Kubernetes answers a value that does not match a pattern with the pattern
//! itself, which tells most people nothing.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};

/// The pattern of a duration.
const DURATION: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$";
/// The pattern of an overlap, which is a duration or ends by itself.
const OVERLAP: &str = r"^(UntilUnused|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$";
/// What is wrong with a text that is no duration. Days and weeks are what most people try.
const NO_DURATION: &str = "not a duration; write a number and a unit of ms, s, m or h, such as 90m; 90 days are 2160h";

/// Patterns, and what to say about a value that does not match.
const MESSAGES: [(&str, &str); 27] = [
    (DURATION, NO_DURATION),
    (
        OVERLAP,
        "neither UntilUnused nor a duration; write a number and a unit of ms, s, m or h, such as 90m; 90 days are 2160h",
    ),
    (
        r"^[-._a-zA-Z0-9]+$",
        "not a key of a Secret or ConfigMap; use only letters, digits, dashes, underscores and dots",
    ),
    (
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "not a name of a Kubernetes object; use only lowercase letters, digits, dashes and dots, and start and end with a letter or digit",
    ),
    (
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "use only lowercase letters, digits and dashes, and start and end with a letter or digit",
    ),
    (
        r"^[A-Za-z0-9][A-Za-z0-9._~-]*$",
        "use only letters, digits, dots, underscores, tildes and dashes, and start with a letter or digit",
    ),
    (
        r"^/[A-Za-z0-9/+-]+[A-Za-z0-9]/$",
        "start and end it with a slash, with only letters, digits, slashes, `+` and `-` between, such as /oidc-operator/",
    ),
    (
        r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
        "not a URL as needed here; start it with https:// or http://, and use no user name, query, fragment or space",
    ),
    (
        r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        "not the name of a header; use no spaces, colons or other separators",
    ),
    (
        r"^https?://[^/?#@\s]+/?$",
        "write scheme, host and port only, such as https://app.example.com:8443, without user name, path, query or fragment",
    ),
    (
        r"^[^/\s?#%]+(/[^/\s?#%]+)*$",
        "not a path on the server; use no slash at its start or end, and no spaces, `?`, `#` or `%`",
    ),
    (
        r"^([^/\s?#%]+(/[^/\s?#%]+)*)?$",
        "not a path on the server; use no slash at its start or end, and no spaces, `?`, `#` or `%`",
    ),
    (
        r"^[^/\s?#%]+(/[^/\s?#%]+)*/?$",
        "not a path on the server; use no slash at its start, and no spaces, `?`, `#` or `%`",
    ),
    (
        r"^[0-9A-Za-z.-]+$",
        "not an id; use only letters, digits, dots and dashes, or set name instead of id",
    ),
    (
        r"^\w(([\w.-]+)?\w)?$",
        "the server does not accept this name; use only letters, digits, underscores, dashes and dots, and start and end with a letter, digit or underscore",
    ),
    (r"[^\\]$", "it must not end with a backslash; remove it"),
    (
        r"^https?://[^\s\\]+$",
        "not a URL as needed here; start it with https:// or http://, and use no spaces or backslashes",
    ),
    (
        r"^[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?$",
        "use only printable ASCII characters, and no space at the start or end",
    ),
    (
        r"^([B-Za-z0-9_-]|A[Q-Za-z0-9_-])[A-Za-z0-9_-]*$",
        "not a number in base64url; encode it without padding and without leading zeros (RFC 7518, section 2)",
    ),
    (
        r"^([A-Za-z0-9_-]{43}|[A-Za-z0-9_-]{64}|[A-Za-z0-9_-]{88})$",
        "not a coordinate in base64url; encode all its bytes without padding, in 43, 64 or 88 characters",
    ),
    (
        r"^[a-zA-Z][a-zA-Z0-9+.-]*:[^\s\\]+$",
        "not an absolute URI; start it with a scheme, such as https://app.example.com/callback, and use no spaces or backslashes",
    ),
    (
        r"^[\x21\x23-\x5B\x5D-\x7E]+$",
        "not one scope; list each scope as an item of its own, without spaces, quotation marks, backslashes and characters beyond ASCII",
    ),
    (
        r"^https://[^\s]+$",
        "not a URL as needed here; start it with https://, and use no spaces",
    ),
    (
        r"^([A-Za-z0-9_+.@=-]+|\*)$",
        "not a client id; use only letters, digits and `_+.@=-`, or `*` for all clients",
    ),
    (
        r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$",
        "not a type of a Secret; write a name, or a domain, a slash and a name, such as servicebinding.io/oauth2",
    ),
    (r"^[A-Za-z0-9-]+$", "use only letters, digits and dashes"),
    (
        r"^/[A-Za-z0-9_/+-]+[A-Za-z0-9_]/$",
        "start and end it with a slash, with only letters, digits, slashes, `_`, `+` and `-` between",
    ),
];

/// Turns the patterns of all fields into rules with a message. Patterns without a message stay: those within lists of
/// lists would cost more than Kubernetes allows for a rule.
pub(super) fn explained(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            explain(schema);
        }
    }
    crd
}

fn explain(schema: &mut JSONSchemaProps) {
    let message = |pattern: &String| MESSAGES.iter().find(|(known, _)| known == pattern);
    if let Some((pattern, message)) = schema.pattern.as_ref().and_then(message) {
        schema.pattern = None;
        let rule = ValidationRule {
            rule: format!("self.matches(r\"{pattern}\")"),
            message: Some((*message).to_owned()),
            ..ValidationRule::default()
        };
        schema.x_kubernetes_validations.get_or_insert_default().insert(0, rule);
    }
    schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
        .for_each(explain);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        explain(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        explain(values);
    }
}
