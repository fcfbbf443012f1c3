//! `OidcProvider`: an issuer, verified and published for the applications that trust it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::LabelSelector;
use super::authorization_server::Endpoints;
use super::refs::{Adoption, DeletionPolicy, FoulkonPlace, LocalRef, ManagementPolicy, ServerRef, VaultName};

/// An issuer of tokens (OpenID Connect Core 1.0). The operator verifies its discovery document and its public keys, and
/// publishes issuer and endpoints in a ConfigMap in the same namespace. On HashiCorp Vault and OpenBao it is an object
/// of the server, with its clients and scopes. Ory Hydra has one issuer per installation and no object for it, so the
/// operator writes nothing there. On Foulkon it declares trust in the issuer of another server: Foulkon accepts tokens
/// of that issuer for the clients that are named here.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "oidc-operator.dev",
    doc = "An issuer that applications can trust, and the ConfigMap with its endpoints.",
    version = "v1alpha1",
    kind = "OidcProvider",
    namespaced,
    status = "OidcProviderStatus",
    shortname = "oidcp",
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
    printcolumn(name = "Issuer", type_ = "string", json_path = ".status.issuer"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Name", type_ = "string", json_path = ".status.name", priority = 1),
    printcolumn(name = "Loaded", type_ = "boolean", json_path = ".status.loaded", priority = 1),
    printcolumn(name = "Last Sync", type_ = "date", json_path = ".status.lastSyncTime", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[kube(validation = Rule::new("(has(self.spec.vault) && has(self.spec.vault.name) ? self.spec.vault.name : '') == (has(oldSelf.spec.vault) && has(oldSelf.spec.vault.name) ? oldSelf.spec.vault.name : '') || ((has(self.spec.vault) && has(self.spec.vault.name) ? self.spec.vault.name : '') == '' ? (has(oldSelf.spec.vault) && has(oldSelf.spec.vault.name) ? oldSelf.spec.vault.name : '') : (has(oldSelf.spec.vault) && has(oldSelf.spec.vault.name) ? oldSelf.spec.vault.name : '') == '' ? (has(self.spec.vault) && has(self.spec.vault.name) ? self.spec.vault.name : '') : '').endsWith('.' + self.metadata.name)")
    .message("vault.name is immutable: create a new OidcProvider with the other name").field_path(".spec.vault"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.serverRef) ? self.serverRef.name : 'default') == (has(oldSelf.serverRef) ? oldSelf.serverRef.name : 'default')")
    .message("serverRef is immutable: create a new OidcProvider for the other server").field_path(".serverRef"))]
#[x_kube(validation = Rule::new("!has(self.issuer) || !has(self.issuerRef)")
    .message("set issuer or issuerRef, not both"))]
pub struct OidcProviderSpec {
    /// The AuthorizationServer. Default: the AuthorizationServer named `default`. On Ory Hydra it needs
    /// `hydra.publicUrl`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServerRef")]
    pub server_ref: Option<ServerRef>,
    /// The issuer that tokens must carry as `iss`, compared character by character. On Ory Hydra the default is
    /// `hydra.publicUrl` of the AuthorizationServer, with or without a slash at the end, since an issuer is the URL of
    /// its discovery document. On Vault and OpenBao it is scheme, host and port at which applications reach the server,
    /// for example `https://vault.example.com:8200`; the server adds the provider's path. Default there: the server's
    /// own `api_addr`; set it if several servers have an `api_addr` each. On Foulkon it is the issuer whose tokens are
    /// accepted, which needs `objectNames: Any` in the server's access rules; or set issuerRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(r"self.matches('^https?://[^/?#@\\s]+(/[^?#\\s]*)?$')")
        .message("issuer: must be an http or https URL without query and fragment (OpenID Connect Discovery 1.0, section 3)"))]
    pub issuer: Option<String>,
    /// An OidcProvider of this namespace on another server; tokens of its issuer are accepted. Only on Foulkon, instead
    /// of issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LocalRef")]
    pub issuer_ref: Option<LocalRef>,
    /// Clients that may use the provider, in addition to those that name it in their `providerRefs`. On Foulkon: the
    /// clients whose tokens are accepted, at least one. Not on Ory Hydra, where every client may use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub allowed_clients: Vec<AllowedClient>,
    /// Other namespaces whose clients may name the provider in their `providerRefs`. Only on Vault and OpenBao.
    /// Default: none (`from: Same`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AllowedNamespaces")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// Scope resources of this namespace and server whose scopes clients may request at the provider, in addition to
    /// `openid`. Only on Vault and OpenBao.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 64))]
    pub scope_refs: Vec<LocalRef>,
    /// Scopes that others created on the server and that clients may request at the provider, in addition to `openid`.
    /// Needs a grant (`providers.scopes`, or `objectNames`) in the server's access rules. Only on Vault and OpenBao.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 64), inner(length(max = 256), regex(pattern = r"^\w(([\w.-]+)?\w)?$")))]
    pub scopes: Vec<String>,
    /// Settings that only HashiCorp Vault and OpenBao have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "VaultName")]
    pub vault: Option<VaultName>,
    /// Settings that only Foulkon has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FoulkonPlace")]
    pub foulkon: Option<FoulkonPlace>,
    /// ConfigMap with issuer and endpoints. Default: a ConfigMap with the name of this resource. Not on Foulkon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Publish")]
    pub publish: Option<Publish>,
    /// Whether the operator adopts a provider that already exists on the server. Needs a grant in the server's access
    /// rules (`adopt.objectNames`), with its exact name. The operator changes it to match this spec, but keeps clients
    /// of its list that no resource has (`status.keptClientIds`), and its issuer if this spec sets none. With suspend:
    /// true the resource says what an adoption would change. The operator never adopts what another resource has. Not
    /// on Ory Hydra. Default: Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Adoption")]
    pub adoption: Option<Adoption>,
    /// What happens to the provider on the server when this resource is deleted. Default: Delete, or Orphan if it was
    /// adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DeletionPolicy")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Full: the operator makes the provider on the server match this spec. ObserveOnly: it writes nothing on the
    /// server and makes no ConfigMap, and only compares: Ready says whether the provider is as this spec describes it,
    /// and the condition DriftDetected names the fields that differ. It compares a provider that belongs to this
    /// resource, or one that it could adopt (see adoption). When this resource is deleted, the provider stays, as with
    /// deletionPolicy: Orphan, which the access rules must allow if the operator has made it. On Ory Hydra, where a
    /// provider is only verified, it just makes no ConfigMap. Default: Full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ManagementPolicy")]
    pub management_policy: Option<ManagementPolicy>,
    /// While true, the operator writes nothing for this resource, but still handles its deletion and a revoked access.
    /// Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub suspend: Option<bool>,
}

/// A client that may use a provider: either name or clientId.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) != has(self.clientId)").message("allowedClients: set exactly one of name and clientId"))]
pub struct AllowedClient {
    /// Name of an OAuth2Client of this namespace and server; for a provider on Foulkon, of this namespace and any
    /// server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: Option<String>,
    /// Id of a client that others created; on Vault and OpenBao `*` stands for every client. Needs a grant
    /// (`objectNames`) in the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 128), regex(pattern = r"^([A-Za-z0-9_+.@=-]+|\*)$"))]
    pub client_id: Option<String>,
}

/// Namespaces whose clients may name a provider.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector: set it with from: Selector, and only then").field_path(".selector"))]
pub struct AllowedNamespaces {
    /// Same: the provider's own namespace. Selector: also namespaces whose labels match `selector`. All: every
    /// namespace.
    pub from: AllowedFrom,
    /// Labels that the namespace must have. Required with `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LabelSelector")]
    pub selector: Option<LabelSelector>,
}

/// How to select the namespaces whose clients may name a provider.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum AllowedFrom {
    /// The provider's own namespace.
    #[default]
    Same,
    /// Namespaces whose labels match, and the provider's own namespace.
    Selector,
    /// Every namespace.
    All,
}

/// ConfigMap from which applications read issuer and endpoints, for example with `envFrom`. Its keys are OIDC_ISSUER,
/// OIDC_DISCOVERY_URL, OIDC_AUTHORIZATION_ENDPOINT, OIDC_DEVICE_AUTHORIZATION_ENDPOINT, OIDC_TOKEN_ENDPOINT,
/// OIDC_USERINFO_ENDPOINT, OIDC_JWKS_URI, OIDC_REVOCATION_ENDPOINT and OIDC_END_SESSION_ENDPOINT; an endpoint that the
/// server does not have is left out. The operator reverts changes of its data by others at the next check, within
/// `resyncInterval` of the AuthorizationServer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(!has(self.labels) || self.labels.all(k, !k.contains('oidc-operator.dev/') && (!k.contains('kubernetes.io/') || k.startsWith('app.kubernetes.io/')))) && (!has(self.annotations) || self.annotations.all(k, !k.contains('oidc-operator.dev/') && !k.contains('kubernetes.io/')))")
    .message("publish: labels and annotations of kubernetes.io (other than app.kubernetes.io labels) and of oidc-operator.dev are reserved; remove them"))]
pub struct Publish {
    /// Name of the ConfigMap. Default: the name of this resource. When it changes, the operator deletes the ConfigMap
    /// of the old name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub config_map_name: Option<String>,
    /// Labels of the ConfigMap.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the ConfigMap.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

/// Observed state of the provider. While it is not ready, everything but the conditions is from the last successful
/// check.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct OidcProviderStatus {
    /// `metadata.generation` that this status describes; -1 until the operator has processed the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Synced, always present; Ready, present unless the resource was suspended before it was ready;
    /// Reconciling, Stalled, Suspended, DriftDetected and RestartRequired, present only while True.
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
    /// The issuer: the `iss` of every token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Issuer and endpoints from the discovery document (OpenID Connect Discovery 1.0, section 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// `scopes_supported` of the discovery document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub scopes_supported: Vec<String>,
    /// `id_token_signing_alg_values_supported` of the discovery document (RFC 7518, section 3.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub id_token_signing_algs: Vec<String>,
    /// Ids (`kid`) of the public keys that verify signatures, the first 32 in alphabetical order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub signing_key_ids: Vec<String>,
    /// Name of the ConfigMap with issuer and endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_name: Option<String>,
    /// Name of the object on the server, if providers are objects there. The operator stores it here before the first
    /// write; it proves that the object belongs to this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Path of the provider on Foulkon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Id that Foulkon gave the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name of the provider in policies on Foulkon, for example
    /// `urn:iws:auth::oidc/oidc-operator/team-a/UID/team-a--main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urn: Option<String>,
    /// Whether the Foulkon worker has loaded the current provider; it loads providers only when it starts. Empty if the
    /// worker does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<bool>,
    /// UID of the AuthorizationServer on which the operator claimed the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// Id of the Kubernetes cluster that claimed the name (`--cluster-id` of its operator).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Ids of the clients that may use the provider, if the server keeps such a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10000))]
    pub client_ids: Vec<String>,
    /// Whether the provider existed on the server before this resource and was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<bool>,
    /// Ids of clients in the list on the server that no resource adds: those that it had when it was adopted, and on a
    /// Vault those whose OAuth2Client in this namespace was deleted, or lost its access, while the client itself stays.
    /// Clients of other namespaces' OAuth2Clients are not kept: they leave the list with their resource. The operator
    /// keeps the ids until somebody removes them on the server, or a resource adds them. On a Foulkon, other providers of
    /// the same issuer list them as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub kept_client_ids: Vec<String>,
    /// Deletion policy in force, if it is another one than the default and the access rules allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Digest of the inputs of the last successful reconciliation. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
}

impl OidcProvider {
    /// Name of the ConfigMap that the spec requests.
    pub fn config_map_name(&self) -> String {
        let asked = self
            .spec
            .publish
            .as_ref()
            .and_then(|publish| publish.config_map_name.clone());
        asked.unwrap_or_else(|| self.name_any())
    }
}
