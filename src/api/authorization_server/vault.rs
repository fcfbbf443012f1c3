//! How to reach a HashiCorp Vault or an OpenBao.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::refs::SecretKeyRef;

/// Where a Vault or an OpenBao is and how to log in to it.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.__namespace__) ? has(oldSelf.__namespace__) && self.__namespace__ == oldSelf.__namespace__ : !has(oldSelf.__namespace__)")
    .message("vault.namespace is immutable: create another AuthorizationServer for the other namespace").field_path(".namespace"))]
pub struct VaultServer {
    /// URL of the server, without `/v1`, for example `https://vault.vault:8200`. A changed URL means that the same server moved.
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^/?#@\s]+/?$"))]
    pub address: String,
    /// The Vault namespace that the objects are in, for example `team1` or `org/team1`. Default: the root namespace. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 512),
        regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*$")
    )]
    pub namespace: Option<String>,
    /// Id of the cluster that the server must belong to, as `vault status` tells it. Needed only to confirm an intended change of the cluster (reason
    /// `ServerChanged`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 256))]
    pub cluster_id: Option<String>,
    /// How to log in.
    pub auth: VaultAuth,
}

/// How to log in to a Vault: exactly one of kubernetes, jwt, appRole, token and certificate. There is one login per server; its token stays in memory, is
/// renewed before it ends, and revoked when the operator stops.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.kubernetes), has(self.jwt), has(self.appRole), has(self.token), has(self.certificate)].filter(x, x).size() == 1")
    .message("auth: set exactly one of kubernetes, jwt, appRole, token and certificate"))]
pub struct VaultAuth {
    /// The Vault namespace that the auth method is in. Default: `namespace`. The empty text stands for the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 512),
        regex(pattern = r"^([^/\s?#%]+(/[^/\s?#%]+)*)?$")
    )]
    pub namespace: Option<String>,
    /// The Kubernetes auth method: a token of a ServiceAccount, which Vault has the Kubernetes API confirm. For that Vault needs a login of its own there
    /// (`token_reviewer_jwt`, or the token of its pod), of a ServiceAccount with the ClusterRole `system:auth-delegator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Kubernetes")]
    pub kubernetes: Option<Kubernetes>,
    /// The JWT auth method: a token of a ServiceAccount, or one from a Secret, whose signature Vault verifies without calling the Kubernetes API.
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

/// Login by the Kubernetes auth method.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kubernetes {
    /// Where the auth method is mounted. Default: kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*$")
    )]
    pub path: Option<String>,
    /// Name of the role there.
    #[schemars(length(min = 1, max = 256))]
    pub role: String,
    /// The ServiceAccount to log in as, in the operator's namespace.
    pub service_account: ServiceAccountToken,
}

/// Login by the JWT auth method: with a token of serviceAccount or of secretRef.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.serviceAccount) != has(self.secretRef)")
    .message("auth.jwt: set serviceAccount or secretRef"))]
pub struct Jwt {
    /// Where the auth method is mounted. Default: jwt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*$")
    )]
    pub path: Option<String>,
    /// Name of the role there. Default: the default role of the auth method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 256))]
    pub role: Option<String>,
    /// The ServiceAccount to log in as, in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServiceAccountToken")]
    pub service_account: Option<ServiceAccountToken>,
    /// The Secret, in the operator's namespace, and the key that holds the token (RFC 7519).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub secret_ref: Option<SecretKeyRef>,
}

/// A ServiceAccount of the operator's namespace, and for whom its token is made. The token is asked for at each login, is valid for ten minutes, and is
/// stored nowhere.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountToken {
    /// Name of the ServiceAccount, which needs no rights in the cluster. The chart makes one (`login.serviceAccount`, `oidc-operator-login` for a release of the
    /// name oidc-operator) and lets the operator ask for its tokens and for those of `vault.serviceAccounts`. The operator's own ServiceAccount is refused:
    /// whoever gets a token of it could be the operator.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Audiences of the token (`aud`), as the role in Vault wants them, for example `vault`. One that the Kubernetes API accepts
    /// (`https://kubernetes.default.svc` by default) is refused: whoever gets such a token could use it there. So a Vault whose Kubernetes auth method has
    /// neither `token_reviewer_jwt` nor a token of its pod cannot confirm this one: give it a reviewer token, or use the JWT auth method.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256)))]
    pub audiences: Vec<String>,
}

/// Login by the AppRole auth method.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppRole {
    /// Where the auth method is mounted. Default: approle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*$")
    )]
    pub path: Option<String>,
    /// The role id.
    #[schemars(length(min = 1, max = 256))]
    pub role_id: String,
    /// The Secret, in the operator's namespace, and the key that holds the secret id.
    pub secret_ref: SecretKeyRef,
}

/// Login with a token.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The Secret, in the operator's namespace, and the key that holds the token.
    pub secret_ref: SecretKeyRef,
}

/// Login by the TLS certificate auth method.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Where the auth method is mounted. Default: cert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = r"^[^/\s?#%]+(/[^/\s?#%]+)*$")
    )]
    pub path: Option<String>,
    /// Name of the role there. Default: any that accepts the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 256))]
    pub name: Option<String>,
}
