//! `OidcProvider`: an issuer, verified and published to the applications that trust it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::LabelSelector;
use super::authorization_server::Endpoints;
use super::refs::{FoulkonPlace, LocalRef, ServerRef, VaultName};

/// An issuer of tokens (OpenID Connect Core 1.0). The operator verifies its discovery document and its public keys, and publishes issuer and endpoints in
/// a ConfigMap beside this resource. On HashiCorp Vault and OpenBao it is an object of the server, with its clients and scopes. Ory Hydra has one issuer for
/// a whole installation and no object for it, so nothing is written there. On Foulkon it is the trust in an issuer elsewhere: the server accepts tokens of
/// that issuer for the clients that are named here.
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
    printcolumn(name = "Issuer", type_ = "string", json_path = ".status.issuer"),
    printcolumn(name = "Loaded", type_ = "boolean", json_path = ".status.loaded", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[x_kube(validation = Rule::new("has(self.vault) && has(self.vault.name) ? has(oldSelf.vault) && has(oldSelf.vault.name) && self.vault.name == oldSelf.vault.name : !has(oldSelf.vault) || !has(oldSelf.vault.name)")
    .message("vault.name is immutable: create a new OidcProvider of the other name").field_path(".vault"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.serverRef) ? has(oldSelf.serverRef) && self.serverRef.name == oldSelf.serverRef.name : !has(oldSelf.serverRef)")
    .message("serverRef is immutable: create a new OidcProvider for the other server").field_path(".serverRef"))]
#[x_kube(validation = Rule::new("!has(self.issuer) || !has(self.issuerRef)")
    .message("set issuer or issuerRef, not both"))]
pub struct OidcProviderSpec {
    /// The AuthorizationServer. Left out: the one named `default`. An Ory Hydra needs `hydra.publicUrl`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServerRef")]
    pub server_ref: Option<ServerRef>,
    /// The issuer that tokens must carry as `iss`, compared character by character. Default: on Ory Hydra `hydra.publicUrl` of the AuthorizationServer, with
    /// or without a slash at the end, since an issuer is the URL that its discovery document is found under. On Vault and OpenBao scheme, host and port that
    /// applications reach the server at, for example `https://vault.example.com:8200`; the provider's path is added to it. Default there: the server's own
    /// `api_addr`; set it if there are several servers with an `api_addr` each. On Foulkon the issuer whose tokens are accepted, which needs
    /// `objectNames: Any` in the server's access rules; or see issuerRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(r"self.matches('^https?://[^/?#@\\s]+(/[^?#\\s]*)?$')")
        .message("issuer: an issuer is an http or https URL without query and fragment (OpenID Connect Discovery 1.0, section 3)"))]
    pub issuer: Option<String>,
    /// An OidcProvider of this namespace on another server: tokens of its issuer are accepted. Only on Foulkon, instead of issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LocalRef")]
    pub issuer_ref: Option<LocalRef>,
    /// Clients that may be used with the provider, beside those that name it in their `providerRefs`. On Foulkon the clients whose tokens are accepted, at
    /// least one. Not on Ory Hydra, where every client may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub allowed_clients: Vec<AllowedClient>,
    /// From which other namespaces clients may name the provider in their `providerRefs`. Default: Same, from none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AllowedNamespaces")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// Scope resources of this namespace and server that can be asked for at the provider, besides `openid`. Not on Ory Hydra.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 64))]
    pub scope_refs: Vec<LocalRef>,
    /// Scopes that others made on the server and that can be asked for at the provider, besides `openid`. Needs `objectNames: Any` in the server's access
    /// rules. Not on Ory Hydra.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 64), inner(length(max = 256), regex(pattern = r"^\w(([\w.-]+)?\w)?$")))]
    pub scopes: Vec<String>,
    /// What only HashiCorp Vault and OpenBao have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "VaultName")]
    pub vault: Option<VaultName>,
    /// What only Foulkon has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FoulkonPlace")]
    pub foulkon: Option<FoulkonPlace>,
    /// The ConfigMap that issuer and endpoints are published in. Default: one with the name of this resource. Not on Foulkon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Publish")]
    pub publish: Option<Publish>,
}

/// A client that may be used with a provider: name or clientId.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) != has(self.clientId)").message("allowedClients: set name or clientId"))]
pub struct AllowedClient {
    /// Name of an OAuth2Client of this namespace and server; for a provider on Foulkon of this namespace and any server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: Option<String>,
    /// The id of a client that others made; on Vault and OpenBao `*` stands for every client. Needs `objectNames: Any` in the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 128), regex(pattern = r"^([A-Za-z0-9_+.@=-]+|\*)$"))]
    pub client_id: Option<String>,
}

/// From which namespaces clients may name the provider.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector: goes with from: Selector, and from: Selector needs it").field_path(".selector"))]
pub struct AllowedNamespaces {
    /// The provider's own namespace, those whose labels match `selector`, or all.
    pub from: AllowedFrom,
    /// Labels that the namespace must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LabelSelector")]
    pub selector: Option<LabelSelector>,
}

/// How the namespaces are chosen whose clients may name a provider.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum AllowedFrom {
    /// The provider's own namespace.
    #[default]
    Same,
    /// Namespaces whose labels match, and the provider's own one.
    Selector,
    /// Every namespace.
    All,
}

/// The ConfigMap that applications take issuer and endpoints from, for example with `envFrom`. Its keys are OIDC_ISSUER, OIDC_DISCOVERY_URL,
/// OIDC_AUTHORIZATION_ENDPOINT, OIDC_TOKEN_ENDPOINT, OIDC_USERINFO_ENDPOINT, OIDC_JWKS_URI, OIDC_REVOCATION_ENDPOINT and OIDC_END_SESSION_ENDPOINT; an
/// endpoint that the server does not have is left out. What somebody else changes in its data is put right at the next look, within `resyncInterval` of
/// the AuthorizationServer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(!has(self.labels) || self.labels.all(k, !k.contains('oidc-operator.dev/') && (!k.contains('kubernetes.io/') || k.startsWith('app.kubernetes.io/')))) && (!has(self.annotations) || self.annotations.all(k, !k.contains('oidc-operator.dev/') && !k.contains('kubernetes.io/')))")
    .message("publish: labels and annotations of kubernetes.io (other than app.kubernetes.io labels) and of oidc-operator.dev cannot be set"))]
pub struct Publish {
    /// Name of the ConfigMap. Default: the name of this resource. When it changes, the operator deletes the ConfigMap of the old name.
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

/// What the operator knows of the provider. While it is not ready, everything but the conditions is as of the last good look.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[schemars(extend("default" = {"observedGeneration": -1}))]
#[serde(rename_all = "camelCase")]
pub struct OidcProviderStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready and Synced always; Reconciling, Stalled and RestartRequired while they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
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
    /// Ids (`kid`) of the public keys that signatures can be verified with, the first 32 in alphabetical order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub signing_key_ids: Vec<String>,
    /// Name of the ConfigMap that issuer and endpoints are published in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_name: Option<String>,
    /// Name of the object on the server, where providers are objects. It is kept here from before the first write on, and makes the object ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Path of the provider on a Foulkon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Id that a Foulkon gave the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What policies on a Foulkon call the provider, for example `urn:iws:auth::oidc/oidc-operator/team-a/UID/team-a--main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urn: Option<String>,
    /// Whether the worker of a Foulkon has loaded the provider as it is: it does so when it starts. Empty where it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<bool>,
    /// UID of the AuthorizationServer that the name was claimed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// Id of the Kubernetes cluster (`--cluster-id` of its operator) that claimed the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Ids of the clients that may be used with the provider, where that is the provider's to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10000))]
    pub client_ids: Vec<String>,
    /// Digest of the inputs of the last successful reconciliation. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
}

impl OidcProvider {
    /// Name of the ConfigMap that the spec asks for.
    pub fn config_map_name(&self) -> String {
        let asked = self
            .spec
            .publish
            .as_ref()
            .and_then(|publish| publish.config_map_name.clone());
        asked.unwrap_or_else(|| self.name_any())
    }
}
