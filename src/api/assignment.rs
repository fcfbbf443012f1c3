//! `Assignment`: who may use a client.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refs::ServerRef;

/// Who may log in to the clients that refer to it. On Ory Hydra the clients carry it in their metadata, where the login and consent app, which is yours,
/// finds and enforces it. A client without assignments is open to everybody there.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "oidc-operator.dev",
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
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.serverRef) == has(oldSelf.serverRef) && (!has(self.serverRef) || self.serverRef.name == oldSelf.serverRef.name)")
    .message("serverRef is immutable: create a new Assignment for the other server").field_path(".serverRef"))]
#[x_kube(validation = Rule::new("(has(self.subjects) && self.subjects.size() > 0) || (has(self.groups) && self.groups.size() > 0)")
    .message("an assignment names at least one subject or group; to let nobody in, delete the client"))]
pub struct AssignmentSpec {
    /// The AuthorizationServer. Left out: the one named `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServerRef")]
    pub server_ref: Option<ServerRef>,
    /// Users, by the subject (`sub`) that the login app gives them (OpenID Connect Core 1.0, section 2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub subjects: Vec<String>,
    /// Groups of users; to be in one of them suffices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 256))]
    pub groups: Vec<Group>,
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
}
