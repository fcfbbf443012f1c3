//! Random objects, drawn from the schemas of the operator's kinds: objects of one tenant do not affect another tenant.
//!
//! `ATTACK_SEED` selects other objects, reproducibly; `ATTACK_OBJECTS` sets their number.

use std::env;

use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, PostParams};
use kube::core::Request;
use libtest_mimic::Trial;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

use super::victim::Victim;
use crate::bed::{Bed, Options, Space};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.alone(Options::default(), random_objects_of_one_tenant_do_not_affect_another)]
}

/// Number of objects that the Kubernetes API has to accept.
const OBJECTS: usize = 500;
/// Largest number of objects in the namespace at the same time.
const AT_ONCE: usize = 100;

/// A namespaced kind: its names, the schema of its spec, and valid specs.
struct Kind {
    plural: String,
    name: String,
    schema: Value,
    good: Vec<Value>,
}

fn kinds() -> Vec<Kind> {
    let good = |kind: &str| match kind {
        "OAuth2Client" => vec![
            json!({ "grantTypes": ["client_credentials"] }),
            json!({ "redirectUris": ["https://a.example.com/cb"] }),
            json!({ "redirectUris": ["https://a.example.com/cb"], "clientType": "Public" }),
        ],
        "Assignment" => vec![json!({ "subjects": ["alice"] })],
        "JsonWebKeySet" => vec![json!({ "generate": { "algorithm": "ES256" } })],
        _ => vec![json!({})],
    };
    let crds = oidc_operator::api::crds().into_iter();
    let namespaced = crds.filter(|crd| crd.spec.scope == "Namespaced");
    namespaced
        .map(|crd| {
            let version = crd.spec.versions[0].schema.clone();
            let schema = serde_json::to_value(version).expect("a schema");
            Kind {
                plural: crd.spec.names.plural,
                schema: schema["openAPIV3Schema"]["properties"]["spec"].clone(),
                good: good(&crd.spec.names.kind),
                name: crd.spec.names.kind,
            }
        })
        .collect()
}

/// Texts for all patterns of the schemas; the Kubernetes API decides which are valid.
const TEXTS: [&str; 22] = [
    "a",
    "app",
    "default",
    "no-such-thing",
    "A.b_c~d",
    "openid",
    "https://a.example.com/x",
    "https://user@a.example.com:8443/x?a=b",
    "http://127.0.0.1:9/",
    "com.example.app:/cb",
    "https://a.example.com",
    "1h",
    "1ms",
    "2562047h47m16s",
    "$(clientSecret)$(issuer)$(nothing)",
    "{\"a\": {{identity.entity.id}}}",
    "/a/b/",
    "{{{{",
    "\u{202e}\u{feff}<script>&amp;\u{2028}",
    "..",
    "*",
    "00000000-0000-4000-8000-000000000000",
];

fn text(rng: &mut StdRng, schema: &Value) -> String {
    let longest = schema["maxLength"].as_u64().unwrap_or(300).min(70_000);
    match rng.random_range(0..12) {
        0 => "x".repeat(usize::try_from(longest).unwrap_or_default()),
        1 => format!("https://a.example.com/{}", "y".repeat(rng.random_range(0..2_000))),
        2 => format!("n{}", rng.random::<u32>()),
        _ => (*TEXTS.choose(rng).expect("a text")).to_owned(),
    }
}

/// A value that mostly follows the schema.
fn value(rng: &mut StdRng, schema: &Value, depth: usize) -> Value {
    if let Some(known) = schema["enum"].as_array() {
        return known.choose(rng).cloned().unwrap_or_default();
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == json!(true) && rng.random_range(0..3) > 0 {
        return anything(rng);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let required: Vec<&str> = schema["required"]
                .as_array()
                .map(|names| names.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default();
            let mut members = Map::new();
            for (name, of_member) in schema["properties"].as_object().into_iter().flatten() {
                if required.contains(&name.as_str()) || depth < 6 && rng.random_range(0..3) == 0 {
                    members.insert(name.clone(), value(rng, of_member, depth + 1));
                }
            }
            if schema["additionalProperties"].is_object() {
                for _ in 0..rng.random_range(0..4) {
                    members.insert(
                        text(rng, &json!({ "maxLength": 60 })),
                        value(rng, &schema["additionalProperties"], depth + 1),
                    );
                }
            }
            Value::Object(members)
        }
        Some("array") => {
            let most = schema["maxItems"].as_u64().unwrap_or(4);
            let count = if rng.random_range(0..10) == 0 {
                most.min(64)
            } else {
                rng.random_range(0..=most.min(3))
            };
            (0..count).map(|_| value(rng, &schema["items"], depth + 1)).collect()
        }
        Some("boolean") => json!(rng.random::<bool>()),
        Some("integer") => json!(rng.random::<i32>()),
        _ => json!(text(rng, schema)),
    }
}

/// A value that no schema restricts: deep, wide, long or odd.
fn anything(rng: &mut StdRng) -> Value {
    let leaf = json!([null, true, -1.5e300, u64::MAX, "\u{0}\u{1f}\u{10ffff}", {}, []]);
    let levels = rng.random_range(1..90);
    let deep = (0..levels).fold(leaf.clone(), |inner, level| match level % 2 {
        0 => json!([inner]),
        _ => json!({ "a": inner }),
    });
    match rng.random_range(0..4) {
        0 => json!({ "deep": deep }),
        1 => json!({ "wide": vec![leaf; rng.random_range(1..5_000)] }),
        2 => json!({ "long": "<".repeat(rng.random_range(1..90_000)) }),
        _ => json!({ "a": 1, "": "", "oidc-operator": {} }),
    }
}

/// A valid spec in which some fields have random values.
fn spec(rng: &mut StdRng, kind: &Kind) -> Value {
    let mut spec = kind.good.choose(rng).cloned().unwrap_or_default();
    let fields: Vec<(&String, &Value)> = kind.schema["properties"].as_object().into_iter().flatten().collect();
    for _ in 0..rng.random_range(0..4) {
        if let Some((name, schema)) = fields.choose(rng) {
            spec[name.as_str()] = value(rng, schema, 0);
        }
    }
    spec
}

fn number(variable: &str, default: u64) -> Result<u64> {
    match env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is not a number")),
        Err(_) => Ok(default),
    }
}

/// Creates an object. Returns whether the Kubernetes API accepts it.
async fn store(space: &Space<'_>, kind: &Kind, name: &str, spec: &Value) -> Result<bool> {
    let object = json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": kind.name, "metadata": { "name": name }, "spec": spec,
    });
    let request = Request::new(path(space, kind)).create(&PostParams::default(), serde_json::to_vec(&object)?)?;
    match space.bed().client().request_text(request).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn path(space: &Space<'_>, kind: &Kind) -> String {
    format!(
        "/apis/oidc-operator.dev/v1alpha1/namespaces/{}/{}",
        space.name(),
        kind.plural
    )
}

async fn delete(space: &Space<'_>, kind: &Kind, name: &str) -> Result<()> {
    let request = Request::new(path(space, kind)).delete(name, &DeleteParams::default())?;
    space.bed().client().request_text(request).await?;
    Ok(())
}

async fn random_objects_of_one_tenant_do_not_affect_another(bed: &Bed) -> Result<()> {
    let seed = number("ATTACK_SEED", 7)?;
    let wanted = usize::try_from(number("ATTACK_OBJECTS", OBJECTS as u64)?)?;
    attack(bed, seed, wanted)
        .await
        .with_context(|| format!("ATTACK_SEED={seed}"))
}

async fn attack(bed: &Bed, seed: u64, wanted: usize) -> Result<()> {
    let victim = Victim::settle(bed).await?;
    let evil = bed.space().await?;
    let (kinds, mut rng) = (kinds(), StdRng::seed_from_u64(seed));
    let mut stored: Vec<(&Kind, String)> = Vec::new();
    let (mut accepted, mut tried) = (0, 0);
    while accepted < wanted {
        tried += 1;
        ensure!(tried < wanted * 20, "only {accepted} of {tried} were accepted");
        let kind = kinds.choose(&mut rng).context("a kind")?;
        let name = format!("o{tried}");
        if !store(&evil, kind, &name, &spec(&mut rng, kind)).await? {
            continue;
        }
        accepted += 1;
        stored.push((kind, name));
        if stored.len() > AT_ONCE {
            let (kind, name) = stored.swap_remove(rng.random_range(0..stored.len()));
            delete(&evil, kind, &name).await?;
        }
        if accepted % 100 == 0 {
            victim.is_served(&format!("during-{accepted}")).await?;
        }
    }
    bed.operator().terminate().await?;
    bed.operator().start_again().await?;
    victim.is_served("after").await?;
    victim.is_untouched().await
}
