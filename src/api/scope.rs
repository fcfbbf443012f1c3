//! `Scope`: a named scope with its description for users and its claims for tokens.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, ResourceExt};
use serde::{Deserialize, Serialize};

use super::refs::{Adoption, DeletionPolicy, ManagementPolicy, ServerRef};

/// A scope (RFC 6749, section 3.3) with a description and a template of claims. On Ory Hydra an OAuth2Client that
/// refers to it may request the scope, and carries description and template in its metadata, where your login and
/// consent app finds them. On HashiCorp Vault and OpenBao it is an object of the server, which fills in the template;
/// OidcProviders refer to it.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "oidc-operator.dev",
    doc = "A scope that clients may request.",
    version = "v1alpha1",
    kind = "Scope",
    namespaced,
    status = "ScopeStatus",
    shortname = "oidcscope",
    category = "oidc",
    selectable = ".spec.serverRef.name",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Server", type_ = "string", json_path = ".status.server"),
    printcolumn(name = "Scope", type_ = "string", json_path = ".status.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Last Sync", type_ = "date", json_path = ".status.lastSyncTime", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.serverRef) ? self.serverRef.name : 'default') == (has(oldSelf.serverRef) ? oldSelf.serverRef.name : 'default')")
    .message("serverRef is immutable: create a new Scope for the other server").field_path(".serverRef"))]
#[x_kube(validation = Rule::new("has(self.name) ? has(oldSelf.name) && self.name == oldSelf.name : !has(oldSelf.name)")
    .message("name is immutable: create a new Scope with the other name").field_path(".name"))]
pub struct ScopeSpec {
    /// The AuthorizationServer. Default: the AuthorizationServer named `default`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServerRef")]
    pub server_ref: Option<ServerRef>,
    /// The scope as clients request it, for example `orders:read`. Default: on Ory Hydra the name of this resource; on
    /// Vault and OpenBao, where a scope is an object of the whole server, the namespace and the name of this resource,
    /// with a dot between them. There, another name needs a grant in the server's access rules: `objectNames`, or
    /// `adopt.objectNames` for an existing scope that is adopted. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new(r"self.matches('^[!#-\\[\\]-~]+$')")
        .message("name: must consist of visible ASCII characters other than quotation mark and backslash (RFC 6749, section 3.3)"))]
    pub name: Option<String>,
    /// What the scope allows a client to do, in words for users who are asked for consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 1024))]
    pub description: Option<String>,
    /// Claims that the scope adds to tokens: a JSON object in which `{{…}}`, without quotation marks around it, stands
    /// for a value that is filled in at login, for example `{"email": {{identity.entity.metadata.email}}}`. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 8192))]
    pub template: Option<String>,
    /// Whether the operator adopts a scope that already exists on the server. Needs a grant in the server's access
    /// rules (`adopt.objectNames`), with its exact name. The operator changes it to match this spec. With suspend: true
    /// the resource says what an adoption would change. The operator never adopts what another resource has. Only on
    /// Vault and OpenBao. Default: Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Adoption")]
    pub adoption: Option<Adoption>,
    /// What happens to the scope on the server when this resource is deleted. Default: Delete, or Orphan if it was
    /// adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DeletionPolicy")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Full: the operator makes the scope on the server match this spec. ObserveOnly: it writes nothing on the server,
    /// and only compares: Ready says whether the scope is as this spec describes it, and the condition DriftDetected
    /// names the fields that differ. It compares a scope that belongs to this resource, or one that it could adopt (see
    /// adoption). When this resource is deleted, the scope stays, as with deletionPolicy: Orphan, which the access
    /// rules must allow if the operator has made it. Only on Vault and OpenBao. Default: Full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ManagementPolicy")]
    pub management_policy: Option<ManagementPolicy>,
    /// While true, the operator writes nothing for this resource, but still handles its deletion and a revoked access.
    /// Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub suspend: Option<bool>,
}

/// Observed state of the scope.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct ScopeStatus {
    /// `metadata.generation` that this status describes; -1 until the operator has processed the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Synced, always present; Ready, present unless the resource was suspended before it was ready;
    /// Reconciling, Stalled, Suspended and DriftDetected, present only while True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Name of the AuthorizationServer in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// When the operator last wrote to the server for this resource, or first found the server in line with a new
    /// `metadata.generation` (RFC 3339). A comparison that finds nothing to do leaves it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<String>,
    /// Value of the annotation `oidc-operator.dev/reconcile-at` or `reconcile.fluxcd.io/requestedAt` that the operator
    /// handled last; if both are set, both values with a space between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The scope as clients request it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// UID of the AuthorizationServer on which the operator claimed the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// Id of the Kubernetes cluster that claimed the name (`--cluster-id` of its operator).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Whether the scope existed on the server before this resource and was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<bool>,
    /// Deletion policy in force, if it is another one than the default and the access rules allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Digest of the inputs of the last successful reconciliation. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
}

impl Scope {
    /// The scope as clients request it.
    pub fn scope_name(&self) -> String {
        self.spec.name.clone().unwrap_or_else(|| self.name_any())
    }
}

/// Checks that a template is a JSON object once its directives are filled in.
///
/// # Errors
/// What is wrong, as the end of a sentence that begins with the field.
pub fn check_template(template: &str) -> Result<(), &'static str> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (directive, after) = after.split_once("}}").ok_or("a `{{` is not closed by `}}`")?;
        if directive.trim().is_empty() {
            return Err("a `{{…}}` is empty");
        }
        if before.trim_end().ends_with('"') && after.trim_start().starts_with('"') {
            return Err("a `{{…}}` must not be in quotation marks, because the inserted value has its own");
        }
        filled.push_str(before);
        filled.push_str("null");
        rest = after;
    }
    filled.push_str(rest);
    match serde_json::from_str::<serde_json::Value>(&filled) {
        Ok(value) if value.is_object() => Ok(()),
        _ => Err("it is not a JSON object"),
    }
}

#[cfg(test)]
mod tests {
    use super::check_template;

    #[test]
    fn a_template_is_a_json_object_with_directives_for_values() {
        let cases = [
            ("{}", true),
            (r#"{"a": 1, "b": {"c": [true]}}"#, true),
            (r#"{"groups": {{identity.entity.groups.names}}}"#, true),
            (r#"{"a":{{x}},"b":{{y}}}"#, true),
            (r#"{"a": "{{x}}"}"#, false),
            (r#"{"a": {{x}}"#, false),
            (r#"{"a": {{x}"#, false),
            (r#"{"a": {{}}}"#, false),
            ("[]", false),
            ("{{x}}", false),
            ("not JSON", false),
            ("", false),
        ];
        for (template, good) in cases {
            assert_eq!(check_template(template).is_ok(), good, "{template}");
        }
    }
}
