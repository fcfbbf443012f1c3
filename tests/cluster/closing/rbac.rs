//! Compares the rights in the chart with the requests that the operators really sent.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use oidc_operator::prerequisites::Need;
use serde_json::Value;
use testbed::install;
use testbed::proxy::RequestHead;

use crate::evidence::Evidence;

/// A request to the kube-apiserver, as its authorizer sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubeRequest {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// API group, empty for the core.
    pub group: String,
    /// Resource, with `/subresource` if there is one.
    pub resource: String,
    /// Namespace, where the request names one.
    pub namespace: Option<String>,
    /// Name of the object, where the request names one.
    pub name: Option<String>,
}

/// One verb on one resource that a binding of the chart gives to the operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    namespace: Option<String>,
    verb: String,
    group: String,
    resource: String,
    name: Option<String>,
}

impl KubeRequest {
    /// Reads a request; `None` if it is not about a resource, like `/version`.
    pub fn of(head: &RequestHead) -> Option<Self> {
        let mut parts = head
            .path()
            .trim_matches('/')
            .split('/')
            .filter(|part| !part.is_empty())
            .peekable();
        let group = match parts.next()? {
            "api" => String::new(),
            "apis" => parts.next()?.to_owned(),
            _ => return None,
        };
        parts.next()?; // the version
        let mut rest: Vec<&str> = parts.collect();
        // `namespaces/x` alone and its two subresources are about the namespace itself.
        let in_namespace = rest.len() > 2 && rest[0] == "namespaces" && !matches!(rest[2], "status" | "finalize");
        let namespace = in_namespace.then(|| rest[1].to_owned());
        rest.drain(..if in_namespace { 2 } else { 0 });
        let (resource, name, subresource) = (rest.first()?, rest.get(1), rest.get(2));
        Some(Self {
            verb: verb(head, name.is_some())?,
            group,
            resource: subresource.map_or((*resource).to_owned(), |sub| format!("{resource}/{sub}")),
            namespace,
            name: name.map(|name| (*name).to_owned()),
        })
    }

    /// Whether it may change something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }
}

fn verb(head: &RequestHead, named: bool) -> Option<&'static str> {
    let watches = url::form_urlencoded::parse(head.query().as_bytes())
        .any(|(name, value)| name == "watch" && matches!(&*value, "true" | "1"));
    Some(match (head.method.as_str(), named) {
        ("GET", _) if watches => "watch",
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => return None,
    })
}

impl Grant {
    /// What the operator says that it needs.
    pub fn needed(need: &Need) -> Self {
        Self {
            namespace: need.namespace.clone(),
            verb: need.verb.to_owned(),
            group: need.group.to_owned(),
            resource: need.resource.to_owned(),
            name: need.name.clone(),
        }
    }

    /// Whether it is about what the operator writes for applications.
    pub fn is_of_outputs(&self) -> bool {
        matches!(self.resource.as_str(), "secrets" | "configmaps")
    }

    /// The right without its namespace, unless that is `home`.
    pub fn anywhere_but(self, home: &str) -> Self {
        let namespace = self.namespace.filter(|namespace| namespace == home);
        Self { namespace, ..self }
    }

    fn covers(&self, request: &KubeRequest) -> bool {
        self.verb == request.verb
            && self.group == request.group
            && self.resource == request.resource
            && (self.namespace.is_none() || self.namespace == request.namespace)
            && (self.name.is_none() || self.name == request.name)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        let parts = [
            ("group", Some(&self.group)),
            ("name", self.name.as_ref()),
            ("in", self.namespace.as_ref()),
        ];
        for (word, part) in parts {
            if let Some(part) = part.filter(|part| !part.is_empty()) {
                write!(f, ", {word} {part}")?;
            }
        }
        Ok(())
    }
}

/// Reads a request with this method and target.
pub fn request_of(method: &str, target: &str) -> Option<KubeRequest> {
    KubeRequest::of(&RequestHead {
        method: method.parse().ok()?,
        target: target.to_owned(),
        headers: reqwest::header::HeaderMap::new(),
    })
}

/// All rights that rendered manifests give to a ServiceAccount of the operator's namespace.
pub fn grants(manifests: &[Value], service_account: &str) -> Result<BTreeSet<Grant>> {
    let mut grants = BTreeSet::new();
    let bindings = manifests
        .iter()
        .filter(|manifest| is_kind(manifest, &["ClusterRoleBinding", "RoleBinding"]));
    for binding in bindings {
        let subjects: Vec<Subject> = serde_json::from_value(binding["subjects"].clone())?;
        if !subjects
            .iter()
            .any(|subject| subject.kind == "ServiceAccount" && subject.name == service_account)
        {
            continue;
        }
        let namespace = is_kind(binding, &["RoleBinding"]).then(|| namespace_of(binding));
        let role: RoleRef = serde_json::from_value(binding["roleRef"].clone())?;
        for rule in rules_of(manifests, &role, namespace.as_deref())? {
            grants.extend(expand(&rule, namespace.as_ref()));
        }
    }
    Ok(grants)
}

fn rules_of(manifests: &[Value], role: &RoleRef, namespace: Option<&str>) -> Result<Vec<PolicyRule>> {
    let found = manifests.iter().find(|manifest| {
        is_kind(manifest, &[&role.kind])
            && manifest["metadata"]["name"] == role.name
            && (role.kind == "ClusterRole" || Some(namespace_of(manifest).as_str()) == namespace)
    });
    let found =
        found.with_context(|| format!("the chart binds {} {}, which it does not contain", role.kind, role.name))?;
    Ok(serde_json::from_value(found["rules"].clone())?)
}

fn expand(rule: &PolicyRule, namespace: Option<&String>) -> Vec<Grant> {
    let names = rule.resource_names.iter().flatten().cloned().map(Some);
    let names: Vec<Option<String>> = names
        .chain(rule.resource_names.as_ref().is_none_or(Vec::is_empty).then_some(None))
        .collect();
    let mut grants = Vec::new();
    for verb in &rule.verbs {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                grants.extend(names.iter().map(|name| Grant {
                    namespace: namespace.cloned(),
                    verb: verb.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                }));
            }
        }
    }
    grants
}

fn is_kind(manifest: &Value, kinds: &[&str]) -> bool {
    manifest["kind"].as_str().is_some_and(|kind| kinds.contains(&kind))
}

fn namespace_of(manifest: &Value) -> String {
    manifest["metadata"]["namespace"]
        .as_str()
        .unwrap_or(install::NAMESPACE)
        .to_owned()
}

/// Checks that the rights suffice.
pub fn nothing_was_forbidden(evidence: &Evidence) -> Result<()> {
    ensure!(
        evidence.forbidden.is_empty(),
        "the kube-apiserver answered 403 to:\n{}",
        evidence.forbidden.join("\n")
    );
    Ok(())
}

/// Checks that the operator uses every right. A wildcard counts as unused, since no request has one.
pub fn every_right_was_used(evidence: &Evidence) -> Result<()> {
    ensure!(
        !evidence.grants.is_empty(),
        "the chart gives the operator no rights at all"
    );
    let used = |grant: &&Grant| evidence.requests.iter().any(|request| grant.covers(request));
    let unused: Vec<String> = evidence
        .grants
        .iter()
        .filter(|grant| !used(grant))
        .map(Grant::to_string)
        .collect();
    ensure!(
        unused.is_empty(),
        "rights that the operator never used in the whole run:\n{}",
        unused.join("\n")
    );
    Ok(())
}
