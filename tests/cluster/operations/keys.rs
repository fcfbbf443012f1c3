//! JSON Web Keys and trusted issuers.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::admin::http::Failure;
use oidc_operator::admin::hydra::clients::Cursor;
use oidc_operator::admin::hydra::key::{JsonWebKey, JsonWebKeySet, PublicKey};
use oidc_operator::admin::hydra::keys::GenerateKey;
use oidc_operator::admin::hydra::trust::NewTrustedIssuer;
use serde_json::{Value, json};
use testbed::HydraMajor;

use crate::bed::{Bed, settled};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(keys_are_generated_and_deleted),
        side.shared(uploaded_keys_are_stored_unchanged),
        side.shared(keys_normalized_by_the_server_compare_as_equal),
        side.shared(a_trusted_issuer_is_added_and_removed),
    ]
}

/// The elliptic curve key of RFC 7517, appendix A.2.
fn example(kid: &str) -> JsonWebKey {
    key(json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
    }))
}

fn key(members: Value) -> JsonWebKey {
    JsonWebKey::parse(members).expect("a key")
}

fn ids(set: &JsonWebKeySet) -> Vec<&str> {
    let mut ids: Vec<&str> = set.keys.iter().map(|key| key.public.kid.as_str()).collect();
    ids.sort_unstable();
    ids
}

async fn keys_are_generated_and_deleted(bed: &Bed) -> Result<()> {
    let hydra = bed.admin().await?;
    let set = "operations-generated";
    let absent = settled("a GET", async || hydra.get_key_set(set).await).await?;
    ensure!(absent.is_none(), "the set exists already");
    let wanted = GenerateKey {
        alg: "ES256".to_owned(),
        kid: "g".to_owned(),
        usage: "sig".to_owned(),
    };
    let made = settled("a POST", async || hydra.create_key_set(set, &wanted).await).await?;
    let made = made.context("the id is taken")?;
    let expected = match bed.major() {
        HydraMajor::V1 => vec!["private:g", "public:g"],
        HydraMajor::V2 => vec!["g"],
    };
    ensure!(ids(&made) == expected, "{:?}", ids(&made));
    ensure!(made.keys.iter().any(JsonWebKey::is_private), "no private key");
    let again = settled("a POST", async || hydra.create_key_set(set, &wanted).await).await?;
    ensure!(again.is_none(), "the id was used twice");
    let found = settled("a GET", async || hydra.get_key_set(set).await).await?;
    ensure!(
        found.is_some_and(|found| found.same_as(&made)),
        "the stored key differs"
    );
    let unknown = GenerateKey {
        alg: "nope".to_owned(),
        ..GenerateKey::default()
    };
    let refused = hydra.create_key_set(set, &unknown).await.err();
    ensure!(
        matches!(refused, Some(Failure::Status { code: 400, .. })),
        "{refused:?}"
    );
    for _ in 0..2 {
        settled("a DELETE", async || hydra.delete_key_set(set).await).await?;
    }
    let gone = settled("a GET", async || hydra.get_key_set(set).await).await?;
    ensure!(gone.is_none(), "it still exists");
    Ok(())
}

async fn uploaded_keys_are_stored_unchanged(bed: &Bed) -> Result<()> {
    let hydra = bed.admin().await?;
    let set = "operations-ours";
    let keys = JsonWebKeySet {
        keys: vec![example("a"), example("b")],
    };
    let put = settled("a PUT", async || hydra.update_key_set(set, &keys).await).await?;
    ensure!(put.same_as(&keys), "the echo differs");
    let found = settled("a GET", async || hydra.get_key_set(set).await).await?;
    ensure!(
        found.is_some_and(|found| found.same_as(&keys)),
        "the stored keys differ"
    );
    let twice = JsonWebKeySet {
        keys: vec![example("a"), example("a")],
    };
    let refused = hydra.update_key_set(set, &twice).await.err();
    ensure!(
        matches!(refused, Some(Failure::Status { code: 409, .. })),
        "{refused:?}"
    );

    let third = example("c");
    let put = settled("a PUT", async || hydra.update_key(set, &third).await).await?;
    ensure!(put == third, "the echo differs");
    let found = settled("a GET", async || hydra.get_key(set, "c").await).await?;
    ensure!(found.is_some_and(|found| found == third), "the stored key differs");
    for _ in 0..2 {
        settled("a DELETE", async || hydra.delete_key(set, "a").await).await?;
    }
    let gone = settled("a GET", async || hydra.get_key(set, "a").await).await?;
    ensure!(gone.is_none(), "it still exists");
    let left = settled("a GET", async || hydra.get_key_set(set).await).await?;
    ensure!(
        left.is_some_and(|left| ids(&left) == ["b", "c"]),
        "other keys than b and c are left"
    );
    settled("an empty PUT", async || {
        hydra.update_key_set(set, &JsonWebKeySet::default()).await
    })
    .await?;
    let gone = settled("a GET", async || hydra.get_key_set(set).await).await?;
    ensure!(gone.is_none(), "the empty set exists");
    Ok(())
}

async fn keys_normalized_by_the_server_compare_as_equal(bed: &Bed) -> Result<()> {
    let hydra = bed.admin().await?;
    let set = "operations-normal";
    let keys = [
        // A number with a leading zero, and members that the server drops.
        json!({
            "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "e": "AAEAAQ", "key_ops": ["verify"], "x5c": [], "team": "shop",
            "n": "AAvX7oYdgkzIlq0ZHo_KTGU4lpjD1BZwRcT2fEyQ4zQgNxsVIyrfzwCnmRVxaKMVyJgWjVJqQWUpUkEnTRQBlGXAn7PEpuPwTXZTS1XEk2UANSZTcPzUr1Os4pOkJJiY_lMqJxYPGu5s8fTPmUfB5Yr6RWq2tCyCxyJ5DgmJXJ7B",
        }),
        json!({ "kty": "oct", "kid": "s", "use": "sig", "alg": "HS256", "k": "AAECAwQ" }),
    ];
    let wanted = JsonWebKeySet {
        keys: keys.map(key).into(),
    };
    settled("a PUT", async || hydra.update_key_set(set, &wanted).await).await?;
    let found = settled("a GET", async || hydra.get_key_set(set).await).await?;
    let found = found.context("no such set")?;
    ensure!(found != wanted, "the server changed nothing");
    for (kept, wanted) in found.normalized().keys.iter().zip(&wanted.normalized().keys) {
        let (kept, wanted) = (&kept.public, &wanted.public);
        ensure!(kept == wanted, "{kept:?}, {wanted:?}");
    }
    ensure!(found.same_as(&wanted), "the private members differ");
    settled("a DELETE", async || hydra.delete_key_set(set).await).await?;
    Ok(())
}

async fn a_trusted_issuer_is_added_and_removed(bed: &Bed) -> Result<()> {
    let hydra = bed.admin().await?;
    let issuer = NewTrustedIssuer {
        issuer: "operations-issuer".to_owned(),
        subject: "alice".to_owned(),
        allow_any_subject: false,
        scope: vec!["openid".to_owned()],
        jwk: PublicKey {
            kid: "t".to_owned(),
            ..example("t").public
        },
        expires_at: "2040-01-01T00:00:00Z".parse()?,
    };
    let made = settled("a POST", async || hydra.create_trusted_issuer(&issuer).await).await?;
    let made = made.context("trusted already")?;
    ensure!(
        made.expires_at == issuer.expires_at && made.scope == issuer.scope,
        "{made:?}"
    );
    ensure!(
        (&*made.public_key.set, &*made.public_key.kid) == ("operations-issuer", "t"),
        "{made:?}"
    );
    let again = settled("a POST", async || hydra.create_trusted_issuer(&issuer).await).await?;
    ensure!(again.is_none(), "trusted twice: {again:?}");
    let found = settled("a GET", async || hydra.get_trusted_issuer(&made.id).await).await?;
    ensure!(found.as_ref() == Some(&made), "{found:?}");
    for (filter, expected) in [(Some("operations-issuer"), 1), (Some("nobody"), 0)] {
        let page = settled("a page", async || {
            hydra.list_trusted_issuers(filter, &mut Cursor::default()).await
        })
        .await?;
        ensure!(page.as_ref().map(Vec::len) == Some(expected), "{page:?}");
    }
    let all = settled("a page", async || {
        hydra.list_trusted_issuers(None, &mut Cursor::default()).await
    })
    .await?;
    ensure!(all.unwrap_or_default().contains(&made), "not listed");
    // The issuer's key is one of the server's keys.
    let key = settled("a GET", async || hydra.get_key("operations-issuer", "t").await).await?;
    ensure!(key.is_some_and(|key| key.public == issuer.jwk), "no such key");
    for _ in 0..2 {
        settled("a DELETE", async || hydra.delete_trusted_issuer(&made.id).await).await?;
    }
    let gone = settled("a GET", async || hydra.get_trusted_issuer(&made.id).await).await?;
    ensure!(gone.is_none(), "{gone:?}");
    Ok(())
}
