//! `Assignment`: who may log in to a client.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refs::{Adoption, DeletionPolicy, ManagementPolicy, ServerRef};

/// Users and groups who may log in to the clients that refer to this Assignment. On HashiCorp Vault and OpenBao it is
/// an object of the server, which enforces it. On Ory Hydra the clients carry it in their metadata, where your login
/// and consent app must read and enforce it. Anyone may log in to a client without assignments.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "oidc-operator.dev",
    doc = "Users and groups that may log in with the clients that refer to it.",
    version = "v1alpha1",
    kind = "Assignment",
    namespaced,
    status = "AssignmentStatus",
    shortname = "oidcassign",
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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Name", type_ = "string", json_path = ".status.name", priority = 1),
    printcolumn(name = "Last Sync", type_ = "date", json_path = ".status.lastSyncTime", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[kube(validation = Rule::new("(has(self.spec.vault) && has(self.spec.vault.name) ? self.spec.vault.name : '') == (has(oldSelf.spec.vault) && has(oldSelf.spec.vault.name) ? oldSelf.spec.vault.name : '') || ((has(self.spec.vault) && has(self.spec.vault.name) ? self.spec.vault.name : '') == '' ? (has(oldSelf.spec.vault) && has(oldSelf.spec.vault.name) ? oldSelf.spec.vault.name : '') : (has(oldSelf.spec.vault) && has(oldSelf.spec.vault.name) ? oldSelf.spec.vault.name : '') == '' ? (has(self.spec.vault) && has(self.spec.vault.name) ? self.spec.vault.name : '') : '').endsWith('.' + self.metadata.name)")
    .message("vault.name is immutable: create a new Assignment with the other name").field_path(".spec.vault"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.serverRef) ? self.serverRef.name : 'default') == (has(oldSelf.serverRef) ? oldSelf.serverRef.name : 'default')")
    .message("serverRef is immutable: create a new Assignment for the other server").field_path(".serverRef"))]
#[x_kube(validation = Rule::new("(has(self.subjects) && self.subjects.size() > 0) || (has(self.groups) && self.groups.size() > 0) || has(self.vault) && (has(self.vault.entities) && self.vault.entities.size() > 0 || has(self.vault.groups) && self.vault.groups.size() > 0)")
    .message("an Assignment must name at least one subject or group; to let nobody log in, delete the client"))]
pub struct AssignmentSpec {
    /// The AuthorizationServer. Default: the AuthorizationServer named `default`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServerRef")]
    pub server_ref: Option<ServerRef>,
    /// Users, by subject (`sub`; OpenID Connect Core 1.0, section 2): on Ory Hydra the subject that the login app
    /// assigns, on Vault and OpenBao the id of the entity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub subjects: Vec<String>,
    /// Groups of users. Members of any of them may log in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 256))]
    pub groups: Vec<Group>,
    /// Settings that only HashiCorp Vault and OpenBao have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "VaultAssignment")]
    pub vault: Option<VaultAssignment>,
    /// Whether the operator adopts an assignment that already exists on the server. Needs a grant in the server's
    /// access rules (`adopt.objectNames`), with its exact name. The operator changes it to match this spec. With
    /// suspend: true the resource says what an adoption would change. The operator never adopts what another resource
    /// has. Only on Vault and OpenBao. Default: Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Adoption")]
    pub adoption: Option<Adoption>,
    /// What happens to the assignment on the server when this resource is deleted. Default: Delete, or Orphan if it was
    /// adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DeletionPolicy")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Full: the operator makes the assignment on the server match this spec. ObserveOnly: it writes nothing on the
    /// server, and only compares: Ready says whether the assignment is as this spec describes it, and the condition
    /// DriftDetected names the fields that differ. It compares an assignment that belongs to this resource, or one that
    /// it could adopt (see adoption). When this resource is deleted, the assignment stays, as with deletionPolicy:
    /// Orphan, which the access rules must allow if the operator has made it. Only on Vault and OpenBao. Default: Full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ManagementPolicy")]
    pub management_policy: Option<ManagementPolicy>,
    /// While true, the operator writes nothing for this resource, but still handles its deletion and a revoked access.
    /// Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub suspend: Option<bool>,
}

/// Settings of an assignment that only Vault and OpenBao have. The operator looks up names and aliases again at every
/// comparison with the server. While one of them does not exist, it changes nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
pub struct VaultAssignment {
    /// Name of the object. Default: the namespace and the name of this resource, with a dot between them. Another name
    /// needs a grant in the server's access rules: `objectNames`, or `adopt.objectNames` for an existing object that is
    /// adopted. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 256), regex(pattern = r"^\w(([\w.-]+)?\w)?$"))]
    pub name: Option<String>,
    /// Users, in addition to `subjects`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub entities: Vec<Identity>,
    /// Groups, in addition to `groups`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub groups: Vec<Identity>,
}

/// An entity or a group of the identity engine, by id, name or alias.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[x_kube(validation = Rule::new("[has(self.id), has(self.name), has(self.alias)].filter(x, x).size() == 1")
    .message("set exactly one of id, name and alias"))]
pub struct Identity {
    /// Id of the entity or group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 64), regex(pattern = r"^[0-9A-Za-z.-]+$"))]
    pub id: Option<String>,
    /// Name of the entity or group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 256))]
    pub name: Option<String>,
    /// Alias of the entity or group in an auth method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Alias")]
    pub alias: Option<Alias>,
}

/// Name of an entity or a group in an auth method.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Alias {
    /// Name in the auth method, for example the user name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Path where the auth method is mounted, for example `userpass`.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*/?$"))]
    pub mount_path: String,
}

/// A group of users.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct Group {
    /// Name of the group: on Ory Hydra as the login app knows it, on Vault and OpenBao as in the identity engine.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}

/// Observed state of the assignment.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct AssignmentStatus {
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
    /// Name of the object on the server, if assignments are objects there (Vault and OpenBao). The operator stores it
    /// here before the first write; it proves that the object belongs to this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// UID of the AuthorizationServer on which the operator claimed the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// Id of the Kubernetes cluster that claimed the name (`--cluster-id` of its operator).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Ids of the entities that the operator found, if assignments are objects on the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub entity_ids: Vec<String>,
    /// Ids of the groups that the operator found, if assignments are objects on the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub group_ids: Vec<String>,
    /// Whether the assignment existed on the server before this resource and was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<bool>,
    /// Deletion policy in force, if it is another one than the default and the access rules allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Digest of the inputs of the last successful reconciliation. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
}
