//! Users log in to applications that a manifest declares: code with PKCE, refresh, userinfo, logout and denied access.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, Scope};
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use testbed::http;
use testbed::login_app::{LoginApp, User};
use testbed::wait;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::bed::{Bed, LIMIT, Lab, ServerOptions, Space};
use crate::run::Side;

mod browser;

use browser::{Arrived, Browser};

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(only_assigned_users_can_log_in)]
}

/// Redirect URI of the application; nothing listens there.
const CALLBACK: &str = "http://127.0.0.1:9/callback";
const GOODBYE: &str = "http://127.0.0.1:9/goodbye";
const PASSWORD: &str = "a password, not a secret";

fn users() -> Vec<User> {
    let user = |name: &str, groups: &[&str]| User {
        name: name.to_owned(),
        password: PASSWORD.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        metadata: Map::from_iter([("tier".to_owned(), json!("gold"))]),
    };
    vec![
        user("alice", &[]),
        user("bob", &["staff"]),
        user("mallory", &["guests"]),
    ]
}

/// The application, configured only by its Secret.
struct Application {
    id: String,
    secret: String,
    issuer: String,
    discovery: Value,
    verifier: String,
}

async fn only_assigned_users_can_log_in(bed: &Bed) -> Result<()> {
    let app = LoginApp::start(users()).await?;
    let lab = bed.lab(&app.env(), ServerOptions::default()).await?;
    app.connect(&lab.admin_url()).await?;
    let space = bed.space().await?;
    declare(&space, &lab).await?;
    let shop = Application::deployed(&space).await?;

    // The assignment names alice, and her ID token has the claims of the scope.
    let mut alice = Browser::default();
    let code = shop.log_in(&mut alice, "alice").await?.context("alice was refused")?;
    let other = "x".repeat(64);
    let wrong = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", &other),
    ];
    let (status, _) = shop.tokens(&wrong).await?;
    ensure!(status == StatusCode::BAD_REQUEST, "a code works without its verifier");
    let code = shop
        .again(&mut alice)
        .await?
        .context("alice was refused the second time")?;
    let tokens = shop.redeem(&code).await?;
    let claims = shop.verified(&tokens).await?;
    ensure!(
        claims["sub"] == "alice" && claims["nonce"] == "a-nonce-of-the-application",
        "{claims}"
    );
    ensure!(claims["orders"] == json!({ "tier": "gold", "of": "alice" }), "{claims}");
    let about = shop.userinfo(&tokens).await?;
    ensure!(about["sub"] == "alice" && about["orders"]["tier"] == "gold", "{about}");

    let refreshed = shop.refresh(&tokens).await?;
    let claims = shop.verified(&refreshed).await?;
    ensure!(claims["sub"] == "alice", "{claims}");
    shop.userinfo(&refreshed).await?;

    // After the logout the next login asks for the password again.
    shop.log_out(&mut alice, &refreshed).await?;
    let page = alice.go(shop.authorization_url()?.as_str(), CALLBACK).await?.page()?;
    ensure!(
        page.text.contains("name=\"password\""),
        "alice is still logged in: {}",
        page.text
    );

    // The assignment names a group of bob, and none of mallory.
    let mut bob = Browser::default();
    shop.log_in(&mut bob, "bob").await?.context("bob was refused")?;
    ensure!(
        shop.log_in(&mut Browser::default(), "mallory").await?.is_none(),
        "mallory could log in"
    );

    // A changed assignment takes effect at once, even for a user whom the login app remembers.
    space
        .respecify::<Assignment>("staff", json!({ "groups": [{ "name": "guests" }] }))
        .await?;
    let id = &shop.id;
    let names_guests = |row: &Value| row["metadata"]["oidc-operator.dev"]["assignments"]["groups"] == json!(["guests"]);
    wait::until("the new assignment", LIMIT, async || {
        Ok(names_guests(&lab.registered(id).await?).then_some(()))
    })
    .await?;
    ensure!(shop.again(&mut bob).await?.is_none(), "bob could log in");
    shop.log_in(&mut Browser::default(), "mallory")
        .await?
        .context("mallory was refused")?;
    Ok(())
}

async fn declare(space: &Space<'_>, lab: &Lab) -> Result<()> {
    let on = lab.server_ref();
    let scope = json!({
        "serverRef": on, "name": "orders:read", "description": "See your orders",
        "template": r#"{"orders": {"tier": {{identity.entity.metadata.tier}}, "of": {{identity.entity.name}}}}"#,
    });
    space.ready::<Scope>("orders", &scope.to_string()).await?;
    let staff = json!({ "serverRef": on, "subjects": ["alice"], "groups": [{ "name": "staff" }] });
    space.ready::<Assignment>("staff", &staff.to_string()).await?;
    let shop = json!({
        "serverRef": on, "clientName": "Shop <1>", "redirectUris": [CALLBACK], "postLogoutRedirectUris": [GOODBYE],
        "scopeRefs": [{ "name": "orders" }], "assignmentRefs": [{ "name": "staff" }],
        "credentials": { "data": { "ISSUER": "$(issuer)", "DISCOVERY": "$(discoveryUrl)" } },
    });
    space.ready_client("shop", &shop.to_string()).await?;
    Ok(())
}

impl Application {
    async fn deployed(space: &Space<'_>) -> Result<Self> {
        let known = space.secret_data("shop").await?;
        let discovery = http::client().get(&known["DISCOVERY"]).send().await?.text().await?;
        Ok(Application {
            id: known["CLIENT_ID"].clone(),
            secret: known["CLIENT_SECRET"].clone(),
            issuer: known["ISSUER"].clone(),
            discovery: serde_json::from_str(&discovery)?,
            verifier: oidc_operator::secret::new_revision().repeat(2),
        })
    }

    fn endpoint(&self, name: &str) -> Result<&str> {
        self.discovery[name].as_str().with_context(|| format!("no {name}"))
    }

    /// RFC 6749, section 4.1.1; RFC 7636, section 4.3.
    fn authorization_url(&self) -> Result<Url> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier));
        let parameters = [
            ("client_id", self.id.as_str()),
            ("response_type", "code"),
            ("scope", "openid offline_access orders:read"),
            ("redirect_uri", CALLBACK),
            ("state", "a-state-of-the-application"),
            ("nonce", "a-nonce-of-the-application"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        Ok(Url::parse_with_params(
            self.endpoint("authorization_endpoint")?,
            parameters,
        )?)
    }

    /// Sends a user to log in. Returns the code, or `None` if access was denied.
    async fn log_in(&self, browser: &mut Browser, user: &str) -> Result<Option<String>> {
        let page = browser.go(self.authorization_url()?.as_str(), CALLBACK).await?.page()?;
        let wrong = browser
            .submit(&page, &[("username", user), ("password", "guessed")], CALLBACK)
            .await?;
        ensure!(wrong.page()?.status == StatusCode::UNAUTHORIZED, "any password works");
        let arrived = browser
            .submit(&page, &[("username", user), ("password", PASSWORD)], CALLBACK)
            .await?;
        self.came_back(browser, arrived).await
    }

    /// The same for a user who is already logged in.
    async fn again(&self, browser: &mut Browser) -> Result<Option<String>> {
        let arrived = browser.go(self.authorization_url()?.as_str(), CALLBACK).await?;
        self.came_back(browser, arrived).await
    }

    async fn came_back(&self, browser: &mut Browser, arrived: Arrived) -> Result<Option<String>> {
        let url = match arrived {
            Arrived::Back(url) => url,
            Arrived::Page(page) => {
                ensure!(page.text.contains("See your orders"), "{} {}", page.status, page.text);
                ensure!(page.text.contains("Shop &lt;1&gt;"), "{}", page.text);
                browser.submit(&page, &[], CALLBACK).await?.back()?
            }
        };
        let parameter = |name: &str| {
            url.query_pairs()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        ensure!(
            parameter("state").as_deref() == Some("a-state-of-the-application"),
            "{url}"
        );
        match parameter("error") {
            None => parameter("code").map(Some).with_context(|| format!("no code in {url}")),
            Some(error) => {
                ensure!(error == "access_denied", "{url}");
                Ok(None)
            }
        }
    }

    async fn tokens(&self, fields: &[(&str, &str)]) -> Result<(StatusCode, Value)> {
        let request = http::client()
            .post(self.endpoint("token_endpoint")?)
            .basic_auth(&self.id, Some(&self.secret))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Serializer::new(String::new()).extend_pairs(fields).finish());
        let answer = request.send().await?;
        Ok((answer.status(), serde_json::from_str(&answer.text().await?)?))
    }

    /// RFC 6749, section 4.1.3; RFC 7636, section 4.5.
    async fn redeem(&self, code: &str) -> Result<Value> {
        let (status, tokens) = self
            .tokens(&[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", CALLBACK),
                ("code_verifier", &self.verifier),
            ])
            .await?;
        ensure!(status == StatusCode::OK, "{status} {}", tokens["error"]);
        Ok(tokens)
    }

    /// RFC 6749, section 6.
    async fn refresh(&self, tokens: &Value) -> Result<Value> {
        let token = tokens["refresh_token"].as_str().context("no refresh token")?;
        let (status, tokens) = self
            .tokens(&[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await?;
        ensure!(status == StatusCode::OK, "{status} {}", tokens["error"]);
        Ok(tokens)
    }

    /// The claims of an ID token, verified as OpenID Connect Core requires (section 3.1.3.7).
    async fn verified(&self, tokens: &Value) -> Result<Value> {
        let token = tokens["id_token"].as_str().context("no ID token")?;
        let keys = http::client()
            .get(self.endpoint("jwks_uri")?)
            .send()
            .await?
            .text()
            .await?;
        let keys: JwkSet = serde_json::from_str(&keys)?;
        let kid = jsonwebtoken::decode_header(token)?.kid.context("no kid")?;
        let key = keys.find(&kid).with_context(|| format!("key {kid} is not published"))?;
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_audience(&[&self.id]);
        rules.set_issuer(&[&self.issuer]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Ok(jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key)?, &rules)?.claims)
    }

    /// OpenID Connect Core, section 5.3.
    async fn userinfo(&self, tokens: &Value) -> Result<Value> {
        let token = tokens["access_token"].as_str().context("no access token")?;
        let answer = http::client()
            .get(self.endpoint("userinfo_endpoint")?)
            .bearer_auth(token)
            .send()
            .await?;
        ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
        Ok(serde_json::from_str(&answer.text().await?)?)
    }

    /// OpenID Connect RP-Initiated Logout 1.0, section 2.
    async fn log_out(&self, browser: &mut Browser, tokens: &Value) -> Result<()> {
        let hint = tokens["id_token"].as_str().context("no ID token")?;
        let parameters = [("id_token_hint", hint), ("post_logout_redirect_uri", GOODBYE)];
        let url = Url::parse_with_params(self.endpoint("end_session_endpoint")?, parameters)?;
        browser.go(url.as_str(), GOODBYE).await?.back().map(drop)
    }
}
