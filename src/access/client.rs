//! What the rules allow for an OAuth2Client.

use super::denied::Denied;
use super::rotation::Grant;
use super::rotation::too_often;
use super::rules::{Namespace, is_prefixed, judge, lets_name};
use super::uris;
use crate::api::access::{AccessRule, ClientIds, ManagedKind, Permission};
use crate::api::oauth2_client::{Effective, OAuth2ClientSpec};
use crate::api::refs::{Adoption, DeletionPolicy};

/// Limit, field, and the value that the limit does not allow.
type Violation = (&'static str, &'static str, String);

/// Whether a single rule allows the whole client.
///
/// # Errors
/// [`Denied`]: no rule selects the namespace, or the first violation of the rule with the fewest.
pub fn check(
    rules: &[AccessRule],
    namespace: Namespace<'_>,
    spec: &OAuth2ClientSpec,
    effective: &Effective,
) -> Result<Grant, Denied> {
    judge(rules, namespace, ManagedKind::OAuth2Client, |index, rule| {
        let limits = violations(rule, namespace.name, spec, effective)
            .into_iter()
            .map(|(limit, field, value)| Denied::Limit {
                rule: index,
                limit,
                field,
                value,
            });
        let period = spec.rotation.as_ref().and_then(|rotation| rotation.period.as_deref());
        limits.chain(too_often(index, rule, period)).collect()
    })
}

fn violations(rule: &AccessRule, namespace: &str, spec: &OAuth2ClientSpec, effective: &Effective) -> Vec<Violation> {
    let limits = rule.clients.clone().unwrap_or_default();
    let mut found: Vec<Violation> = Vec::new();
    if let Some(allowed) = &limits.grant_types {
        let extra = effective.grant_types.iter().filter(|g| !allowed.contains(g));
        found.extend(extra.map(|g| ("clients.grantTypes", "grantTypes", protocol_name(g))));
    }
    if let Some(allowed) = &limits.scopes {
        let extra = effective.scopes.iter().filter(|s| !allowed.contains(s));
        found.extend(extra.map(|s| ("clients.scopes", "scopes", s.clone())));
    }
    if let Some(allowed) = &limits.audiences {
        let extra = spec.audience.iter().filter(|a| !allowed.contains(a));
        found.extend(extra.map(|a| ("clients.audiences", "audience", a.clone())));
    }
    if let Some(allowed) = &limits.uri_hosts {
        let extra = uris::of_browsers(spec).filter(|(_, uri)| !uris::browser_may(allowed, uri));
        found.extend(extra.map(|(field, uri)| ("clients.uriHosts", field, uri.to_owned())));
    }
    // Without this limit nothing is allowed: the server calls these URIs from within its own network.
    let allowed = limits.server_uri_hosts.unwrap_or_default();
    let extra = uris::of_server(spec).filter(|(_, uri)| !uris::server_may(&allowed, uri));
    found.extend(extra.map(|(field, uri)| ("clients.serverUriHosts", field, uri.to_owned())));
    found.extend(id_violation(rule, namespace, spec));
    let name = spec.vault.as_ref().and_then(|vault| vault.name.as_ref());
    if let Some(name) = name.filter(|name| !lets_name(rule, is_prefixed(namespace, name))) {
        found.push(("objectNames", "vault.name", name.clone()));
    }
    if limits.skip_consent.unwrap_or_default() == Permission::Deny {
        found.extend(skipped_consents(spec));
    }
    // Adopted clients stay on the server by default, whatever the limit.
    let leaves_what_it_found = spec.deletion_policy.is_none() && effective.deletion_policy == DeletionPolicy::Orphan;
    if let Some(allowed) = &limits.deletion_policies
        && !allowed.contains(&effective.deletion_policy)
        && !leaves_what_it_found
    {
        found.push((
            "clients.deletionPolicies",
            "deletionPolicy",
            effective.deletion_policy.as_str().to_owned(),
        ));
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
fn id_violation(rule: &AccessRule, namespace: &str, spec: &OAuth2ClientSpec) -> Option<Violation> {
    let id = spec.client_id.as_ref()?;
    if spec.adoption == Some(Adoption::Allow) {
        let is_listed = rule.adopt.as_ref().is_some_and(|adopt| adopt.client_ids.contains(id));
        return (!is_listed).then(|| ("adopt.clientIds", "clientId", id.clone()));
    }
    let limits = rule.clients.as_ref();
    let is_fine = match limits.and_then(|limits| limits.client_ids).unwrap_or_default() {
        ClientIds::Generated => false,
        ClientIds::Prefixed => is_prefixed(namespace, id),
        ClientIds::Any => true,
    };
    (!is_fine).then(|| ("clients.clientIds", "clientId", id.clone()))
}

fn skipped_consents(spec: &OAuth2ClientSpec) -> impl Iterator<Item = Violation> {
    let hydra = spec.hydra.clone().unwrap_or_default();
    let asked = [
        ("hydra.skipConsent", hydra.skip_consent),
        ("hydra.skipLogoutConsent", hydra.skip_logout_consent),
    ];
    let skipped = asked.into_iter().filter(|(_, value)| *value == Some(true));
    skipped.map(|(field, _)| ("clients.skipConsent", field, "true".to_owned()))
}
