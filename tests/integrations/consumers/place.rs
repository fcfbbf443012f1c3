//! A Hydra with Ory's login and consent app, and the operator that manages its clients.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use serde_json::json;
use testbed::browser::Browser;
use testbed::login_consent::{LoginConsent, PASSWORD, PERSON};
use testbed::{Hydra, HydraMajor, HydraOptions, ports, process};

use crate::stage::Stage;

/// Longest wait for a resource, in kubectl's notation.
const READY: Duration = Duration::from_secs(180);

/// Everything that an application on Hydra needs.
pub struct Place {
    /// Kubernetes and the operator; it stops before the Hydra.
    pub stage: Stage,
    /// The Hydra.
    pub hydra: Hydra,
    _login: LoginConsent,
}

impl Place {
    /// Starts everything; `env` are more variables of the Hydra.
    pub async fn start(env: &[(&str, &str)]) -> Result<Self> {
        let stage = Stage::start(&[], &[], &[]).await?;
        let (hydra, login) = ports::with_free(async |[port]| {
            let pages = LoginConsent::hydra_env(port).into_iter();
            let pages = pages.map(|(name, value)| (name.to_owned(), value));
            let more = env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let options = HydraOptions {
                env: pages.chain(more).collect(),
                ..HydraOptions::of(HydraMajor::V2)
            };
            let hydra = Hydra::start(options).await?;
            let login = LoginConsent::start(port, &hydra.admin_url()).await?;
            Ok((hydra, login))
        })
        .await?;
        stage.apply("default", &server(&hydra)).await?;
        Ok(Self {
            stage,
            hydra,
            _login: login,
        })
    }
}

/// The AuthorizationServer of a Hydra.
pub fn server(hydra: &Hydra) -> String {
    let server = json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "AuthorizationServer", "metadata": { "name": "default" },
        "spec": {
            "hydra": { "adminUrl": hydra.admin_url(), "publicUrl": hydra.public_url() },
            "access": [{
                "namespaces": { "from": "All" }, "kinds": ["OAuth2Client", "OidcProvider"],
                "minRotationPeriod": "0s",
            }],
        },
    });
    server.to_string()
}

/// Applies manifests and waits until the resources among them are ready.
pub async fn deploy(stage: &Stage, namespace: &str, manifests: &str) -> Result<()> {
    stage.apply(namespace, manifests).await?;
    let mut kubectl = stage.servers.control_plane.kubectl();
    kubectl
        .args([
            "wait",
            "--for=condition=Ready",
            "oac,oidcp,oidcscope,oidcassign",
            "--all",
        ])
        .args(["--namespace", namespace, &format!("--timeout={}s", READY.as_secs())]);
    match process::output("kubectl wait", kubectl).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let mut kubectl = stage.servers.control_plane.kubectl();
            kubectl.args(["get", "oidc", "--all-namespaces", "-o", "wide"]);
            let resources = process::output("kubectl get", kubectl).await?;
            Err(error.context(resources))
        }
    }
}

/// A value of a Secret; None until there is one.
pub async fn secret(stage: &Stage, namespace: &str, name: &str, key: &str) -> Result<Option<String>> {
    let found = Api::<Secret>::namespaced(stage.client(), namespace)
        .get_opt(name)
        .await?;
    let value = found.and_then(|secret| secret.data?.remove(key));
    value
        .map(|value| String::from_utf8(value.0).context("no text"))
        .transpose()
}

/// A value of a ConfigMap.
pub async fn setting(stage: &Stage, namespace: &str, name: &str, key: &str) -> Result<String> {
    let found = Api::<ConfigMap>::namespaced(stage.client(), namespace)
        .get(name)
        .await?;
    let value = found.data.and_then(|mut data| data.remove(key));
    value.with_context(|| format!("ConfigMap {name} has no {key}"))
}

/// Fills in the login page and the consent page, and has both remember it.
pub async fn sign_in(browser: &Browser, scopes: &[&str]) -> Result<()> {
    browser.see("Please log in").await?;
    browser.fill("#email", PERSON).await?;
    browser.fill("#password", PASSWORD).await?;
    browser.click("#remember").await?;
    browser.click("#accept").await?;
    browser.see("An application requests access").await?;
    for scope in scopes {
        browser.click(&format!(".grant_scope[value='{scope}']")).await?;
    }
    browser.click("#remember").await?;
    browser.click("#accept").await
}
