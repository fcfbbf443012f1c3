//! `OAuth2Client`: the registration of an application, and its credentials Secret.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::json::JsonObject;
use super::refs::{
    Adoption, DeletionPolicy, LocalRef, ManagementPolicy, ProviderRef, SecretKeyRef, ServerRef, VaultName,
};

mod credentials;
mod effective;
mod hydra;
mod keys;
mod preset;
mod rotation;
mod status;
pub(crate) mod values;

pub use credentials::{Credentials, SecretKeys, VARIABLES};
pub use hydra::{HydraClient, TokenLifespans};
pub use keys::{JsonWebKey, JsonWebKeys};
pub use preset::{OPAQUE, PLAIN, Preset, PresetLayout};
pub use rotation::{RotationWait, RotationWindow, SecretRotation, UNTIL_UNUSED, WithoutOverlap};
pub use status::{Binding, Effective, OAuth2ClientStatus};
pub use values::{
    AccessTokenStrategy, ClientType, DEFAULT_SCOPES, GrantType, OnSecretMismatch, RequestObjectSigningAlg,
    ResponseType, SigningAlg, SubjectType, TokenEndpointAuthMethod, UserinfoSignedResponseAlg,
};

/// An application that may request tokens from the authorization server. The operator registers it, keeps the
/// registration as declared here, and writes client id and secret to a Secret in the same namespace.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "oidc-operator.dev",
    doc = "An application that is registered with an AuthorizationServer, and the Secret with its credentials.",
    version = "v1alpha1",
    kind = "OAuth2Client",
    namespaced,
    status = "OAuth2ClientStatus",
    shortname = "oac",
    category = "oidc",
    selectable = ".spec.serverRef.name",
    selectable = ".spec.clientId",
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
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Client ID", type_ = "string", json_path = ".status.clientId", priority = 1),
    printcolumn(name = "Last Sync", type_ = "date", json_path = ".status.lastSyncTime", priority = 1),
    printcolumn(
        name = "Next Rotation",
        type_ = "string",
        json_path = ".status.nextRotationAt",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[kube(validation = Rule::new("(has(self.spec.vault) && has(self.spec.vault.name) ? self.spec.vault.name : '') == (has(oldSelf.spec.vault) && has(oldSelf.spec.vault.name) ? oldSelf.spec.vault.name : '') || ((has(self.spec.vault) && has(self.spec.vault.name) ? self.spec.vault.name : '') == '' ? (has(oldSelf.spec.vault) && has(oldSelf.spec.vault.name) ? oldSelf.spec.vault.name : '') : (has(oldSelf.spec.vault) && has(oldSelf.spec.vault.name) ? oldSelf.spec.vault.name : '') == '' ? (has(self.spec.vault) && has(self.spec.vault.name) ? self.spec.vault.name : '') : '').endsWith('.' + self.metadata.name)")
    .message("vault.name is immutable: create a new OAuth2Client with the other name").field_path(".spec.vault"))]
#[kube(validation = Rule::new("!self.metadata.name.matches('^oac-[0-9a-f]{8}-')")
    .message("metadata.name: names that start like oac-01234567- are reserved for the operator's ledgers; choose another name"))]
#[kube(validation = Rule::new("!has(self.spec.clientSecretRef) || self.spec.clientSecretRef.name != (has(self.spec.credentials) && has(self.spec.credentials.secretName) ? self.spec.credentials.secretName : self.metadata.name)")
    .message("clientSecretRef: names the credentials Secret that the operator writes; keep your own secret in another Secret").field_path(".spec.clientSecretRef"))]
#[kube(validation = Rule::new("!has(self.spec.clientIdFrom) || self.spec.clientIdFrom.name != (has(self.spec.credentials) && has(self.spec.credentials.secretName) ? self.spec.credentials.secretName : self.metadata.name)")
    .message("clientIdFrom: names the credentials Secret that the operator writes; keep your own id in another Secret").field_path(".spec.clientIdFrom"))]
#[x_kube(validation = Rule::new("(has(self.serverRef) ? self.serverRef.name : 'default') == (has(oldSelf.serverRef) ? oldSelf.serverRef.name : 'default')")
    .message("serverRef is immutable: create a new OAuth2Client for the other server, and set deletionPolicy: Orphan on this one if its client should stay").field_path(".serverRef"))]
#[x_kube(validation = Rule::new("(has(self.clientId) ? has(oldSelf.clientId) && self.clientId == oldSelf.clientId : !has(oldSelf.clientId)) && has(self.clientIdFrom) == has(oldSelf.clientIdFrom)")
    .message("clientId is immutable: create a new OAuth2Client with the other id, and set deletionPolicy: Orphan on this one if its client should stay").field_path(".clientId"))]
#[x_kube(validation = Rule::new("!has(self.clientId) || !self.clientId.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$') || self.?adoption.orValue('Never') == 'Allow'")
    .message("clientId: must not look like a UUID, because clients without clientId get UUIDs as ids; choose another id, or set adoption: Allow to adopt an existing client").field_path(".clientId"))]
#[x_kube(validation = Rule::new("!has(self.adoption) || self.adoption == 'Never' || has(self.clientId) || has(self.clientIdFrom) || has(self.vault) && has(self.vault.name)")
    .message("adoption: needs the client to adopt; set clientId, or on Vault and OpenBao vault.name").field_path(".adoption"))]
#[x_kube(validation = Rule::new("!has(self.clientId) || !has(self.clientIdFrom)")
    .message("clientIdFrom: set clientId or clientIdFrom, not both").field_path(".clientIdFrom"))]
#[x_kube(validation = Rule::new("self.?redirectUris.orValue([]).size() > 0 || has(self.grantTypes) && !self.grantTypes.exists(g, g == 'authorization_code' || g == 'implicit')")
    .message("redirectUris: the grant types authorization_code (the default) and implicit need at least one; for a machine client set grantTypes: [client_credentials]").field_path(".redirectUris"))]
#[x_kube(validation = Rule::new("!has(self.jwks) || !has(self.jwksUri)")
    .message("jwks: set jwks or jwksUri, not both").field_path(".jwks"))]
#[x_kube(validation = Rule::new("!has(self.keySetRef) || !has(self.jwks) && !has(self.jwksUri)")
    .message("keySetRef: set only one of keySetRef, jwks and jwksUri").field_path(".keySetRef"))]
#[x_kube(validation = Rule::new("!has(self.tokenEndpointAuthMethod) || (self.tokenEndpointAuthMethod == 'none') == (self.?clientType.orValue('Confidential') == 'Public') && (self.tokenEndpointAuthMethod != 'private_key_jwt' || has(self.jwks) || has(self.jwksUri) || has(self.keySetRef))")
    .message(Message::Expression("'tokenEndpointAuthMethod: ' + ((self.tokenEndpointAuthMethod == 'none') == (self.?clientType.orValue('Confidential') == 'Public') ? 'private_key_jwt needs jwks, jwksUri or keySetRef' : 'none needs clientType: Public, and Public allows no other method; change one of the two')".to_owned())).field_path(".tokenEndpointAuthMethod"))]
#[x_kube(validation = Rule::new("!has(self.clientSecretRef) || self.?clientType.orValue('Confidential') != 'Public' && self.?tokenEndpointAuthMethod.orValue('') != 'private_key_jwt'")
    .message(Message::Expression("'clientSecretRef: ' + (self.?clientType.orValue('Confidential') == 'Public' ? 'a public client has no secret; leave it out or set clientType: Confidential' : 'a client with private_key_jwt has no secret; leave it out')".to_owned())).field_path(".clientSecretRef"))]
#[x_kube(validation = Rule::new("!has(self.rotation) || !has(self.clientSecretRef) && self.?clientType.orValue('Confidential') != 'Public' && self.?tokenEndpointAuthMethod.orValue('') != 'private_key_jwt'")
    .message("rotation: needs a secret that the operator generates; to replace your own, change the Secret that clientSecretRef names").field_path(".rotation"))]
#[x_kube(validation = Rule::new("self.?clientType.orValue('Confidential') != 'Public' || !has(self.grantTypes) || !self.grantTypes.exists(g, g == 'client_credentials')")
    .message("grantTypes: a public client cannot use client_credentials, because it cannot authenticate; leave it out or set clientType: Confidential").field_path(".grantTypes"))]
#[serde(rename_all = "camelCase")]
pub struct OAuth2ClientSpec {
    /// The AuthorizationServer to register with. Default: the AuthorizationServer named `default`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServerRef")]
    pub server_ref: Option<ServerRef>,
    /// The client_id (RFC 6749, section 2.2). Default: the UID of this resource. Another id needs a grant in the
    /// server's access rules (`clients.clientIds`). An id with a slash, such as a URL, needs Hydra 25.4 or later.
    /// Immutable. Not on Vault and OpenBao, which generate it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 255),
        regex(pattern = r"^[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('(^|/)[.][.]?(/|$)')")
        .message("clientId: must not have `.` or `..` between slashes, because proxies change such URLs"))]
    pub client_id: Option<String>,
    /// The client_id from a Secret of this namespace, for example one that another tool brings with the secret of
    /// clientSecretRef. The operator waits for the Secret, and notices changes as it does for clientSecretRef. Client ids
    /// are public, so the Secret must have the annotation `oidc-operator.dev/client-id-key` with the key. All that is
    /// said of clientId holds for this id. Not together with clientId.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub client_id_from: Option<SecretKeyRef>,
    /// Name shown to users, for example on the consent screen (RFC 7591 client_name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 255))]
    pub client_name: Option<String>,
    /// Whether the application can keep a secret (RFC 6749, section 2.1). Public: browser and native apps, which have
    /// no secret. Default: Confidential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ClientType")]
    pub client_type: Option<ClientType>,
    /// Where the server may redirect users after login (RFC 6749, section 3.1.2): absolute URIs without fragment.
    /// Required for the grant types authorization_code and implicit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(
        length(max = 1000),
        inner(length(min = 1, max = 2048), regex(pattern = r"^[a-zA-Z][a-zA-Z0-9+.-]*:[^\s\\]+$"))
    )]
    #[x_kube(validation = Rule::new("self.all(u, !u.contains('#'))")
        .message("redirectUris: a redirect URI must not have a fragment (#…)"))]
    #[x_kube(validation = Rule::new("self.all(u, !u.matches('(?i)^(javascript|data|vbscript|about|blob|file):'))")
        .message("redirectUris: the schemes javascript, data, vbscript, about, blob and file are not allowed; use another scheme"))]
    pub redirect_uris: Vec<String>,
    /// Where the server may redirect users after logout (OpenID Connect RP-Initiated Logout 1.0). Scheme, host and port
    /// must be those of a redirect URI.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(
        length(max = 1000),
        inner(length(min = 1, max = 2048), regex(pattern = r"^[a-zA-Z][a-zA-Z0-9+.-]*:[^\s\\]+$"))
    )]
    pub post_logout_redirect_uris: Vec<String>,
    /// Grant types that the client may use (RFC 7591 grant_types). Default: authorization_code and refresh_token; on
    /// Vault and OpenBao, which have no refresh tokens, authorization_code. The device authorization grant needs Hydra
    /// 25.4 or later. An adopted client keeps the grant types that cannot be listed here and, without this field, all
    /// that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(with = "Vec<GrantType>", length(min = 1, max = 8))]
    pub grant_types: Option<Vec<GrantType>>,
    /// Response types that the client may use (RFC 7591 response_types). Default: code with the grant type
    /// authorization_code, otherwise none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(with = "Vec<ResponseType>", length(max = 8))]
    pub response_types: Option<Vec<ResponseType>>,
    /// Scopes that the client may request (RFC 6749, section 3.3). Default: openid with the grant type
    /// authorization_code or device_code, and offline_access if refresh_token is set too; otherwise none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(
        with = "Vec<String>",
        length(max = 128),
        inner(length(min = 1, max = 256), regex(pattern = r"^[\x21\x23-\x5B\x5D-\x7E]+$"))
    )]
    pub scopes: Option<Vec<String>>,
    /// Scope resources of this namespace and server. Each adds its scope to those that the client may request, and its
    /// description and claims template to the client's metadata under `oidc-operator.dev`, for the login and consent
    /// app. Not on Vault and OpenBao, where scopes belong to the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 64))]
    pub scope_refs: Vec<LocalRef>,
    /// Assignment resources of this namespace and server. Only users whom at least one of them names may log in to the
    /// client. On Ory Hydra the operator writes them to the client's metadata under `oidc-operator.dev`, and the login
    /// and consent app must enforce them; Vault and OpenBao enforce them. Default: anyone may log in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 64))]
    pub assignment_refs: Vec<LocalRef>,
    /// OidcProviders on this server that the client may use, in addition to those that list it in `allowedClients`. A
    /// provider in another namespace must admit this namespace (`allowedNamespaces`). Endpoints in `credentials.data`
    /// are those of the first provider. Not on Ory Hydra, which has one issuer for all clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub provider_refs: Vec<ProviderRef>,
    /// Audiences that the client may request: the `aud` of its access tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 2048), regex(pattern = r"[^\\]$")))]
    pub audience: Vec<String>,
    /// People responsible for the client, usually e-mail addresses (RFC 7591 contacts).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 32), inner(length(min = 1, max = 320), regex(pattern = r"[^\\]$")))]
    pub contacts: Vec<String>,
    /// Home page of the application (RFC 7591 client_uri).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 2048), regex(pattern = r"^https?://[^\s\\]+$"))]
    pub client_uri: Option<String>,
    /// Logo of the application (RFC 7591 logo_uri).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 2048), regex(pattern = r"^https?://[^\s\\]+$"))]
    pub logo_uri: Option<String>,
    /// Privacy policy of the application (RFC 7591 policy_uri).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 2048), regex(pattern = r"^https?://[^\s\\]+$"))]
    pub policy_uri: Option<String>,
    /// Terms of service of the application (RFC 7591 tos_uri).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 2048), regex(pattern = r"^https?://[^\s\\]+$"))]
    pub tos_uri: Option<String>,
    /// Public keys of the client (RFC 7591 jwks), for private_key_jwt and signed request objects. Cannot be combined
    /// with jwksUri or keySetRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JsonWebKeys")]
    pub jwks: Option<JsonWebKeys>,
    /// A JsonWebKeySet of this namespace and server. On Ory Hydra the operator registers its public keys with the
    /// client, also while a key is being replaced. On Vault and OpenBao its key signs the tokens of the client, and the
    /// reference cannot change; default there: the server's key `default`. Cannot be combined with jwks or jwksUri.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LocalRef")]
    pub key_set_ref: Option<LocalRef>,
    /// URL from which the server fetches the client's public keys (RFC 7591 jwks_uri). Cannot be combined with jwks or
    /// keySetRef. Needs `clients.serverUriHosts` in the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 2048), regex(pattern = r"^https?://[^\s\\]+$"))]
    pub jwks_uri: Option<String>,
    /// Whether a user has one subject for all clients (public) or one per sector (pairwise; OpenID Connect Core 1.0,
    /// section 8). Default: public, unless the server's discovery document lists only other types; then the first of
    /// those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SubjectType")]
    pub subject_type: Option<SubjectType>,
    /// https URL of a JSON array of redirect URIs, which the server fetches (OpenID Connect Core 1.0, section 8.1).
    /// Needs `clients.serverUriHosts` in the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 2048), regex(pattern = r"^https://[^\s]+$"))]
    pub sector_identifier_uri: Option<String>,
    /// How the client authenticates at the token endpoint. Default: client_secret_basic, or none for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TokenEndpointAuthMethod")]
    pub token_endpoint_auth_method: Option<TokenEndpointAuthMethod>,
    /// Algorithm with which the client signs its assertions for private_key_jwt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SigningAlg")]
    pub token_endpoint_auth_signing_alg: Option<SigningAlg>,
    /// Algorithm with which the client signs request objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RequestObjectSigningAlg")]
    pub request_object_signing_alg: Option<RequestObjectSigningAlg>,
    /// Algorithm with which the server signs UserInfo responses; none means plain JSON. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UserinfoSignedResponseAlg")]
    pub userinfo_signed_response_alg: Option<UserinfoSignedResponseAlg>,
    /// request_uri values that the client may use, which the server fetches (OpenID Connect Core 1.0, section 6.2).
    /// Needs `clients.serverUriHosts` in the server's access rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 2048), regex(pattern = r"^https?://[^\s\\]+$"))
    )]
    pub request_uris: Vec<String>,
    /// URI that the browser loads at logout (OpenID Connect Front-Channel Logout 1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 2048), regex(pattern = r"^https?://[^\s\\]+$"))]
    pub frontchannel_logout_uri: Option<String>,
    /// Whether front-channel logout requests carry issuer and session id. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub frontchannel_logout_session_required: Option<bool>,
    /// URI that the server calls at logout (OpenID Connect Back-Channel Logout 1.0). Needs `clients.serverUriHosts` in
    /// the server's access rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 2048), regex(pattern = r"^https?://[^\s\\]+$"))]
    pub backchannel_logout_uri: Option<String>,
    /// Whether the logout token of back-channel logout carries the session id. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub backchannel_logout_session_required: Option<bool>,
    /// Origins from which browsers may call the token endpoint: scheme, host and port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(
        length(max = 1000),
        inner(length(min = 1, max = 512), regex(pattern = r"^https?://[^/?#@\s]+/?$"))
    )]
    pub allowed_cors_origins: Vec<String>,
    /// Lifetime of access tokens for every grant type, as a duration such as `1h`. Default: the server's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('0s')").message("accessTokenTtl: the duration is too long; set a shorter one"))]
    pub access_token_ttl: Option<String>,
    /// Lifetime of ID tokens for every grant type, as a duration such as `1h`. Default: the server's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('0s')").message("idTokenTtl: the duration is too long; set a shorter one"))]
    pub id_token_ttl: Option<String>,
    /// Lifetime of refresh tokens for every grant type, as a duration such as `720h`. Default: the server's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 32),
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
    )]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') || duration(self) >= duration('0s')").message("refreshTokenTtl: the duration is too long; set a shorter one"))]
    pub refresh_token_ttl: Option<String>,
    /// Any JSON object. The server stores it with the client, and the login and consent app can read it. The key
    /// `oidc-operator.dev` is reserved.
    #[serde(default, skip_serializing_if = "JsonObject::is_absent")]
    #[schemars(schema_with = "values::metadata_schema")]
    pub metadata: JsonObject,
    /// Settings that only Ory Hydra has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HydraClient")]
    pub hydra: Option<Box<HydraClient>>,
    /// Settings that only HashiCorp Vault and OpenBao have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "VaultName")]
    pub vault: Option<VaultName>,
    /// Layout of the Secret that applications mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Credentials")]
    pub credentials: Option<Box<Credentials>>,
    /// Your own client secret, instead of a generated one. The operator sends a change to the server at once if the
    /// Secret has the label `oidc-operator.dev/watch: "true"` and the operator watches Secrets, and within a minute
    /// otherwise. The secret has at most 8 KiB, and on Hydra 1 at most 72 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// When the client secret is replaced. Default: never. To replace credentials without interruption, use keySetRef
    /// with `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretRotation")]
    pub rotation: Option<SecretRotation>,
    /// What happens to the client and its Secret when this resource is deleted. Default: Delete, or Orphan for an
    /// adopted client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DeletionPolicy")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Whether the operator adopts an existing client with this clientId, or on Vault and OpenBao with this vault.name.
    /// Needs `adopt` in the server's access rules. The operator changes the client to match this spec, except for its
    /// id and its secret. On Vault and OpenBao it reads both from the server. On Ory Hydra it knows the secret only
    /// from clientSecretRef or from a credentials Secret that it takes over, both of which it tries first (see
    /// onSecretMismatch), or after a replacement (see rotation), and a registration access token of the client becomes
    /// invalid. It takes over an existing Secret of the name credentials.secretName if the Secret has the annotation
    /// `oidc-operator.dev/adoptable-by` with the name of this resource, and no keys besides those that it would write. With suspend: true the resource says what an adoption
    /// would change. The operator never adopts a client that another resource manages. Default: Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Adoption")]
    pub adoption: Option<Adoption>,
    /// What happens when a client that is adopted has another secret than the one that clientSecretRef names, or that is
    /// in the Secret that the operator takes over, or when the operator cannot find out because the server has no publicUrl: Refuse changes nothing, Replace replaces the
    /// client's secret, so applications with the old one cannot log in any more. Default: Refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnSecretMismatch")]
    pub on_secret_mismatch: Option<OnSecretMismatch>,
    /// Full: the operator makes the client on the server match this spec. ObserveOnly: it writes nothing on the server
    /// and makes no Secret, and only compares: Ready says whether the client is as this spec describes it, and the
    /// condition DriftDetected names the fields that differ. It compares a client that belongs to this resource, or one
    /// that it could adopt (see adoption). When this resource is deleted, the client stays, as with deletionPolicy:
    /// Orphan, which the access rules must allow if the operator has made it. Default: Full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ManagementPolicy")]
    pub management_policy: Option<ManagementPolicy>,
    /// While true, the operator writes nothing for this resource, but still handles its deletion and a revoked access.
    /// Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub suspend: Option<bool>,
}
