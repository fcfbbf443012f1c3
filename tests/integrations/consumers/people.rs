//! People sign in to an application behind a real OAuth2 Proxy, through Hydra and Ory's own login and consent app.

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use oidc_operator::api::OAuth2Client;
use serde_json::json;
use testbed::browser::Browser;
use testbed::login_consent::PERSON;
use testbed::{http, ports, wait};
use url::Url;

use super::place::{Place, deploy, secret, setting, sign_in};
use super::proxy::{Application, SESSION};
use super::site::Site;
use crate::stage::LIMIT;

const SAMPLE: &str = include_str!("../../../deploy/samples/applications/oauth2-proxy.yaml");
/// The client of the sample, and its Secret.
const CLIENT: &str = "oauth2-proxy";
const NAMESPACE: &str = "shop";

pub(super) async fn signs_in_before_and_after_a_rotation() -> Result<()> {
    let place = Place::start(&[]).await?;
    let (stage, client) = (&place.stage, place.stage.client());
    let site = Site::greeting().await?;
    let log = stage.run.path().join("oauth2-proxy.log");
    let (app, proxy) = ports::with_free(async |[port]| {
        let app = Application::of(SAMPLE, NAMESPACE, port, site.url()).await?;
        deploy(stage, NAMESPACE, &app.manifests).await?;
        let proxy = app.start(&client, &log).await?;
        Ok((app, proxy))
    })
    .await?;
    let anonymous = http::client().get(&app.url).send().await?;
    ensure!(anonymous.status() == 302, "a stranger gets {}", anonymous.status());

    let browser = Browser::start().await?;
    let welcome = format!("Welcome, {PERSON}.");
    browser.open(&app.url).await?;
    sign_in(&browser, &["openid", "email", "profile"]).await?;
    browser.see(&welcome).await?;
    ensure!(
        browser.url().await? == format!("{}/", app.url),
        "{}",
        browser.url().await?
    );

    // The server accepts only the new secret, so that a running proxy keeps its sessions but makes no new one.
    let before = secrets(&place).await?;
    rotate(&place, &before[1]).await?;
    let after = secrets(&place).await?;
    ensure!(before[0] == after[0], "the client id changed");
    ensure!(
        before[2] == after[2],
        "the cookie secret changed: everybody is signed out"
    );
    browser.open(&app.url).await?;
    browser.see(&welcome).await?;
    browser.forget(SESSION).await?;
    browser.open(&app.url).await?;
    browser.see("Internal Server Error").await?;

    // A restart reads the new one. The server remembers login and consent, and asks for neither.
    drop(proxy);
    let _proxy = app.start(&client, &log).await?;
    browser.open(&app.url).await?;
    browser.see(&welcome).await?;
    signs_out(&place, &app, &browser).await
}

/// Signs out of the application and of the server, which leads back to the application. Only because of the latter does
/// the next sign-in ask for the password.
async fn signs_out(place: &Place, app: &Application, browser: &Browser) -> Result<()> {
    let end = setting(&place.stage, NAMESPACE, "issuer", "OIDC_END_SESSION_ENDPOINT").await?;
    let next = format!("{end}?id_token_hint={{id_token}}&post_logout_redirect_uri={}/", app.url);
    let leave = Url::parse_with_params(&format!("{}/oauth2/sign_out", app.url), [("rd", next)])?;
    browser.open(leave.as_str()).await?;
    browser.see("Do you wish to log out?").await?;
    browser.click("#accept").await?;
    browser.see("Please log in").await.map(drop)
}

/// Client id, client secret and cookie secret.
async fn secrets(place: &Place) -> Result<[String; 3]> {
    let mut values = ["client-id", "client-secret", "cookie-secret"].map(str::to_owned);
    for value in &mut values {
        let found = secret(&place.stage, NAMESPACE, CLIENT, value).await?;
        *value = found.with_context(|| format!("no {value}"))?;
    }
    Ok(values)
}

/// Requests another client secret and waits for it in the Secret.
async fn rotate(place: &Place, old: &str) -> Result<()> {
    let now = jiff::Timestamp::now().to_string();
    let request = json!({ "metadata": { "annotations": { "oidc-operator.dev/rotate-at": now } } });
    Api::<OAuth2Client>::namespaced(place.stage.client(), NAMESPACE)
        .patch(CLIENT, &PatchParams::default(), &Patch::Merge(request))
        .await?;
    wait::until("another client secret", LIMIT, async || {
        let found = secret(&place.stage, NAMESPACE, CLIENT, "client-secret").await?;
        Ok(found.filter(|value| value != old).map(drop))
    })
    .await
}
