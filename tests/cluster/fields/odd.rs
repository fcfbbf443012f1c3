//! Values that a server may store in another form than they were sent: each is written once and then left alone.

use anyhow::{Context, Result, ensure};
use oidc_operator::api::condition::READY;
use serde_json::{Value, json};

use super::table::{CALLBACK, Effect, Field, jwks};
use super::{Workshop, merge, nested, secret, stays_quiet};
use crate::bed::Bed;

/// Odd values of a field. A field of the table that is not sent to the server has none; every other field needs a row.
fn odd(path: &str) -> Option<Vec<Value>> {
    let app = |rest: &str| json!(format!("https://app.example.com{rest}"));
    let pages = || {
        ["", "/", "/ü?q=ä", "/%c3%bc%2f", "?a=<b>&c", ":443/x/../y"]
            .map(app)
            .to_vec()
    };
    let values = match path {
        "clientName" => ["a  b", " a ", "☂ é\u{2028}", "0", "null", "<&>", "\\u0041|b"]
            .map(Value::from)
            .to_vec(),
        "hydra.owner" => ["", " a ", "\u{2028}é", "0", "null", "User-42|x", "oidc-operator.dev"]
            .map(Value::from)
            .to_vec(),
        "redirectUris" => vec![
            json!(["https://app.example.com/b", "https://app.example.com/a"]),
            json!(["https://App.Example.COM:443/CB/", "HTTPS://app.example.com"]),
            json!([app("/cb?x=%c3%bc&y=a%2fb"), app("/a,b|c"), app("/<x>")]),
            json!(["https://münchen.example/ü", "https://xn--mnchen-3ya.example/"]),
            json!([
                "com.example.app:/oauth2redirect",
                "http://[::1]:8080/cb",
                "http://127.0.0.1:080"
            ]),
            (0..1000)
                .map(|number| json!(format!("https://t{number}.example.com/cb")))
                .collect(),
        ],
        "postLogoutRedirectUris" => vec![json!([app("/ü"), app("/b|c"), app("/a?x=%2f")])],
        "grantTypes" => vec![json!(["refresh_token", "authorization_code"]), json!(["implicit"])],
        "responseTypes" => vec![json!([]), json!(["id_token token", "code", "code id_token"])],
        "scopes" => vec![
            json!(["b", "a", "A"]),
            json!(["https://api/x.read", "urn:x:y", "a+b|c"]),
        ],
        "audience" => vec![json!(["https://API.example.com/", "b", " a", "ü", "a|b", "0"])],
        "contacts" => vec![json!(["ü@example.com", " b@example.com", "a|b"])],
        "clientUri" | "logoUri" | "policyUri" | "tosUri" | "jwksUri" => pages(),
        "frontchannelLogoutUri" | "backchannelLogoutUri" => pages(),
        "requestUris" => vec![json!([app("/r#fragment"), app("/ü|x"), app("/a?b=%2F")])],
        "jwks" => {
            let mut two = jwks();
            let mut other = two["keys"][0].clone();
            other["kid"] = json!("ü/ 2");
            two["keys"].as_array_mut().expect("a list").insert(0, other);
            vec![two]
        }
        "subjectType" => vec![json!("public")],
        "tokenEndpointAuthMethod" => vec![json!("client_secret_post"), json!("client_secret_basic")],
        "tokenEndpointAuthSigningAlg" => vec![json!("ES256")],
        "requestObjectSigningAlg" | "userinfoSignedResponseAlg" => vec![json!("none"), json!("RS256")],
        "frontchannelLogoutSessionRequired" | "backchannelLogoutSessionRequired" => vec![json!(false)],
        "allowedCorsOrigins" => [
            "https://App.Example.com",
            "http://app.example.com:80",
            "https://app.example.com/",
            "https://app.example.com.",
            "https://[2001:DB8::1]:8443",
            "https://*.example.com",
            "https://a_b.example.com",
            "https://a{b}.example.com",
            "https://a|b.example.com",
            "https://a%20b.example.com",
            "https://münchen.example",
            "https://*.münchen.example:8443",
        ]
        .map(|origin| json!([origin]))
        .into_iter()
        .chain([json!(["https://a.example", "https://a.example/"])])
        .collect(),
        "accessTokenTtl" | "idTokenTtl" | "refreshTokenTtl" => durations(),
        path if path.starts_with("hydra.tokenLifespans.") => durations(),
        "metadata" => vec![
            json!({ "a": [1, 1.0, -0.0, 0.1, 1e-7, 1e21, 5e-324, 1.797_693_134_862_315_7e308] }),
            json!({ "b": [9_007_199_254_740_993_u64, 12_345_678_901_234_567_890_u64, -9_223_372_036_854_775_808_i64] }),
            json!({ "c": [0.300_000_000_000_000_04, 2.225_073_858_507_201_4e-308, 123_456.789_012_345_67] }),
            json!({ "": "", "x": {}, "y": [], "z": [[], {}, ""], "ü": "<&>\u{2028}\u{0}\u{7f}", "t": "2026-01-01" }),
            json!({ "a": null, "b": { "c": null }, "d": [null] }),
        ],
        "hydra.skipConsent" | "hydra.skipLogoutConsent" => vec![json!(false)],
        "hydra.accessTokenStrategy" => vec![json!("opaque"), json!("jwt")],
        // Without freedom: a type, a reference, or the URL of a document that exists.
        "clientType" | "scopeRefs" | "assignmentRefs" | "keySetRef" | "sectorIdentifierUri" => Vec::new(),
        _ => return None,
    };
    Some(values)
}

fn durations() -> Vec<Value> {
    [
        "0s", "60m", "1h0m0s", "1.5h", "90000ms", "0.5s", "1ms", "00001h", "1h1h", "2562047h",
    ]
    .map(Value::from)
    .to_vec()
}

pub(super) async fn odd_values_are_written_once(bed: &Bed) -> Result<()> {
    let workshop = Workshop::open(bed).await?;
    let space = bed.space().await?;
    secret::make_own_secret(bed, &space).await?;
    let mut made: Vec<(String, String)> = Vec::new();
    let fields = workshop.fields();
    let sent: Vec<&Field> = fields
        .iter()
        .filter(|field| matches!(field.effect, Effect::Hydra(_)) && !field.is_lacking(&workshop.capabilities))
        .collect();
    for field in sent {
        let values = odd(field.path).with_context(|| format!("{} has no row", field.path))?;
        for value in values {
            let name = format!("odd-{}", made.len());
            let what = format!("{} of {} is {value}", field.path, field.group);
            let mut spec = workshop.spec(field.group);
            if field.path == "postLogoutRedirectUris" {
                merge(&mut spec, &json!({ "redirectUris": [CALLBACK] }));
            }
            merge(&mut spec, &nested(field.path, value));
            // The schema may refuse it, with a message of its own.
            let refused = space.apply_client(&name, &spec.to_string()).await.err();
            if refused.is_none() {
                made.push((name, what));
            }
        }
    }
    ensure!(made.len() > 100, "only {} values were accepted", made.len());
    let mut ready = 0;
    for (name, what) in &made {
        let done = space.wait_client("a client to be ready or refused", name, |client| {
            let status = client.status.clone().unwrap_or_default();
            let of = |type_: &str| status.conditions.iter().any(|c| c.type_ == type_ && c.status == "True");
            let is_denied = status
                .conditions
                .iter()
                .any(|condition| condition.reason == "NotAllowed");
            status.observed_generation == client.metadata.generation && (of(READY) || of("Stalled") || is_denied)
        });
        let status = done.await.with_context(|| what.clone())?.status.unwrap_or_default();
        let said = status.conditions.iter().find(|condition| condition.type_ == READY);
        let said = said.context("no Ready")?;
        ensure!(
            !said.message.contains("stores another value"),
            "{what}: {}",
            said.message
        );
        match said.status.as_str() {
            "True" => ready += 1,
            _ => drop(space.delete_and_wait(name).await?), // its next try would be no second write
        }
    }
    ensure!(ready > 90, "only {ready} of {} are ready", made.len());
    stays_quiet(&workshop.lab.server, 2).await
}
