//! Access rules of an AuthorizationServer: who may use it, and for what.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::oauth2_client::GrantType;
use super::refs::DeletionPolicy;

/// Lets some namespaces use the server for some kinds, within limits. One rule must allow the whole of a resource; rules do not add up.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessRule {
    /// The namespaces that this rule is for.
    pub namespaces: NamespaceSelection,
    /// The kinds that this rule is for.
    #[schemars(length(min = 1, max = 8))]
    pub kinds: Vec<ManagedKind>,
    /// Limits on OAuth2Clients. A limit left out does not limit; an empty list allows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ClientLimits")]
    pub clients: Option<ClientLimits>,
    /// Clients made by others that OAuth2Clients with `adoption: Allow` may take over. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Adoptable")]
    pub adopt: Option<Adoptable>,
    /// Which names of objects may be asked for on a Vault or an OpenBao: `vault.name`, `setName` of a JsonWebKeySet, `name` of a Scope; and
    /// which names of others an OidcProvider may list in `scopes`, and with Any also ids in `allowedClients`. On Foulkon name and path of an OidcProvider
    /// and ids in `allowedClients`, and with Any also its `issuer`: who chooses that decides whom the server believes. Default: Generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectNames")]
    pub object_names: Option<ObjectNames>,
    /// Whether JsonWebKeySets may name the sets of the server itself (`hydra.openid.id-token` and the like): whoever writes those can sign in the name of
    /// the server. The key `default` of a Vault is nobody's to have. Default: Deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Permission")]
    pub reserved_key_sets: Option<Permission>,
}

/// Remote objects that may be taken over, by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adoptable {
    /// Ids of clients, word for word. They may be asked for whatever `clients.clientIds` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 128)))]
    pub client_ids: Vec<String>,
}

/// A kind that an access rule can name.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ManagedKind {
    /// An application's registration.
    OAuth2Client,
    /// A named scope.
    Scope,
    /// Who may use a client.
    Assignment,
    /// Keys.
    JsonWebKeySet,
    /// An issuer, verified and published.
    OidcProvider,
}

/// A choice of namespaces.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector: goes with from: Selector, and from: Selector needs it").field_path(".selector"))]
#[x_kube(validation = Rule::new("(self.from == 'Names') == has(self.names)")
    .message("names: goes with from: Names, and from: Names needs it").field_path(".names"))]
pub struct NamespaceSelection {
    /// All namespaces, those whose labels match `selector`, or those listed in `names`.
    pub from: NamespaceFrom,
    /// Labels that the namespace must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LabelSelector")]
    pub selector: Option<LabelSelector>,
    /// Names of namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(max = 256), inner(length(min = 1, max = 63)))]
    pub names: Option<Vec<String>>,
}

/// How namespaces are chosen.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum NamespaceFrom {
    /// Every namespace.
    All,
    /// Namespaces whose labels match.
    Selector,
    /// Namespaces listed by name.
    Names,
}

/// A label selector, as in other Kubernetes objects. An empty one matches everything.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels with the values they must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// Limits on what an OAuth2Client may ask for. They are checked on the effective values, defaults included.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientLimits {
    /// The grant types that may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<GrantType>", length(max = 16))]
    pub grant_types: Option<Vec<GrantType>>,
    /// The scopes that may be requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(max = 256), inner(length(min = 1, max = 256)))]
    pub scopes: Option<Vec<String>>,
    /// The audiences that may be requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(max = 256), inner(length(min = 1, max = 2048)))]
    pub audiences: Option<Vec<String>>,
    /// Hosts that the client's URIs may name: redirects, logout, jwksUri, sectorIdentifierUri, requestUris, information URIs, CORS origins.
    /// `*.example.com` stands for every host below example.com, not for example.com itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Vec<String>",
        length(max = 256),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^((\*\.)?[a-zA-Z0-9_.-]+|\[[0-9a-fA-F:.]+\])$")
        )
    )]
    pub uri_hosts: Option<Vec<String>>,
    /// Which client ids may be asked for. Default: Generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ClientIds")]
    pub client_ids: Option<ClientIds>,
    /// Whether clients may skip the consent screen (skipConsent, skipLogoutConsent). Default: Deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Permission")]
    pub skip_consent: Option<Permission>,
    /// The deletion policies that may be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<DeletionPolicy>", length(max = 2))]
    pub deletion_policies: Option<Vec<DeletionPolicy>>,
}

/// Which client ids an access rule allows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ClientIds {
    /// Only the id that the operator gives: the resource's UID.
    #[default]
    Generated,
    /// Also ids that start with the namespace's name and a dot.
    Prefixed,
    /// Any id.
    Any,
}

/// Which names of objects an access rule allows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ObjectNames {
    /// Only the name that the operator gives: namespace, dot, name of the resource; on Foulkon namespace, two dashes, name.
    #[default]
    Generated,
    /// Also names that start with the namespace's name and a dot, or two dashes; and on Foulkon paths below the default one.
    Prefixed,
    /// Any name but those of the server's own objects.
    Any,
}

/// Whether something may be done.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Permission {
    /// It may not.
    #[default]
    Deny,
    /// It may.
    Allow,
}

/// What happens to remote objects when no rule selects their namespace and kind any more.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum OnRevoked {
    /// They stay as they are; nothing is changed any more.
    #[default]
    Keep,
    /// They and their credentials Secrets are deleted, but for clients that were taken over and do not have `deletionPolicy: Delete`.
    Delete,
}
