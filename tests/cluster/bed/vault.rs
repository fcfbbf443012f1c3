//! An OpenBao next to the bed's Hydra, with the policy that is shipped with the operator, and AuthorizationServers for
//! it, each with its own proxy.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testbed::bao::AccountRole;
use testbed::{Bao, install};

use super::server::merge;
use super::{Bed, Server, ServerOptions};

/// The policy that is shipped with the operator.
pub const VAULT_POLICY: &str = include_str!("../../../deploy/vault/policy.hcl");
/// Name of the role and of the policy with which the operator logs in.
pub const VAULT_ROLE: &str = "oidc-operator";
/// The ServiceAccount with which OpenBao asks the kube-apiserver to review tokens.
pub const REVIEWER: &str = "bao-reviewer";

impl Bed {
    /// OpenBao, with a login for the operator. The first call starts it.
    pub async fn bao(&self) -> Result<&Bao> {
        self.bao
            .get_or_try_init(async || {
                let bao = Bao::start().await?;
                self.canary(bao.root_token());
                self.let_in(&bao).await.context("setting OpenBao up")?;
                Ok(bao)
            })
            .await
    }

    /// Gives the operator a login with Kubernetes auth.
    async fn let_in(&self, bao: &Bao) -> Result<()> {
        let reviewer = self.reviewer().await?;
        let api = bao.root();
        api.policy(VAULT_ROLE, VAULT_POLICY).await?;
        api.kubernetes_auth(self.plane.url(), &self.plane.ca_pem(), Some(&reviewer))
            .await?;
        api.kubernetes_role(&self.vault_role()).await
    }

    /// The role of the ServiceAccount with which the operator logs in.
    pub fn vault_role(&self) -> AccountRole<'_> {
        AccountRole {
            name: VAULT_ROLE,
            account: self.installation.login_account(),
            namespace: install::NAMESPACE,
            audience: Some("vault"),
            policy: VAULT_ROLE,
            ttl: "20m",
        }
    }

    /// A token that may review tokens.
    async fn reviewer(&self) -> Result<String> {
        let parameters = PatchParams::apply("testbed");
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), install::NAMESPACE);
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": REVIEWER } });
        accounts.patch(REVIEWER, &parameters, &Patch::Apply(&account)).await?;
        let bindings: Api<ClusterRoleBinding> = Api::all(self.client());
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": REVIEWER },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator" },
            "subjects": [{ "kind": "ServiceAccount", "name": REVIEWER, "namespace": install::NAMESPACE }],
        });
        bindings.patch(REVIEWER, &parameters, &Patch::Apply(&binding)).await?;
        self.plane.service_account_token(install::NAMESPACE, REVIEWER).await
    }

    /// Creates an AuthorizationServer for OpenBao that every namespace may use for everything. Does not wait for it.
    pub async fn make_vault(&self, name: &str, options: ServerOptions) -> Result<Arc<Server>> {
        let address = self.bao().await?.address();
        let server = Server {
            name: name.to_owned(),
            admin: self
                .proxy_to(&format!("bao of {name}"), &address, options.https)
                .await?,
            public: self.proxy_to(&format!("nothing of {name}"), &address, false).await?,
        };
        let account = self.installation.login_account();
        let mut spec = json!({
            "vault": { "address": server.admin.url(), "auth": { "kubernetes": {
                "role": VAULT_ROLE, "serviceAccount": { "name": account, "audiences": ["vault"] },
            } } },
            "access": [{
                "namespaces": { "from": "All" },
                "kinds": ["OAuth2Client", "Scope", "Assignment", "JsonWebKeySet", "OidcProvider"],
                "objectNames": "Any",
                "minRotationPeriod": "0s",
            }],
            "resyncInterval": options.resync_interval,
        });
        merge(&mut spec, &options.spec);
        self.with_server(server, spec).await
    }

    /// Creates an AuthorizationServer for OpenBao for one test, with a unique name, and waits until it is ready.
    pub async fn own_vault(&self, options: ServerOptions) -> Result<Arc<Server>> {
        let server = self.make_vault(&self.new_name("vault"), options).await?;
        self.server_ready(&server.name).await?;
        Ok(server)
    }

    /// The fields of an object below `identity/oidc`, for example `client/a.b`, if it exists.
    pub async fn object(&self, path: &str) -> Result<Option<Value>> {
        let (status, mut answer) = self
            .bao()
            .await?
            .call("GET", &format!("identity/oidc/{path}"), None)
            .await?;
        if status == 404 {
            return Ok(None);
        }
        ensure!(status == 200, "GET of {path}: {status} {answer}");
        if let Some(secret) = answer["data"]["client_secret"].as_str() {
            self.canary(secret);
        }
        Ok(Some(answer["data"].take()))
    }

    /// The fields of an object that must exist.
    pub async fn existing(&self, path: &str) -> Result<Value> {
        self.object(path)
            .await?
            .with_context(|| format!("{path} does not exist"))
    }

    /// Registers the secret of every client in OpenBao as a canary, if OpenBao was started.
    pub(super) async fn secrets_of_bao(&self) -> Result<()> {
        let Some(bao) = self.bao.get() else { return Ok(()) };
        let (_, listed) = bao.call("LIST", "identity/oidc/client", None).await?;
        for name in listed["data"]["keys"].as_array().into_iter().flatten() {
            self.object(&format!("client/{}", name.as_str().unwrap_or_default()))
                .await?;
        }
        Ok(())
    }

    /// Writes an object below `identity/oidc` as another writer would.
    pub async fn write_object(&self, path: &str, fields: Value) -> Result<()> {
        let bao = self.bao().await?;
        bao.must("POST", &format!("identity/oidc/{path}"), Some(fields))
            .await
            .map(drop)
    }

    /// Deletes an object below `identity/oidc` as another writer would.
    pub async fn delete_object(&self, path: &str) -> Result<()> {
        let bao = self.bao().await?;
        bao.must("DELETE", &format!("identity/oidc/{path}"), None)
            .await
            .map(drop)
    }

    /// Waits until an object satisfies `wanted`, and returns its fields.
    pub async fn until_object(&self, what: &str, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = format!("{path} to have {what}");
        let waited = testbed::wait::until(&what, super::LIMIT, async || {
            Ok(self.object(path).await?.filter(&wanted))
        })
        .await;
        match waited {
            Ok(object) => Ok(object),
            Err(error) => {
                let object = self.object(path).await?;
                anyhow::bail!("{error:#}; it is now: {object:?}\n{}", self.last_words(&[]))
            }
        }
    }

    /// Waits until an object does not exist.
    pub async fn until_no_object(&self, path: &str) -> Result<()> {
        let what = format!("{path} to be gone");
        testbed::wait::until(&what, super::LIMIT, async || {
            Ok(self.object(path).await?.is_none().then_some(()))
        })
        .await
    }
}
