//! Access rules of an AuthorizationServer: who may use it, and for what.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::oauth2_client::values::GrantType;
use super::refs::DeletionPolicy;

/// Allows namespaces to use the server for some kinds, within limits. A single rule must allow the whole resource; the
/// operator does not combine rules.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessRule {
    /// Namespaces that this rule applies to.
    pub namespaces: NamespaceSelection,
    /// Kinds that this rule applies to.
    #[schemars(length(min = 1, max = 8))]
    pub kinds: Vec<ManagedKind>,
    /// Limits on OAuth2Clients. A limit that is not set allows everything unless its description says otherwise; an
    /// empty list allows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ClientLimits")]
    pub clients: Option<ClientLimits>,
    /// What OidcProviders on Vault and OpenBao may offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ProviderGrants")]
    pub providers: Option<ProviderGrants>,
    /// Existing objects that resources with `adoption: Allow` may adopt. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Adoptable")]
    pub adopt: Option<Adoptable>,
    /// Which names a resource may choose for its object on the server. On Ory Hydra: `setName` of a JsonWebKeySet,
    /// because Hydra trusts the key set that is named after an issuer. On HashiCorp Vault and OpenBao: `vault.name`,
    /// `setName` of a JsonWebKeySet, `name` of a Scope, and the existing scopes that an OidcProvider lists in `scopes`;
    /// with Any also ids in its `allowedClients`. On Foulkon: name and path of an OidcProvider, and ids in its
    /// `allowedClients`; with Any also its `issuer`, which decides whom the server trusts. Default: Generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectNames")]
    pub object_names: Option<ObjectNames>,
    /// Whether JsonWebKeySets may manage the server's own key sets, such as `hydra.openid.id-token`. Anyone who writes
    /// those can sign on behalf of the server. The key `default` of a Vault needs a grant to adopt it as well
    /// (`adopt.objectNames`). Default: Deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Permission")]
    pub reserved_key_sets: Option<Permission>,
    /// Shortest time between two rotations, as a duration such as `15m`. The operator refuses a shorter
    /// `rotation.period` of an OAuth2Client or JsonWebKeySet. It delays a rotation that the annotation
    /// `oidc-operator.dev/rotate-at` requests until this time has passed since the last one. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('0s')").message("minRotationPeriod: the duration is too long; set a shorter one"))]
    pub min_rotation_period: Option<String>,
}

/// What OidcProviders on Vault and OpenBao may offer, beside what belongs to their namespace.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderGrants {
    /// Names of scopes of others that OidcProviders may list in `scopes`, in addition to those that `objectNames`
    /// allows. So many teams can offer `groups` or `email`, which one namespace owns. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub scopes: Vec<String>,
}

/// Existing objects that may be adopted.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adoptable {
    /// Exact ids of clients. They are allowed regardless of `clients.clientIds`. A resource that was restored from a
    /// backup may also keep a client that is listed here if its Secrets are lost or older. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 255)))]
    pub client_ids: Vec<String>,
    /// Exact names of other objects, of the kinds of this rule: on HashiCorp Vault and OpenBao clients, providers,
    /// keys, scopes and assignments; on Foulkon providers; on Ory Hydra key sets. They are allowed regardless of
    /// `objectNames`. `default` stands for the server's own provider and, together with `reservedKeySets: Allow`, for
    /// its own key. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub object_names: Vec<String>,
}

/// A kind that an access rule can name.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ManagedKind {
    /// An application's registration.
    OAuth2Client,
    /// A named scope.
    Scope,
    /// Users who may log in to a client.
    Assignment,
    /// A set of signing keys.
    JsonWebKeySet,
    /// An issuer, verified and published.
    OidcProvider,
}

/// Selects namespaces.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector: set it with from: Selector, and only then").field_path(".selector"))]
#[x_kube(validation = Rule::new("(self.from == 'Names') == has(self.names)")
    .message("names: set it with from: Names, and only then").field_path(".names"))]
pub struct NamespaceSelection {
    /// How namespaces are selected: All; Selector, by labels; or Names, by name.
    pub from: NamespaceFrom,
    /// Labels that the namespace must have. Required with `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LabelSelector")]
    pub selector: Option<LabelSelector>,
    /// Names of the namespaces. Required with `from: Names`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(max = 256), inner(length(min = 1, max = 63)))]
    pub names: Option<Vec<String>>,
}

/// How namespaces are selected.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum NamespaceFrom {
    /// Every namespace.
    All,
    /// Namespaces whose labels match `selector`.
    Selector,
    /// Namespaces that `names` lists.
    Names,
}

/// A label selector, as in other Kubernetes objects. An empty selector matches everything; a selector that Kubernetes
/// would refuse matches nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(r"!has(self.matchLabels) || self.matchLabels.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && self.matchLabels[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$'))")
    .message("matchLabels: not valid Kubernetes labels; a key must be a name of up to 63 letters, digits, dashes, dots and underscores, optionally with a DNS name and a slash before it, and a value must be such a name or empty").field_path(".matchLabels"))]
pub struct LabelSelector {
    /// Labels and the values that they must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels. All of them must be met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)")
    .message("values: In and NotIn need at least one value, Exists and DoesNotExist take none").field_path(".values"))]
#[x_kube(validation = Rule::new(r"self.key.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')")
    .message("key: not a valid Kubernetes label key; it must be a name of up to 63 letters, digits, dashes, dots and underscores, optionally with a DNS name and a slash before it").field_path(".key"))]
pub struct LabelSelectorRequirement {
    /// Key of the label.
    #[schemars(length(max = 317))]
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    #[schemars(extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist"]))]
    pub operator: String, // not an enum: an unknown operator must not make the object unreadable
    /// Values that the label may have (In) or must not have (NotIn). Leave it out with Exists and DoesNotExist.
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

/// Limits on what an OAuth2Client may request. The operator checks the effective values, defaults included.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientLimits {
    /// Grant types that clients may use. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<GrantType>", length(max = 16))]
    pub grant_types: Option<Vec<GrantType>>,
    /// Scopes that clients may request. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(max = 256), inner(length(min = 1, max = 256)))]
    pub scopes: Option<Vec<String>>,
    /// Audiences that clients may request. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(max = 256), inner(length(min = 1, max = 2048)))]
    pub audiences: Option<Vec<String>>,
    /// Hosts to which the client's URIs may lead a browser: redirects, front-channel logout, information URIs, CORS
    /// origins. An entry is a host with or without a port: `app.example.com`, `localhost:8080`, `[::1]`. Without a port
    /// it allows every port, as loopback redirects of native apps need (RFC 8252, section 7.3). `*.example.com` allows
    /// every host below example.com, but not example.com itself. An entry can also be a private-use URI scheme of an
    /// app, which has a dot, with a colon at the end: `com.example.app:` (RFC 8252, section 7.1). While this limit is
    /// set, a URI with a user name before its host is never allowed. Default: all.
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
    /// Hosts to which the client's URIs may lead the server itself, which calls them from within its network: jwksUri,
    /// sectorIdentifierUri, requestUris, backchannelLogoutUri. An entry is a host with or without a port:
    /// `app.example.com`, `*.example.com`, `app.shop.svc:8443`. It allows only https, and without a port only port 443.
    /// `http://app.shop.svc:8080` allows plain http; its default port is 80. Default: none, unlike the other limits.
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
    /// Client ids that a client may choose: none (Generated), ids that start with the namespace and a dot (Prefixed),
    /// or Any. Default: Generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ClientIds")]
    pub client_ids: Option<ClientIds>,
    /// Whether clients may skip the consent screen (skipConsent, skipLogoutConsent). Default: Deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Permission")]
    pub skip_consent: Option<Permission>,
    /// Values of `hydra.owner` that clients may set. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(max = 256), inner(length(max = 1024)))]
    pub owners: Option<Vec<String>>,
    /// Deletion policies that clients may set. Without Orphan, resources of the other kinds cannot set it either.
    /// Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<DeletionPolicy>", length(max = 2))]
    pub deletion_policies: Option<Vec<DeletionPolicy>>,
}

/// Which client ids an access rule allows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ClientIds {
    /// Only the id that the operator generates: the UID of the resource.
    #[default]
    Generated,
    /// Also ids that start with the name of the namespace and a dot.
    Prefixed,
    /// Any id.
    Any,
}

/// Which object names an access rule allows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ObjectNames {
    /// Only the name that the operator generates: namespace, dot, name of the resource; on Foulkon namespace, two
    /// dashes, name.
    #[default]
    Generated,
    /// Also names that start with the name of the namespace and a dot (on Foulkon two dashes), and on Foulkon paths
    /// that start with `pathPrefix` and the namespace.
    Prefixed,
    /// Any name except those of the server's own objects.
    Any,
}

/// Whether an action is allowed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Permission {
    /// The action is not allowed.
    #[default]
    Deny,
    /// The action is allowed.
    Allow,
}

/// What happens to remote objects when no rule selects their namespace and kind any more.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum OnRevoked {
    /// They stay as they are, and the operator no longer changes them.
    #[default]
    Keep,
    /// The operator deletes them and their credentials Secrets, except adopted ones without `deletionPolicy: Delete`.
    Delete,
}
