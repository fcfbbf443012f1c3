//! Applications without a proxy: a page and a native app, which have no secret, and a machine.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testbed::browser::Browser;
use testbed::http;
use testbed::login_consent::PERSON;
use testbed::process;
use testbed::servers::Part;
use url::Url;
use url::form_urlencoded::Serializer;

use super::cors;
use super::place::{self, Place, deploy, secret, setting, sign_in};
use super::site::Site;
use crate::stage::Stage;

const MACHINE: &str = include_str!("../../../deploy/samples/02-machine.yaml");
const PAGE: &str = include_str!("../../../deploy/samples/04-spa.yaml");
const ISSUER: &str = include_str!("../../../deploy/samples/07-oidc-provider.yaml");
const NATIVE_APP: &str = include_str!("../../../deploy/samples/14-native-app.yaml");
const DOCUMENTATION: &str = include_str!("../../../docs/applications.md");
/// The script of the page: it signs a person in.
const SCRIPT: &str = include_str!("page.js");
const NAMESPACE: &str = "default";
/// Origin in the sample of the page.
const ORIGIN: &str = "https://spa.example.com";

pub(super) async fn sign_a_person_in_without_a_secret() -> Result<()> {
    let place = Place::start(&cors::SETTINGS).await?;
    let stage = &place.stage;
    let (site, html) = Site::page().await?;
    let samples = [ISSUER, &PAGE.replace(ORIGIN, site.url()), NATIVE_APP].join("\n---\n");
    deploy(stage, NAMESPACE, &samples).await?;
    ensure!(
        secret(stage, NAMESPACE, "spa", "CLIENT_SECRET").await?.is_none(),
        "the page has a secret"
    );
    let written = html.set(page(stage, site.url()).await?);
    ensure!(written.is_ok(), "the page was written before");

    let browser = Browser::start().await?;
    browser.open(site.url()).await?;
    sign_in(&browser, &["openid"]).await?;
    browser.see(&format!("Signed in as {PERSON}.")).await?;
    cors::only_origins_of_the_client_read_answers(&place, &browser, site.url()).await?;
    native_app(stage, &browser).await
}

/// The page, with what its server knows from Secret and ConfigMap.
async fn page(stage: &Stage, origin: &str) -> Result<String> {
    let id = secret(stage, NAMESPACE, "spa", "CLIENT_ID")
        .await?
        .context("no client id")?;
    let endpoint = async |name: &str| setting(stage, NAMESPACE, "issuer", name).await;
    let settings = json!({
        "clientId": id,
        "redirectUri": format!("{origin}/"),
        "authorizationEndpoint": endpoint("OIDC_AUTHORIZATION_ENDPOINT").await?,
        "tokenEndpoint": endpoint("OIDC_TOKEN_ENDPOINT").await?,
        "userinfoEndpoint": endpoint("OIDC_USERINFO_ENDPOINT").await?,
    });
    Ok(format!(
        "<body></body><script>const settings = {settings};\n{SCRIPT}</script>"
    ))
}

/// A program on the person's computer listens on a port of its own choice, which the client does not name.
async fn native_app(stage: &Stage, browser: &Browser) -> Result<()> {
    let listener = Site::echo().await?;
    let redirect = format!("{}/callback", listener.url());
    let id = secret(stage, NAMESPACE, "native-app", "CLIENT_ID").await?;
    let id = id.context("no client id")?;
    let verifier = oidc_operator::secret::new_revision().repeat(2);
    let endpoint = setting(stage, NAMESPACE, "issuer", "OIDC_AUTHORIZATION_ENDPOINT").await?;
    let question = Url::parse_with_params(
        &endpoint,
        [
            ("client_id", id.as_str()),
            ("response_type", "code"),
            ("scope", "openid"),
            ("redirect_uri", &redirect),
            ("state", "a-state-of-the-application"),
            ("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier))),
            ("code_challenge_method", "S256"),
        ],
    )?;
    browser.open(question.as_str()).await?; // the server remembers the person, but not the consent
    browser.see("An application requests access").await?;
    browser.click(".grant_scope[value='openid']").await?;
    browser.click("#accept").await?;
    browser.see("Back with").await?;
    let back = Url::parse(&browser.url().await?)?;
    let code = back.query_pairs().find(|(name, _)| name == "code");
    let (_, code) = code.with_context(|| format!("no code in {}", back.path()))?;

    let endpoint = setting(stage, NAMESPACE, "issuer", "OIDC_TOKEN_ENDPOINT").await?;
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", &id),
        ("code", &code),
        ("redirect_uri", &redirect),
        ("code_verifier", &verifier),
    ];
    let request = http::client()
        .post(&endpoint)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Serializer::new(String::new()).extend_pairs(fields).finish());
    let answer = request.send().await?;
    let status = answer.status();
    let tokens: Value = serde_json::from_str(&answer.text().await?)?;
    ensure!(status == StatusCode::OK, "{status} {}", tokens["error"]);
    ensure!(tokens["id_token"].is_string(), "no ID token");
    Ok(())
}

pub(super) async fn a_machine_gets_a_token() -> Result<()> {
    let stage = Stage::start(&[Part::Hydra2], &[], &[]).await?;
    let hydra = stage.servers.hydra2.as_ref().context("Hydra was not started")?;
    stage.apply(NAMESPACE, &place::server(hydra)).await?;
    deploy(&stage, NAMESPACE, &[ISSUER, MACHINE].join("\n---\n")).await?;
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-euc", commands()?]).envs(stage.servers.environment()?);
    shell.kill_on_drop(true);
    let answer = process::output("the three commands", shell).await?;
    let answer: Value = serde_json::from_str(&answer).context("no JSON")?;
    ensure!(answer["scope"] == "read", "{}", answer["scope"]);
    let token = answer["access_token"].as_str().context("no token")?;
    let introspection = http::client()
        .post(format!("{}/oauth2/introspect", hydra.prefixed_admin_url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={token}"));
    let known: Value = serde_json::from_str(&introspection.send().await?.text().await?)?;
    ensure!(known["active"] == true, "Hydra does not know the token");
    Ok(())
}

/// The three commands in the documentation.
fn commands() -> Result<&'static str> {
    let (_, section) = DOCUMENTATION.split_once("\n## A machine").context("no section")?;
    let (_, block) = section.split_once("```sh\n").context("no commands")?;
    let (block, _) = block.split_once("```").context("no end")?;
    let commands = block.lines().filter(|line| !line.starts_with(' ')).count();
    ensure!(commands == 3, "{commands} commands");
    Ok(block)
}
