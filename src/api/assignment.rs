//! `Assignment`: who may use a client.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refs::ServerRef;

/// Who may log in to the clients that refer to it. On HashiCorp Vault and OpenBao it is an object of the server, which enforces it. On Ory Hydra the clients
/// carry it in their metadata, where the login and consent app, which is yours, finds and enforces it. Everybody may log in to a client without assignments.
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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[x_kube(validation = Rule::new("has(self.vault) && has(self.vault.name) ? has(oldSelf.vault) && has(oldSelf.vault.name) && self.vault.name == oldSelf.vault.name : !has(oldSelf.vault) || !has(oldSelf.vault.name)")
    .message("vault.name is immutable: create a new Assignment of the other name").field_path(".vault"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.serverRef) ? has(oldSelf.serverRef) && self.serverRef.name == oldSelf.serverRef.name : !has(oldSelf.serverRef)")
    .message("serverRef is immutable: create a new Assignment for the other server").field_path(".serverRef"))]
#[x_kube(validation = Rule::new("(has(self.subjects) && self.subjects.size() > 0) || (has(self.groups) && self.groups.size() > 0) || has(self.vault) && (has(self.vault.entities) && self.vault.entities.size() > 0 || has(self.vault.groups) && self.vault.groups.size() > 0)")
    .message("an assignment names at least one subject or group; to let nobody in, delete the client"))]
pub struct AssignmentSpec {
    /// The AuthorizationServer. Left out: the one named `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServerRef")]
    pub server_ref: Option<ServerRef>,
    /// Users, by their subject (`sub`; OpenID Connect Core 1.0, section 2): on Ory Hydra the one that the login app gives them, on Vault and OpenBao the id
    /// of their entity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub subjects: Vec<String>,
    /// Groups of users; a user must be in one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 256))]
    pub groups: Vec<Group>,
    /// What only HashiCorp Vault and OpenBao have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "VaultAssignment")]
    pub vault: Option<VaultAssignment>,
}

/// What only a Vault or an OpenBao knows of an assignment. Names and aliases are looked up again at every comparison with the server; while one of them is
/// not there, nothing is changed.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
pub struct VaultAssignment {
    /// Name of the object. Default: the namespace and the name of this resource with a dot between them. Asking for one needs a grant in the server's
    /// access rules. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 256), regex(pattern = r"^\w(([\w.-]+)?\w)?$"))]
    pub name: Option<String>,
    /// Users, besides `subjects`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub entities: Vec<Identity>,
    /// Groups, besides `groups`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub groups: Vec<Identity>,
}

/// An entity or a group of the identity engine: by id, name or alias.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[x_kube(validation = Rule::new("[has(self.id), has(self.name), has(self.alias)].filter(x, x).size() == 1")
    .message("set exactly one of id, name and alias"))]
pub struct Identity {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 64), regex(pattern = r"^[0-9A-Za-z.-]+$"))]
    pub id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 256))]
    pub name: Option<String>,
    /// Its alias in an auth method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Alias")]
    pub alias: Option<Alias>,
}

/// The name that an auth method has for an entity or a group.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Alias {
    /// The name there, for example the user name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Where the auth method is mounted, for example `userpass`.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*/?$"))]
    pub mount_path: String,
}

/// A group of users.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct Group {
    /// Name of the group as the login app knows it.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}

/// What the operator knows of the assignment.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct AssignmentStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready and Synced always; Reconciling and Stalled while they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Name of the object on the server, where assignments are objects. It is kept here from before the first write on, and makes the object ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// UID of the AuthorizationServer that the name was claimed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// Id of the Kubernetes cluster (`--cluster-id` of its operator) that claimed the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Ids of the entities that were found, where the server has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub entity_ids: Vec<String>,
    /// Ids of the groups that were found, where the server has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub group_ids: Vec<String>,
    /// Digest of the inputs of the last successful reconciliation. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
}
