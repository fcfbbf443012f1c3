//! Access rules of an AuthorizationServer: who may use it, and for what.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::oauth2_client::values::GrantType;
use super::refs::DeletionPolicy;

/// Allows namespaces to use the server for some kinds, within limits. A single rule must allow the whole resource; rules are not combined.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessRule {
    /// The namespaces that this rule is for.
    pub namespaces: NamespaceSelection,
    /// The kinds that this rule is for.
    #[schemars(length(min = 1, max = 8))]
    pub kinds: Vec<ManagedKind>,
    /// Limits on OAuth2Clients. A limit that is not set allows everything; an empty list allows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ClientLimits")]
    pub clients: Option<ClientLimits>,
    /// Existing clients that OAuth2Clients with `adoption: Allow` may adopt. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Adoptable")]
    pub adopt: Option<Adoptable>,
    /// Which object names a resource may choose. On Ory Hydra `setName` of a JsonWebKeySet: Hydra trusts the key set that is named after an issuer. On a
    /// Vault or an OpenBao `vault.name`, `setName` of a JsonWebKeySet, `name` of a Scope; and
    /// which names of others an OidcProvider may list in `scopes`, and with Any also ids in `allowedClients`. On Foulkon name and path of an OidcProvider
    /// and ids in `allowedClients`, and with Any also its `issuer`: the `issuer` decides whom the server trusts. Default: Generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectNames")]
    pub object_names: Option<ObjectNames>,
    /// Whether JsonWebKeySets may name the sets of the server itself (`hydra.openid.id-token` and the like): whoever writes those can sign on behalf of
    /// the server. The key `default` of a Vault is never available. Default: Deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Permission")]
    pub reserved_key_sets: Option<Permission>,
    /// The shortest time between two rotations, as a duration such as `15m`: a shorter `rotation.period` of an OAuth2Client or a JsonWebKeySet is refused, and
    /// what the annotation `oidc-operator.dev/rotate-at` asks for waits until so much time has passed since the last. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('0s')").message("minRotationPeriod: longer than any duration can be"))]
    pub min_rotation_period: Option<String>,
}

/// Existing objects that may be adopted, by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adoptable {
    /// Exact ids of clients. They are allowed regardless of `clients.clientIds`.
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

/// A label selector, as in other Kubernetes objects. An empty one matches everything; one that Kubernetes would refuse matches nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(r"!has(self.matchLabels) || self.matchLabels.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && self.matchLabels[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$'))")
    .message("matchLabels: these are no labels that Kubernetes knows; a key is a name of up to 63 letters, digits, dashes, dots and underscores, with or without a DNS name and a slash before it, and a value is such a name or empty").field_path(".matchLabels"))]
pub struct LabelSelector {
    /// Labels with the values they must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)")
    .message("values: In and NotIn need at least one, Exists and DoesNotExist take none").field_path(".values"))]
#[x_kube(validation = Rule::new(r"self.key.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')")
    .message("key: this is no label that Kubernetes knows; it is a name of up to 63 letters, digits, dashes, dots and underscores, with or without a DNS name and a slash before it").field_path(".key"))]
pub struct LabelSelectorRequirement {
    /// Key of the label.
    #[schemars(length(max = 317))]
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    #[schemars(extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist"]))]
    pub operator: String, // not an enum: one that we do not know must not keep the object from being read
    /// Values that the label may have (In) or must not have (NotIn).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Vec<String>",
        length(max = 64),
        inner(length(max = 63), regex(pattern = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"))
    )]
    pub values: Option<Vec<String>>,
}

fn labels(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 63 }
    })
}

/// Limits on what an OAuth2Client may ask for. The operator checks them against the effective values, defaults included.
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
    /// Where the client's URIs may lead a browser: redirects, front-channel logout, information URIs, CORS origins. A host, with or without a port:
    /// `app.example.com`, `localhost:8080`, `[::1]`; without a port, every port is allowed, as loopback redirects of native apps need it (RFC 8252, section 7.3).
    /// `*.example.com` stands for every host below example.com, not for example.com itself. Or a scheme of an app's own, which has a dot and a colon at the
    /// end: `com.example.app:` (RFC 8252, section 7.1). A URI with a user name before its host is never allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Vec<String>",
        length(max = 256),
        inner(
            length(min = 1, max = 259),
            regex(
                pattern = r"^(((\*\.)?[a-zA-Z0-9_.-]+|\[[0-9a-fA-F:.]+\])(:[1-9][0-9]{0,4})?|[a-zA-Z][a-zA-Z0-9+-]*(\.[a-zA-Z0-9+-]+)+:)$"
            )
        )
    )]
    pub uri_hosts: Option<Vec<String>>,
    /// Where the client's URIs may lead the server itself, which fetches or calls them from within its network: jwksUri, sectorIdentifierUri, requestUris,
    /// backchannelLogoutUri. Unlike the other limits, it allows nothing if it is not set. A host, with or without a port: `app.example.com`, `*.example.com`,
    /// `app.shop.svc:8443`; https only, and without a port only the usual one, 443. `http://app.shop.svc:8080` allows plain http; its usual port is 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Vec<String>",
        length(max = 256),
        inner(
            length(min = 1, max = 266),
            regex(pattern = r"^(http://)?((\*\.)?[a-zA-Z0-9_.-]+|\[[0-9a-fA-F:.]+\])(:[1-9][0-9]{0,4})?$")
        )
    )]
    pub server_uri_hosts: Option<Vec<String>>,
    /// Which client ids a client may choose. Default: Generated.
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
    /// They stay as they are, and the operator no longer changes them.
    #[default]
    Keep,
    /// The operator deletes them and their credentials Secrets, except adopted clients without `deletionPolicy: Delete`.
    Delete,
}
