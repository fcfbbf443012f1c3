//! Users are admitted with ID tokens of loaded providers, and with no others.

use axum::Router;
use axum::routing::get;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::rand_core::OsRng;
use serde_json::json;
use tokio::task::JoinSet;

use super::tests::fresh;
use super::*;

const KID: &str = "first";

/// An issuer of tokens.
struct Issuer {
    url: String,
    key: EncodingKey,
    _server: JoinSet<()>,
}

impl Issuer {
    async fn start() -> Result<Self> {
        let key = rsa_key()?;
        let mut public = Jwk::from_encoding_key(&key, Algorithm::RS256)?;
        public.common.key_id = Some(KID.to_owned());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let description = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }).to_string();
        let keys = json!({ "keys": [public] }).to_string();
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(async move || description))
            .route("/keys", get(async move || keys));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let _ = axum::serve(listener, routes).await; // never ends
        });
        Ok(Self {
            url,
            key,
            _server: server,
        })
    }

    fn claims(&self) -> Value {
        json!({ "iss": self.url, "aud": ["other", "app"], "sub": "alice", "exp": 4_000_000_000_u64 })
    }

    fn bearer(&self, claims: &Value) -> Result<String> {
        signed(&self.key, Some(KID), claims)
    }
}

fn rsa_key() -> Result<EncodingKey> {
    let key = RsaPrivateKey::new(&mut OsRng, 2048)?;
    Ok(EncodingKey::from_rsa_der(key.to_pkcs1_der()?.as_bytes()))
}

fn signed(key: &EncodingKey, kid: Option<&str>, claims: &Value) -> Result<String> {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = kid.map(ToOwned::to_owned);
    Ok(format!("Bearer {}", jsonwebtoken::encode(&header, claims, key)?))
}

fn body(name: &str, issuer: &str, clients: &[&str]) -> Value {
    json!({ "name": name, "path": "/ab/", "issuerUrl": issuer, "clients": clients })
}

/// A worker that has loaded the issuer, with two clients.
async fn loaded(issuer: &Issuer) -> Result<Foulkon> {
    let (mut foulkon, _) = fresh().await?;
    let provider = body("shop", &issuer.url, &["app", "web"]);
    foulkon.must("POST", "", Some(provider)).await?;
    foulkon.restart().await?;
    Ok(foulkon)
}

#[tokio::test]
async fn a_user_may_do_only_what_is_allowed() -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // it cannot be restarted from here
    }
    let issuer = Issuer::start().await?;
    let foulkon = loaded(&issuer).await?;
    let alice = issuer.bearer(&issuer.claims())?;
    let call =
        async |method: &str, path: &str, body: Option<Value>| foulkon.call_as(Some(&alice), method, path, body).await;
    let new = body("new", &issuer.url, &["app"]);
    for (method, path, body) in [
        ("GET", "", None),
        ("GET", "/shop", None),
        ("POST", "", Some(new.clone())),
        ("PUT", "/shop", Some(new.clone())),
        ("DELETE", "/shop", None),
    ] {
        let (status, answer) = call(method, path, body).await?;
        assert_eq!(
            (status, &answer["code"]),
            (403, &json!("UnauthorizedResourcesError")),
            "{method} {path}"
        );
    }
    // Errors of the call itself are reported to every user.
    assert_eq!(call("GET", "/none", None).await?.0, 404);
    assert_eq!(call("POST", "", Some(json!({}))).await?.0, 400);
    assert_eq!(foulkon.providers().await?.len(), 1);

    foulkon.allow("alice")?;
    assert_eq!(call("POST", "", Some(new.clone())).await?.0, 201);
    assert_eq!(call("GET", "", None).await?.1["total"], 2);
    assert_eq!(call("PUT", "/new", Some(new)).await?.0, 200);
    assert_eq!(call("DELETE", "/new", None).await?.0, 204);
    let (status, answer) = call("GET", "/about", None).await?;
    assert_eq!((status, &answer["code"]), (403, &json!("UnauthorizedResourcesError")));
    Ok(())
}

#[tokio::test]
async fn a_header_turns_a_user_into_another() -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // it cannot be restarted from here
    }
    let issuer = Issuer::start().await?;
    let foulkon = loaded(&issuer).await?;
    foulkon.allow("bob")?;
    let request = crate::http::client()
        .get(format!("{}{}", foulkon.address(), route::PROVIDERS))
        .header("authorization", issuer.bearer(&issuer.claims())?)
        .header("X-FOULKON-USER-ID", "bob");
    assert_eq!(request.send().await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_token_must_be_valid_in_every_way() -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // it cannot be restarted from here
    }
    let issuer = Issuer::start().await?;
    let foulkon = loaded(&issuer).await?;
    foulkon.allow("alice")?;
    let with = |name: &str, value: Value| {
        let mut claims = issuer.claims();
        claims[name] = value;
        issuer.bearer(&claims)
    };
    let good = issuer.bearer(&issuer.claims())?;
    let for_ever = {
        let mut claims = issuer.claims();
        claims.as_object_mut().context("an object")?.remove("exp");
        signed(&issuer.key, None, &claims)?
    };
    for token in [good.clone(), with("aud", json!("web"))?, for_ever] {
        assert_eq!(foulkon.call_as(Some(&token), "GET", "", None).await?.0, 200, "{token}");
    }
    let (signed_part, _) = good.rsplit_once('.').context("a token has dots")?;
    let failed = "Error Jwt token validation failed.";
    let invalid = "Error Validation error. ";
    let table = [
        (with("iss", json!(format!("{}/", issuer.url)))?, 401, invalid),
        (with("iss", json!(1))?, 401, invalid),
        (with("aud", json!("other"))?, 401, invalid),
        (with("aud", json!([]))?, 401, invalid),
        (with("aud", Value::Null)?, 401, invalid),
        (with("sub", json!(""))?, 401, invalid),
        (signed(&issuer.key, Some("second"), &issuer.claims())?, 401, invalid),
        (signed(&rsa_key()?, Some(KID), &issuer.claims())?, 401, failed),
        (format!("{signed_part}."), 401, failed),
        (with("exp", json!(1_000_000_000))?, 401, failed),
        (with("nbf", json!(4_000_000_000_u64))?, 401, failed),
        (
            good.replace("Bearer ", "bearer "),
            400,
            "Error The 'Authorization' header scheme",
        ),
        (format!("{good} more"), 400, "Error The 'Authorization' header"),
        (signed_part.to_owned(), 400, failed),
    ];
    for (token, expected, beginning) in table {
        let (status, text) = foulkon.call_as(Some(&token), "GET", "", None).await?;
        let text = text.as_str().context("text, not JSON")?;
        assert_eq!(status, expected, "{token}: {text}");
        assert!(text.starts_with(beginning), "{token}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn tokens_of_an_unreachable_issuer_are_refused() -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // it cannot be restarted from here
    }
    let issuer = Issuer::start().await?;
    let foulkon = loaded(&issuer).await?;
    foulkon.allow("alice")?;
    let alice = issuer.bearer(&issuer.claims())?;
    drop(issuer);
    let (status, text) = foulkon.call_as(Some(&alice), "GET", "", None).await?;
    assert_eq!(status, 401, "{text}");
    Ok(())
}

#[tokio::test]
async fn a_loaded_provider_without_clients_locks_all_users_out() -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // it cannot be restarted from here
    }
    let issuer = Issuer::start().await?;
    let mut foulkon = loaded(&issuer).await?;
    foulkon.allow("alice")?;
    let alice = issuer.bearer(&issuer.claims())?;
    foulkon
        .must("POST", "", Some(body("empty", "https://id.example.com", &[])))
        .await?;
    assert_eq!(foulkon.call_as(Some(&alice), "GET", "", None).await?.0, 200);
    foulkon.restart().await?;
    let expected = "Error Setup error. At leat one client id must be provided.";
    let answer = foulkon.call_as(Some(&alice), "GET", "", None).await?;
    assert_eq!(answer, (401, json!(expected)));
    assert_eq!(foulkon.call_as(Some("Bearer a.b.c"), "GET", "", None).await?.0, 400);
    foulkon.must("GET", "", None).await?;
    Ok(())
}
