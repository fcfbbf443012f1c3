//! A bad day: a refused client, a wrong login, a writer who interferes, a rotation, a rate limit, an outage.

use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use oidc_operator::api::{OAuth2Client, ROTATE_AT_ANNOTATION};
use serde_json::{Value, json};
use testbed::http;
use testbed::install::NAMESPACE;
use testbed::proxy::{Answer, Fault, Proxy, Upstream};
use testbed::servers::Part;

use super::prometheus::Prometheus;
use crate::stage::{LIMIT, Stage};

/// Namespace of the clients.
const SPACE: &str = "shop";
/// Corrections of one object within an hour, after which the operator stops.
const CORRECTIONS: usize = 3;
/// Requests a second that the limited server accepts.
const RATE: u32 = 2;

/// A stage with a Prometheus.
pub struct Day {
    /// What Prometheus has seen.
    pub prometheus: Prometheus,
    proxy: Proxy,
    stage: Stage,
}

impl Day {
    /// Starts the servers, the operator, and a Prometheus with these rules.
    pub async fn begin(rules: &Value) -> Result<Self> {
        let stage = Stage::start(&[Part::Hydra2, Part::Bao], &["metrics.perResource=true"], &[]).await?;
        let prometheus = Prometheus::start(&stage.run, &stage.operator_url, rules).await?;
        let admin = stage.servers.hydra2.as_ref().context("no Hydra")?.admin_url();
        let proxy = Proxy::start("hydra", Upstream::http(admin), None).await?;
        Ok(Self {
            prometheus,
            proxy,
            stage,
        })
    }

    /// Everything that goes wrong. Returns when Prometheus has seen all of it.
    pub async fn passes(&mut self) -> Result<()> {
        self.clients_are_made().await.context("the first clients")?;
        self.a_login_is_wrong().await.context("a wrong login")?;
        self.a_secret_is_replaced().await.context("a rotation")?;
        self.another_writer_interferes().await.context("drift")?;
        self.an_object_has_no_resource().await.context("an orphan")?;
        self.the_server_limits_the_rate().await.context("a rate limit")?;
        self.the_server_goes_away().await.context("an outage")
    }

    /// Stops the operator.
    pub async fn ends(&mut self) -> Result<()> {
        let status = self.stage.operator.terminate(LIMIT).await?;
        ensure!(status.success(), "the operator ended with {status}");
        self.fires("OidcOperatorDown").await
    }

    async fn clients_are_made(&self) -> Result<()> {
        let public = self.stage.servers.hydra2.as_ref().context("no Hydra")?.public_url();
        let server = json!({
            "hydra": { "adminUrl": self.proxy.url(), "publicUrl": public },
            "resyncInterval": "2s",
            "access": [{
                "namespaces": { "from": "All" }, "kinds": ["OAuth2Client", "JsonWebKeySet"], "minRotationPeriod": "1s",
                "clients": { "grantTypes": ["client_credentials"], "scopes": ["read"] },
            }],
        });
        self.make(NAMESPACE, "AuthorizationServer", "default", server).await?;
        let machine = json!({ "grantTypes": ["client_credentials"], "scopes": ["read"] });
        let rotating =
            json!({ "grantTypes": ["client_credentials"], "rotation": { "period": "24h", "withoutOverlap": "Allow" } });
        let paused = json!({ "grantTypes": ["client_credentials"], "suspend": true });
        for (name, spec) in [
            ("contested", machine.clone()),
            ("leaving", machine),
            ("rotating", rotating),
            ("paused", paused),
            (
                "refused",
                json!({ "redirectUris": ["https://app.example.com/callback"] }),
            ),
        ] {
            self.make(SPACE, "OAuth2Client", name, spec).await?;
        }
        self.shows("oidc_operator_resource_conditions{type=\"Ready\", status=\"True\", kind=\"OAuth2Client\"} >= 3")
            .await?;
        self.shows("oidc_operator_resource_conditions{reason=\"NotAllowed\", type=\"Ready\"} == 1")
            .await?;
        self.fires("OidcResourceNotReady").await?;
        self.fires("OidcSweepLate").await
    }

    async fn a_login_is_wrong(&self) -> Result<()> {
        let bao = self.stage.servers.bao.as_ref().context("no OpenBao")?;
        let policy = std::fs::read_to_string(testbed::install::repository().join("deploy/vault/policy.hcl"))?;
        bao.root().policy("oidc-operator", &policy).await?;
        let (role, secret) = bao.root().approle("oidc-operator", "oidc-operator").await?;
        self.login("mistyped").await?;
        let auth = json!({ "appRole": { "roleId": role, "secretRef": { "name": "vault-login", "key": "secret-id" } } });
        let server = json!({
            "vault": { "address": bao.address(), "auth": auth },
            "access": [{ "namespaces": { "from": "All" }, "kinds": ["Scope"] }],
        });
        self.make(NAMESPACE, "AuthorizationServer", "vault", server).await?;
        self.fires("OidcLoginFailing").await?;
        self.login(&secret).await?;
        self.shows("oidc_operator_logins_total{server=\"vault\", result=\"success\"} > 0")
            .await?;
        self.shows("oidc_operator_breaker_open{server=\"vault\"} == 0").await
    }

    async fn login(&self, secret: &str) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "vault-login" },
            "stringData": { "secret-id": secret },
        });
        self.stage.apply(NAMESPACE, &secret.to_string()).await
    }

    async fn a_secret_is_replaced(&self) -> Result<()> {
        self.asks_for_a_rotation().await?;
        self.shows("oidc_operator_secret_rotations_total{kind=\"OAuth2Client\"} > 0")
            .await
    }

    async fn asks_for_a_rotation(&self) -> Result<()> {
        let annotations = json!({ ROTATE_AT_ANNOTATION: jiff::Timestamp::now().to_string() });
        let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        self.clients()
            .patch("rotating", &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Somebody changes a client on the server again and again, until the operator no longer corrects it.
    async fn another_writer_interferes(&self) -> Result<()> {
        let id = self.clients().get("contested").await?.uid().context("no UID")?;
        for done in 0..=CORRECTIONS {
            let mut client = self.hydra("GET", &id, None).await?;
            client["scope"] = "write".into();
            self.hydra("PUT", &id, Some(client)).await?;
            if done < CORRECTIONS {
                self.shows(&format!("oidc_operator_drift_corrections_total > {done}"))
                    .await?;
            }
        }
        self.fires("OidcConflict").await
    }

    /// The server has an object with the mark of a resource that does not exist.
    async fn an_object_has_no_resource(&self) -> Result<()> {
        let id = self.clients().get("leaving").await?.uid().context("no UID")?;
        let client = self.hydra("GET", &id, None).await?.to_string();
        let other = client.replace(&id, "5c1e7f0a-7a51-4f0c-9a3e-0d2f1b9c8e77");
        self.hydra("POST", "", Some(serde_json::from_str(&other)?)).await?;
        self.fires("OidcOrphanedObjects").await
    }

    async fn the_server_limits_the_rate(&self) -> Result<()> {
        let answer = Answer::status(429).header("x-ratelimit-reset", "1");
        let limit = self.proxy.inject(Fault::beyond(RATE, |_| true, answer));
        for number in 0..10 {
            let machine = json!({ "grantTypes": ["client_credentials"] });
            self.make(SPACE, "OAuth2Client", &format!("many-{number}"), machine)
                .await?;
        }
        self.shows("oidc_operator_pace_requests_per_second > 0").await?;
        drop(limit);
        self.shows("oidc_operator_resource_conditions{type=\"Ready\", status=\"True\", kind=\"OAuth2Client\"} >= 12")
            .await
    }

    /// Hydra stops. A deletion and a rotation wait for it, and both happen when it is back.
    async fn the_server_goes_away(&mut self) -> Result<()> {
        self.stage.servers.hydra2.as_mut().context("no Hydra")?.stop().await;
        self.clients().delete("leaving", &DeleteParams::default()).await?;
        self.asks_for_a_rotation().await?;
        for alert in ["OidcServerUnreachable", "OidcDeletionBlocked", "OidcRotationOverdue"] {
            self.fires(alert).await?;
        }
        self.stage
            .servers
            .hydra2
            .as_mut()
            .context("no Hydra")?
            .start_again()
            .await?;
        for alert in ["OidcServerUnreachable", "OidcDeletionBlocked", "OidcRotationOverdue"] {
            let firing = firing(alert);
            self.shows(&format!("absent({firing})")).await?;
        }
        Ok(())
    }

    /// Waits until a query has a series.
    async fn shows(&self, query: &str) -> Result<()> {
        self.prometheus.until(query, LIMIT).await
    }

    /// Waits until an alert fires.
    async fn fires(&self, alert: &str) -> Result<()> {
        self.shows(&firing(alert)).await
    }

    async fn make(&self, namespace: &str, kind: &str, name: &str, spec: Value) -> Result<()> {
        let object = json!({
            "apiVersion": "oidc-operator.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec,
        });
        self.stage.apply(namespace, &object.to_string()).await
    }

    fn clients(&self) -> Api<OAuth2Client> {
        Api::namespaced(self.stage.client(), SPACE)
    }

    /// Sends a request about clients to Hydra itself, as another writer does.
    async fn hydra(&self, method: &str, id: &str, body: Option<Value>) -> Result<Value> {
        let hydra = self.stage.servers.hydra2.as_ref().context("no Hydra")?;
        let url = format!("{}/clients/{id}", hydra.prefixed_admin_url());
        let mut request = http::client().request(method.parse()?, url.trim_end_matches('/'));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{method} {url}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

fn firing(alert: &str) -> String {
    format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}")
}
