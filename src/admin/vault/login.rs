//! Ways to log in to a Vault.

use crate::admin::http::Failure;
use crate::cluster::Cluster;
use crate::error::{Error, Outage};
use crate::secret::Secret;

/// How to log in. The first text is the path of the auth method.
pub enum Login {
    /// The Kubernetes auth method.
    Kubernetes(String, String, Jwt),
    /// The JWT auth method, with a role or its default role.
    Jwt(String, Option<String>, Jwt),
    /// The AppRole auth method: role id and secret id.
    AppRole(String, String, Secret),
    /// A token that the operator did not create.
    Token(Secret),
    /// The TLS certificate auth method, with the client certificate of the connection and, if set, a role.
    Certificate(String, Option<String>),
}

/// Where a JWT comes from.
pub enum Jwt {
    /// The Kubernetes API issues one for each login.
    Issued {
        /// The Kubernetes API.
        cluster: Cluster,
        /// Namespace of the ServiceAccount.
        namespace: String,
        /// Name of the ServiceAccount.
        name: String,
        /// Audiences of the token.
        audiences: Vec<String>,
    },
    /// A given JWT.
    Held(Secret),
}

impl Login {
    pub(super) fn describe(&self) -> String {
        let role = |role: &Option<String>| role.as_ref().map(|role| format!(" role {role}")).unwrap_or_default();
        match self {
            Login::Kubernetes(_, role, _) => format!("Kubernetes role {role}"),
            Login::Jwt(_, name, _) => format!("JWT{}", role(name)),
            Login::AppRole(..) => "AppRole".to_owned(),
            Login::Token(_) => "Token".to_owned(),
            Login::Certificate(_, name) => format!("Certificate{}", role(name)),
        }
    }
}

impl Jwt {
    pub(super) async fn get(&self) -> Result<Secret, Failure> {
        let (cluster, namespace, name, audiences) = match self {
            Jwt::Held(secret) => return Ok(secret.clone()),
            Jwt::Issued {
                cluster,
                namespace,
                name,
                audiences,
            } => (cluster, namespace, name, audiences),
        };
        match cluster.login_token(namespace, name, audiences).await {
            Ok(token) => Ok(token),
            Err(Error::Login(fault)) => Err(Failure::NotSent(fault)),
            Err(_) => Err(Failure::Outage(Outage::Busy)), // transient
        }
    }
}
