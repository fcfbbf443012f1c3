//! Objects that are written into etcd before the kube-apiserver starts, as it would have stored them.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::http;

/// Number of writes that are sent at once, where their order does not matter.
const AT_ONCE: usize = 16;
/// A key outside of Kubernetes' own.
const FILLER: &str = "/filler";

/// An object as etcd holds it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Stored {
    /// Its key.
    pub key: String,
    /// Its resourceVersion.
    pub revision: u64,
    /// The object, without resourceVersion.
    pub object: Value,
}

/// Stores the objects. A revision of etcd is the number of writes before it, so that as many are made in between.
pub(super) async fn fill(url: &str, objects: &[Stored]) -> Result<()> {
    let client = http::client();
    let mut objects: Vec<&Stored> = objects.iter().collect();
    objects.sort_by_key(|stored| stored.revision);
    let mut revision = 1;
    for stored in objects {
        let missing = stored.revision.checked_sub(revision + 1);
        let missing = missing.with_context(|| format!("{}: its revision has passed", stored.key))?;
        let fillers = (0..missing).map(|_| put(&client, url, FILLER, "x"));
        stream::iter(fillers)
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        revision = put(&client, url, &stored.key, &stored.object.to_string()).await?;
        ensure!(revision == stored.revision, "{} got revision {revision}", stored.key);
    }
    Ok(())
}

/// Writes a value through etcd's gateway for JSON, and returns its revision.
async fn put(client: &Client, url: &str, key: &str, value: &str) -> Result<u64> {
    let body = json!({ "key": BASE64.encode(key), "value": BASE64.encode(value) });
    let request = client.post(format!("{url}/v3/kv/put"));
    let (status, answer) = http::exchange(request, Some(body), "a write to etcd").await?;
    let revision = answer["header"]["revision"].as_str().and_then(|text| text.parse().ok());
    revision.with_context(|| format!("etcd answered {status} {answer}"))
}
