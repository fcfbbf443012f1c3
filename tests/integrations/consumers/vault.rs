//! A person signs in to an application behind a real OAuth2 Proxy, on OpenBao's own page.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testbed::browser::Browser;
use testbed::{Bao, install, ports};

use super::place::deploy;
use super::proxy::Application;
use super::site::Site;
use crate::stage::Stage;
use testbed::servers::Part;

const SAMPLE: &str = include_str!("../../../deploy/samples/applications/oauth2-proxy-on-vault.yaml");
/// The policy that is shipped with the operator.
const POLICY: &str = include_str!("../../../deploy/vault/policy.hcl");
const PASSWORD: &str = "of-alice";
/// The namespace in the sample.
const NAMESPACE: &str = "demo";

pub(super) async fn a_person_signs_in() -> Result<()> {
    let stage = Stage::start(&[Part::Bao], &[], &[]).await?;
    let bao = stage.servers.bao.as_ref().context("OpenBao was not started")?;
    set_up(&stage, bao).await?;
    let site = Site::greeting().await?;
    let log = stage.run.path().join("oauth2-proxy.log");
    let (app, _proxy) = ports::with_free(async |[port]| {
        let app = Application::of(SAMPLE, NAMESPACE, port, site.url()).await?;
        deploy(&stage, NAMESPACE, &app.manifests).await?;
        let proxy = app.start(&stage.client(), &log).await?;
        Ok((app, proxy))
    })
    .await?;

    let browser = Browser::start().await?;
    browser.open(&app.url).await?;
    sign_in(&browser, "alice").await?;
    browser.see("Welcome, alice.").await?;

    // The assignment names a group that mallory is not in.
    let other = Browser::start().await?;
    other.open(&app.url).await?;
    sign_in(&other, "mallory").await?;
    other.see("Forbidden").await?;
    let details = other.run("return document.body.textContent").await?; // which the page folds away
    ensure!(details.to_string().contains("access_denied"), "{details}");
    Ok(())
}

/// Gives the operator a login, and creates a person in the group that the sample admits, and one who is not in it.
async fn set_up(stage: &Stage, bao: &Bao) -> Result<()> {
    let root = bao.root();
    root.policy("oidc-operator", POLICY).await?;
    let token = root.token("oidc-operator", "1h").await?;
    let mut members = Vec::new();
    for name in ["alice", "mallory"] {
        let user = root.userpass(name, PASSWORD).await?;
        let path = format!("identity/entity/id/{}", user.entity_id);
        root.must("POST", &path, Some(json!({ "name": name }))).await?;
        members.push(user.entity_id);
    }
    root.group("staff", &[members[0].as_str()]).await?;
    let login = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "bao" }, "stringData": { "token": token },
    });
    stage.apply(install::NAMESPACE, &login.to_string()).await?;
    let server = json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "AuthorizationServer", "metadata": { "name": "default" },
        "spec": {
            "vault": {
                "address": bao.address(),
                "auth": { "token": { "secretRef": { "name": "bao", "key": "token" } } },
            },
            "access": [{
                "namespaces": { "from": "All" }, "kinds": ["OAuth2Client", "OidcProvider", "Scope", "Assignment"],
            }],
        },
    });
    stage.apply("default", &server.to_string()).await
}

/// Signs in on the server's page with a password.
async fn sign_in(browser: &Browser, name: &str) -> Result<()> {
    browser.click("select option[value='userpass']").await?;
    browser.fill("input[name='username']", name).await?;
    browser.fill("input[name='password']", PASSWORD).await?;
    browser.click("#auth-submit").await
}
