//! How to reach HashiCorp Vault or OpenBao.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::refs::SecretKeyRef;

/// Where a Vault or OpenBao server is and how to log in to it.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.__namespace__) ? has(oldSelf.__namespace__) && self.__namespace__ == oldSelf.__namespace__ : !has(oldSelf.__namespace__)")
    .message("vault.namespace is immutable: create another AuthorizationServer for the other namespace").field_path(".namespace"))]
pub struct VaultServer {
    /// URL of the server, without `/v1`, for example `https://vault.vault:8200`. A changed URL means that the same
    /// server has moved.
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^/?#@\s]+/?$"))]
    pub address: String,
    /// Vault namespace of the objects, for example `team1` or `org/team1`. Default: the root namespace. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 512),
        regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*$")
    )]
    pub namespace: Option<String>,
    /// Id of the cluster that the server must belong to, as `vault status` shows it. Needed only to confirm an intended
    /// change of the cluster (reason `ServerChanged`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 256))]
    pub cluster_id: Option<String>,
    /// How to log in to the server.
    pub auth: VaultAuth,
}

/// How to log in to a Vault: exactly one of kubernetes, jwt, appRole, token and certificate. The operator logs in once
/// per server. It keeps the token in memory, renews it before it expires, and revokes it when the operator stops.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.kubernetes), has(self.jwt), has(self.appRole), has(self.token), has(self.certificate)].filter(x, x).size() == 1")
    .message("auth: set exactly one of kubernetes, jwt, appRole, token and certificate"))]
pub struct VaultAuth {
    /// Vault namespace of the auth method. Default: `namespace`. The empty string means the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 512),
        regex(pattern = r"^([^/\s?#%]+(/[^/\s?#%]+)*)?$")
    )]
    pub namespace: Option<String>,
    /// The Kubernetes auth method: Vault verifies a ServiceAccount token through the Kubernetes API. For that, Vault
    /// needs its own login there (`token_reviewer_jwt`, or the token of its pod), as a ServiceAccount with the
    /// ClusterRole `system:auth-delegator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Kubernetes")]
    pub kubernetes: Option<Kubernetes>,
    /// The JWT auth method: Vault verifies the signature of a ServiceAccount token, or of a token from a Secret,
    /// without calling the Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Jwt")]
    pub jwt: Option<Jwt>,
    /// The AppRole auth method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AppRole")]
    pub app_role: Option<AppRole>,
    /// A token from a Secret. The operator renews it and never revokes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Token")]
    pub token: Option<Token>,
    /// The TLS certificate auth method, with the certificate of `tls.clientCertificateRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Certificate")]
    pub certificate: Option<Certificate>,
}

/// Login with the Kubernetes auth method.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kubernetes {
    /// Path where the auth method is mounted. Default: kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*$")
    )]
    pub path: Option<String>,
    /// Name of the role in the auth method.
    #[schemars(length(min = 1, max = 256))]
    pub role: String,
    /// The ServiceAccount to log in as, in the operator's namespace.
    pub service_account: ServiceAccountToken,
}

/// Login with the JWT auth method: with a token from either serviceAccount or secretRef.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.serviceAccount) != has(self.secretRef)")
    .message("auth.jwt: set exactly one of serviceAccount and secretRef"))]
pub struct Jwt {
    /// Path where the auth method is mounted. Default: jwt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*$")
    )]
    pub path: Option<String>,
    /// Name of the role in the auth method. Default: the default role of the auth method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 256))]
    pub role: Option<String>,
    /// The ServiceAccount to log in as, in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServiceAccountToken")]
    pub service_account: Option<ServiceAccountToken>,
    /// The Secret in the operator's namespace, and the key in it that holds the token (RFC 7519).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub secret_ref: Option<SecretKeyRef>,
}

/// A ServiceAccount in the operator's namespace, and the audiences of its token. The operator requests a token for each
/// login. The token is valid for ten minutes and is not stored.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountToken {
    /// Name of the ServiceAccount, which needs no rights in the cluster. With `login.serviceAccount.create`, the chart
    /// creates one (`oidc-operator-login` for a release named oidc-operator), and lets the operator request tokens of it
    /// and of those in `vault.serviceAccounts`. The operator refuses its own ServiceAccount, because anyone with its token
    /// could act as the operator.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Audiences of the token (`aud`) that the role in Vault requires, for example `vault`. The operator refuses an
    /// audience that the Kubernetes API accepts (`https://kubernetes.default.svc` by default), because anyone with such
    /// a token could use it there. So a Vault whose Kubernetes auth method has neither `token_reviewer_jwt` nor a token
    /// of its pod cannot verify this token: give it a reviewer token, or use the JWT auth method.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256)))]
    pub audiences: Vec<String>,
}

/// Login with the AppRole auth method.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppRole {
    /// Path where the auth method is mounted. Default: approle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*$")
    )]
    pub path: Option<String>,
    /// Role id of the AppRole.
    #[schemars(length(min = 1, max = 256))]
    pub role_id: String,
    /// The Secret in the operator's namespace, and the key in it that holds the secret id.
    pub secret_ref: SecretKeyRef,
}

/// Login with a token.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The Secret in the operator's namespace, and the key in it that holds the token.
    pub secret_ref: SecretKeyRef,
}

/// Login with the TLS certificate auth method.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Path where the auth method is mounted. Default: cert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*$")
    )]
    pub path: Option<String>,
    /// Name of the role in the auth method. Default: any role that accepts the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 256))]
    pub name: Option<String>,
}
