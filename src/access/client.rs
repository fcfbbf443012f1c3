//! What the rules allow for an OAuth2Client.

use super::denied::{Broken, Denied};
use super::rotation::Grant;
use super::rotation::too_often;
use super::rules::{NameRequest, Namespace, is_prefixed, judge, name_violation, selecting};
use super::uris;
use crate::api::access::{AccessRule, ClientIds, ManagedKind, Permission};
use crate::api::oauth2_client::{DEFAULT_SCOPES, Effective, OAuth2ClientSpec};
use crate::api::refs::{Adoption, DeletionPolicy, ManagementPolicy};

/// Whether a single rule allows the whole client.
///
/// # Errors
/// [`Denied`]: no rule selects the namespace, or all violations of the rule with the fewest.
pub fn check(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    spec: &OAuth2ClientSpec,
    effective: &Effective,
) -> Result<Grant, Denied> {
    judge(rules, namespace, ManagedKind::OAuth2Client, |index, rule| {
        refused(index, rule, namespace, spec, effective)
    })
}

/// Whether a single rule allows the whole client, and that it stays on the server when its resource is deleted.
pub fn may_leave_client(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    spec: &OAuth2ClientSpec,
    effective: &Effective,
) -> bool {
    let policy = DeletionPolicy::Orphan;
    let mut asked = spec.clone();
    asked.deletion_policy = Some(policy);
    let mut effective = effective.clone();
    effective.deletion_policy = policy;
    check(rules, namespace, &asked, &effective).is_ok()
}

/// What a rule refuses.
fn refused(
    index: usize,
    rule: &AccessRule,
    namespace: Namespace<'_>,
    spec: &OAuth2ClientSpec,
    effective: &Effective,
) -> Vec<Denied> {
    let broken = broken(rule, namespace.name, spec, effective);
    let limits = (!broken.is_empty()).then_some(Denied::Limits { rule: index, broken });
    let period = spec.rotation.as_ref().and_then(|rotation| rotation.period.as_deref());
    limits.into_iter().chain(too_often(index, rule, period)).collect()
}

fn broken(rule: &AccessRule, namespace: &str, spec: &OAuth2ClientSpec, effective: &Effective) -> Vec<Broken> {
    let limits = rule.clients.clone().unwrap_or_default();
    let mut found = Vec::new();
    if let Some(allowed) = &limits.grant_types {
        let extra = effective.grant_types.iter().filter(|g| !allowed.contains(g));
        let allowed = allowed.iter().map(protocol_name).collect();
        let broken = beyond("clients.grantTypes", "grantTypes", extra.map(protocol_name), allowed);
        found.extend(broken.map(|broken| broken.by_default(spec.grant_types.is_none())));
    }
    if let Some(allowed) = &limits.scopes {
        let extra = effective.scopes.iter().filter(|s| !allowed.contains(s)).cloned();
        // The others are those of scopeRefs.
        let is_default = |scope: &String| spec.scopes.is_none() && DEFAULT_SCOPES.contains(&scope.as_str());
        let (default, asked): (Vec<_>, Vec<_>) = extra.partition(is_default);
        let of = |scopes| beyond("clients.scopes", "scopes", scopes, allowed.clone());
        found.extend(of(asked));
        found.extend(of(default).map(|broken| broken.by_default(true)));
    }
    if let Some(allowed) = &limits.audiences {
        let extra = spec.audience.iter().filter(|a| !allowed.contains(a)).cloned();
        found.extend(beyond("clients.audiences", "audience", extra, allowed.clone()));
    }
    if let Some(allowed) = &limits.uri_hosts {
        let extra = uris::of_browsers(spec).filter(|(_, uri)| !uris::browser_may(allowed, uri));
        found.extend(by_field("clients.uriHosts", extra, allowed));
    }
    // Without this limit nothing is allowed: the server calls these URIs from within its own network.
    let allowed = limits.server_uri_hosts.unwrap_or_default();
    let extra = uris::of_server(spec).filter(|(_, uri)| !uris::server_may(&allowed, uri));
    found.extend(by_field("clients.serverUriHosts", extra, &allowed));
    found.extend(id_violation(rule, namespace, spec));
    if let Some(name) = spec.vault.as_ref().and_then(|vault| vault.name.as_ref()) {
        let asked = NameRequest {
            field: "vault.name",
            name,
            is_own: is_prefixed(namespace, name),
            adopts: spec.adoption == Some(Adoption::Allow),
        };
        found.extend(name_violation(rule, asked));
    }
    if let Some(allowed) = &limits.owners {
        let owner = spec.hydra.as_ref().and_then(|hydra| hydra.owner.clone());
        let extra = owner.filter(|owner| !allowed.contains(owner));
        found.extend(beyond("clients.owners", "hydra.owner", extra, allowed.clone()));
    }
    if limits.skip_consent.unwrap_or_default() == Permission::Deny {
        found.extend(skipped_consents(spec));
    }
    if let Some(allowed) = &limits.deletion_policies {
        found.extend(unwanted_policy(allowed, spec, effective));
    }
    found
}

/// The violation of a limit on deletion policies. Adopted clients stay on the server by default, whatever the limit.
fn unwanted_policy(allowed: &[DeletionPolicy], spec: &OAuth2ClientSpec, effective: &Effective) -> Option<Broken> {
    let policy = effective.deletion_policy;
    let is_default = spec.deletion_policy.is_none() && spec.management_policy != Some(ManagementPolicy::ObserveOnly);
    let leaves_what_it_found = is_default && policy == DeletionPolicy::Orphan;
    if allowed.contains(&policy) || leaves_what_it_found {
        return None;
    }
    let names = allowed.iter().map(|policy| policy.as_str().to_owned()).collect();
    let broken = beyond(
        "clients.deletionPolicies",
        "deletionPolicy",
        [policy.as_str().to_owned()],
        names,
    );
    broken.map(|broken| broken.by_default(spec.deletion_policy.is_none()))
}

/// The violation of a limit that lists what it allows, if there are such values.
fn beyond(
    limit: &'static str,
    field: &'static str,
    values: impl IntoIterator<Item = String>,
    allowed: Vec<String>,
) -> Option<Broken> {
    let values: Vec<String> = values.into_iter().collect();
    (!values.is_empty()).then_some(Broken {
        limit,
        field,
        values,
        allowed: Some(allowed),
        is_default: false,
    })
}

/// The violations of a limit of several fields. Values of one field follow each other.
fn by_field<'a>(
    limit: &'static str,
    extra: impl Iterator<Item = (&'static str, &'a str)>,
    allowed: &[String],
) -> Vec<Broken> {
    let mut found: Vec<Broken> = Vec::new();
    for (field, uri) in extra {
        match found.last_mut() {
            Some(last) if last.field == field => last.values.push(uri.to_owned()),
            _ => found.extend(beyond(limit, field, [uri.to_owned()], allowed.to_vec())),
        }
    }
    found
}

/// The value as written on the wire and in manifests.
fn protocol_name<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// A client id that the rule does not allow, or does not allow to adopt.
fn id_violation(rule: &AccessRule, namespace: &str, spec: &OAuth2ClientSpec) -> Option<Broken> {
    let id = spec.client_id.as_ref()?;
    if spec.adoption == Some(Adoption::Allow) {
        let is_listed = rule.adopt.as_ref().is_some_and(|adopt| adopt.client_ids.contains(id));
        return (!is_listed).then(|| Broken::one("adopt.clientIds", "clientId", id.clone()));
    }
    (!lets_choose(rule, namespace, id)).then(|| Broken::one("clients.clientIds", "clientId", id.clone()))
}

/// What the rules say about the id of a client that an earlier resource of this namespace registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptId {
    /// A rule that allows the rest of the client lists the id in `adopt.clientIds`.
    pub is_listed: bool,
    /// A rule that allows the rest of the client lets a resource of the namespace have this id.
    pub is_allowed: bool,
}

/// Whether a resource may keep an id, whatever its spec requests. Only rules that allow the rest of the client count:
/// what one rule says about the id does not add to what another one says about the client.
pub fn may_keep_id(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    spec: &OAuth2ClientSpec,
    effective: &Effective,
    id: &str,
) -> KeptId {
    let mut rest = spec.clone();
    rest.client_id = None;
    let mut kept = KeptId::default();
    let allowing = selecting(rules, namespace, ManagedKind::OAuth2Client)
        .filter(|(index, rule)| refused(*index, rule, namespace, &rest, effective).is_empty());
    for (_, rule) in allowing {
        let listed = rule.adopt.as_ref();
        kept.is_listed |= listed.is_some_and(|adopt| adopt.client_ids.iter().any(|listed| listed == id));
        kept.is_allowed |= kept.is_listed || lets_choose(rule, namespace.name, id);
    }
    kept
}

fn lets_choose(rule: &AccessRule, namespace: &str, id: &str) -> bool {
    let limits = rule.clients.as_ref();
    match limits.and_then(|limits| limits.client_ids).unwrap_or_default() {
        ClientIds::Generated => false,
        ClientIds::Prefixed => is_prefixed(namespace, id),
        ClientIds::Any => true,
    }
}

fn skipped_consents(spec: &OAuth2ClientSpec) -> impl Iterator<Item = Broken> {
    let hydra = spec.hydra.clone().unwrap_or_default();
    let asked = [
        ("hydra.skipConsent", hydra.skip_consent),
        ("hydra.skipLogoutConsent", hydra.skip_logout_consent),
    ];
    let skipped = asked.into_iter().filter(|(_, value)| *value == Some(true));
    skipped.map(|(field, _)| Broken::one("clients.skipConsent", field, "true".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_kept_as_a_rule_that_allows_the_rest_of_the_client_says() {
        let limited = |namespace: &str, ids: &str, listed: &[&str], scopes: Option<&[&str]>| {
            let rule = json!({
                "namespaces": { "from": "Names", "names": [namespace] }, "kinds": ["OAuth2Client"],
                "clients": { "clientIds": ids, "scopes": scopes }, "adopt": { "clientIds": listed },
            });
            serde_json::from_value::<AccessRule>(rule).expect("a rule")
        };
        let rule = |namespace: &str, ids: &str, listed: &[&str]| limited(namespace, ids, listed, None);
        let narrow = |ids: &str, listed: &[&str]| limited("team", ids, listed, Some(&["read"]));
        let wide = || rule("team", "Generated", &[]);
        let kept = |is_listed, is_allowed| KeptId { is_listed, is_allowed };
        let table = [
            (vec![rule("team", "Generated", &[])], "old", kept(false, false)),
            (vec![rule("team", "Prefixed", &[])], "old", kept(false, false)),
            (vec![rule("team", "Prefixed", &[])], "team.old", kept(false, true)),
            (vec![rule("team", "Any", &[])], "old", kept(false, true)),
            (vec![rule("team", "Generated", &["old"])], "old", kept(true, true)),
            (vec![rule("team", "Generated", &["older"])], "old", kept(false, false)),
            (vec![rule("others", "Any", &["old"])], "old", kept(false, false)),
            (
                vec![rule("team", "Any", &[]), rule("team", "Generated", &["old"])],
                "old",
                kept(true, true),
            ),
            // The client has a scope that the rule about the id does not allow.
            (vec![wide(), narrow("Any", &["old"])], "old", kept(false, false)),
            (
                vec![narrow("Any", &["old"]), rule("team", "Any", &[])],
                "old",
                kept(false, true),
            ),
        ];
        let namespace = Namespace {
            name: "team",
            labels: None,
        };
        // What the spec says about the id does not matter.
        for asked in [None, Some("old")] {
            let spec = json!({ "clientId": asked, "grantTypes": ["client_credentials"], "scopes": ["write"] });
            let spec: OAuth2ClientSpec = serde_json::from_value(spec).expect("a spec");
            let effective = Effective::of(&spec, &[], &[]);
            for (rules, id, expected) in &table {
                let kept = may_keep_id(rules, namespace, &spec, &effective, id);
                assert_eq!(kept, *expected, "{rules:?} {id}");
            }
        }
    }
}
