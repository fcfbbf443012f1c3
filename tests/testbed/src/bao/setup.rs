//! What an administrator sets up before others use the server. Every step can be repeated.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::api::{Api, complaint, text};

/// A role that lets the bearer of a ServiceAccount token log in.
#[derive(Clone, Debug)]
pub struct AccountRole<'a> {
    /// Name of the role.
    pub name: &'a str,
    /// Name of the ServiceAccount.
    pub account: &'a str,
    /// Namespace of the ServiceAccount.
    pub namespace: &'a str,
    /// Audience that the token must have. Without it, Kubernetes auth accepts any audience, and JWT auth none.
    pub audience: Option<&'a str>,
    /// Policy of the login.
    pub policy: &'a str,
    /// How long a login lasts, for instance `1h`.
    pub ttl: &'a str,
}

/// A user who can sign in through a provider.
#[derive(Clone)]
pub struct User {
    /// Id of the user's entity, for assignments and groups.
    pub entity_id: String,
    /// A token of the user.
    pub token: String,
}

impl Api {
    /// Creates the namespace `name` below this one and returns the API within it. OpenBao has namespaces; of Vault,
    /// only the Enterprise edition has them.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn namespace(&self, name: &str) -> Result<Self> {
        self.must("POST", &format!("sys/namespaces/{name}"), Some(json!({})))
            .await?;
        Ok(self.in_namespace(name))
    }

    /// Writes a policy.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn policy(&self, name: &str, hcl: &str) -> Result<()> {
        self.write(&format!("sys/policies/acl/{name}"), json!({ "policy": hcl }))
            .await
    }

    /// Mounts the auth method `kind` at `mount`, unless something is mounted there.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn enable_auth(&self, mount: &str, kind: &str) -> Result<()> {
        let path = format!("sys/auth/{mount}");
        match self.call("POST", &path, Some(json!({ "type": kind }))).await? {
            (200..=299, _) => Ok(()),
            (400, body) if complaint(&body).contains("path is already in use") => Ok(()),
            (status, body) => bail!("mounting {kind} was answered {status}: {}", complaint(&body)),
        }
    }

    /// Mounts Kubernetes auth at `kubernetes`, for the cluster behind the kube-apiserver at `apiserver_url`, whose
    /// certificate was signed by the owner of `ca_pem`.
    ///
    /// The server sends a token review with `reviewer_jwt`, or else with the reviewed token itself. In that case, the
    /// token's account needs the ClusterRole `system:auth-delegator`, and one of its audiences must be the
    /// kube-apiserver's.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn kubernetes_auth(&self, apiserver_url: &str, ca_pem: &str, reviewer_jwt: Option<&str>) -> Result<()> {
        self.enable_auth("kubernetes", "kubernetes").await?;
        let config = json!({
            "kubernetes_host": apiserver_url,
            "kubernetes_ca_cert": ca_pem,
            "token_reviewer_jwt": reviewer_jwt.unwrap_or_default(),
            "disable_local_ca_jwt": true, // the server runs in no pod, wherever the tests run
        });
        self.write("auth/kubernetes/config", config).await
    }

    /// Writes a role of Kubernetes auth.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn kubernetes_role(&self, role: &AccountRole<'_>) -> Result<()> {
        let content = json!({
            "bound_service_account_names": [role.account],
            "bound_service_account_namespaces": [role.namespace],
            "audience": role.audience.unwrap_or_default(),
            "token_policies": [role.policy],
            "token_ttl": role.ttl,
        });
        self.write(&format!("auth/kubernetes/role/{}", role.name), content)
            .await
    }

    /// Mounts JWT auth at `jwt`, for ServiceAccount tokens of `issuer` that were signed with the private half of
    /// `public_key_pem`. The server never contacts the cluster.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn jwt_auth(&self, issuer: &str, public_key_pem: &str) -> Result<()> {
        self.enable_auth("jwt", "jwt").await?;
        let config = json!({ "jwt_validation_pubkeys": [public_key_pem], "bound_issuer": issuer });
        self.write("auth/jwt/config", config).await
    }

    /// Writes a role of JWT auth.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn jwt_role(&self, role: &AccountRole<'_>) -> Result<()> {
        let audiences: Vec<&str> = role.audience.into_iter().collect();
        let content = json!({
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": audiences,
            "bound_subject": format!("system:serviceaccount:{}:{}", role.namespace, role.account),
            "token_policies": [role.policy],
            "token_ttl": role.ttl,
        });
        self.write(&format!("auth/jwt/role/{}", role.name), content).await
    }

    /// Mounts AppRole auth at `approle`, writes a role, and returns its role id and a new secret id.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn approle(&self, role: &str, policy: &str) -> Result<(String, String)> {
        self.enable_auth("approle", "approle").await?;
        let path = format!("auth/approle/role/{role}");
        self.write(&path, json!({ "token_policies": [policy] })).await?;
        let role_id = self.must("GET", &format!("{path}/role-id"), None).await?;
        let secret_id = self.must("POST", &format!("{path}/secret-id"), Some(json!({}))).await?;
        Ok((text(&role_id, "/data/role_id")?, text(&secret_id, "/data/secret_id")?))
    }

    /// Mounts certificate auth at `cert` and writes a role for clients that show `certificate_pem`, or a certificate
    /// that its owner signed. They log in at the https listener.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn cert_auth(&self, role: &str, certificate_pem: &str, policy: &str) -> Result<()> {
        self.enable_auth("cert", "cert").await?;
        let content = json!({ "certificate": certificate_pem, "token_policies": [policy] });
        self.write(&format!("auth/cert/certs/{role}"), content).await
    }

    /// Creates a token that lasts for `ttl`, for instance `1h`, and can be renewed.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn token(&self, policy: &str, ttl: &str) -> Result<String> {
        let wanted = json!({ "policies": [policy], "ttl": ttl });
        let answer = self.must("POST", "auth/token/create", Some(wanted)).await?;
        text(&answer, "/auth/client_token")
    }

    /// Mounts password auth at `userpass`, writes a user, and logs in: the first login creates the user's entity.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn userpass(&self, user: &str, password: &str) -> Result<User> {
        self.enable_auth("userpass", "userpass").await?;
        let password = json!({ "password": password });
        self.write(&format!("auth/userpass/users/{user}"), password.clone())
            .await?;
        let login = self
            .as_token("")
            .must("POST", &format!("auth/userpass/login/{user}"), Some(password))
            .await?;
        Ok(User {
            entity_id: text(&login, "/auth/entity_id")?,
            token: text(&login, "/auth/client_token")?,
        })
    }

    /// Writes a group of entities and returns its id.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn group(&self, name: &str, entity_ids: &[&str]) -> Result<String> {
        let path = format!("identity/group/name/{name}");
        self.write(&path, json!({ "member_entity_ids": entity_ids })).await?;
        // The answer to a write has an id only if the group is new.
        text(&self.must("GET", &path, None).await?, "/data/id")
    }

    async fn write(&self, path: &str, content: Value) -> Result<()> {
        self.must("POST", path, Some(content)).await.map(|_| ())
    }
}
