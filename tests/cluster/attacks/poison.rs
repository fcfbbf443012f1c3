//! Objects that the Kubernetes API stores but the operator cannot read: they do not affect others.

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Api, Resource};
use libtest_mimic::Trial;
use oidc_operator::api::{FIELD_MANAGER, OAuth2Client};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testbed::wait;

use super::victim::Victim;
use crate::bed::{Bed, LIMIT, Options, Space, client_id_of};
use crate::conditions::{Tone, client_ready};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.alone(Options::default(), deeply_nested_objects_do_not_affect_others),
        side.alone(Options::default(), large_objects_do_not_use_up_memory),
        side.alone(Options::default(), texts_of_long_values_do_not_use_up_memory),
        side.alone(Options::default(), objects_of_another_version_do_not_affect_others),
    ]
}

/// Creates an OAuth2Client with this JSON as metadata, which may be nested deeper than a JSON library accepts.
async fn create(space: &Space<'_>, name: &str, metadata: &str) -> Result<()> {
    let body = format!(
        r#"{{"apiVersion":"oidc-operator.dev/v1alpha1","kind":"OAuth2Client","metadata":{{"name":"{name}"}},
            "spec":{{"grantTypes":["client_credentials"],"metadata":{metadata}}}}}"#
    );
    let request = Request::new(clients_path(space)).create(&PostParams::default(), body.into_bytes())?;
    space.bed().client().request_text(request).await?;
    Ok(())
}

fn clients_path(space: &Space<'_>) -> String {
    OAuth2Client::url_path(&(), Some(space.name()))
}

fn nested(levels: usize) -> String {
    format!(r#"{{"a":{}0{}}}"#, "[".repeat(levels), "]".repeat(levels))
}

async fn deeply_nested_objects_do_not_affect_others(bed: &Bed) -> Result<()> {
    let victim = Victim::settle(bed).await?;
    let evil = bed.space().await?;
    let too_deep = "metadata: it is nested deeper than 64 levels; make it flatter.";
    create(&evil, "deep-60", &nested(60)).await?;
    client_ready(&evil, "deep-60").await?;
    for levels in [64, 123, 124, 200, 2_000] {
        let name = format!("deep-{levels}");
        create(&evil, &name, &nested(levels)).await?;
        evil.says::<OAuth2Client>(&name, Tone::Stalled, "InvalidSpec", too_deep)
            .await?;
    }
    victim.is_served("during").await?;
    let unreadable = bed
        .operator()
        .metric("oidc_operator_unreadable_objects", "kind=\"OAuth2Client\"")
        .await?;
    ensure!(unreadable == 5.0, "{unreadable} are counted");

    bed.operator().terminate().await?;
    bed.operator().start_again().await?;
    victim.is_served("after").await?;
    // A ready client whose spec becomes too deep keeps its registration.
    let client = client_ready(&evil, "deep-60").await?;
    let registered = bed.registered(&client_id_of(&client)?).await?;
    let spec = format!(r#"{{"spec":{{"clientName":"changed","metadata":{}}}}}"#, nested(500));
    let patch = Patch::Merge(RawValue::from_string(spec)?);
    let request = Request::new(clients_path(&evil)).patch("deep-60", &PatchParams::default(), &patch)?;
    bed.client().request_text(request).await?;
    evil.says::<OAuth2Client>("deep-60", Tone::Stalled, "InvalidSpec", too_deep)
        .await?;
    let now = bed.registered(&client_id_of(&client)?).await?;
    ensure!(now == registered, "{now:#} was {registered:#}");
    // It can be corrected and deleted.
    evil.change("deep-60", json!({ "spec": { "metadata": null } })).await?;
    client_ready(&evil, "deep-60").await?;
    for levels in [60, 64, 123, 124, 200, 2_000] {
        let found = evil.remove::<OAuth2Client>(&format!("deep-{levels}")).await?;
        evil.until_gone(&found).await?;
    }
    victim.is_untouched().await
}

/// Memory that the attack may add to the operator, in MiB.
const MORE: u64 = 40;
/// Message for texts that do not fit into a Secret.
const TOO_LARGE: &str = "credentials.data: its texts with their values are larger than the 1 MiB that a Secret can hold; use shorter texts, or fewer variables.";

async fn large_objects_do_not_use_up_memory(bed: &Bed) -> Result<()> {
    let victim = Victim::settle(bed).await?;
    let before = bed.operator().peak_mib()?;
    let evil = bed.space().await?;
    let zeros = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(599_999));
    let texts = format!(r#"{{"a":[{}""]}}"#, r#""","#.repeat(299_999));
    for number in 0..12 {
        let metadata = if number % 2 == 0 { &zeros } else { &texts };
        create(&evil, &format!("fat-{number}"), metadata).await?;
    }
    for number in 0..12 {
        let message = "metadata: the spec is larger than 128 KiB; shorten it.";
        evil.says::<OAuth2Client>(&format!("fat-{number}"), Tone::Stalled, "InvalidSpec", message)
            .await?;
    }
    victim.is_served("during").await?;
    let now = bed.operator().peak_mib()?;
    ensure!(now <= before + MORE, "{now} MiB after {before} MiB");

    bed.operator().terminate().await?;
    bed.operator().start_again().await?;
    victim.is_served("after").await?;
    let now = bed.operator().peak_mib()?;
    ensure!(now <= before + MORE, "{now} MiB from the start, after {before} MiB");
    for number in 0..12 {
        let found = evil.remove::<OAuth2Client>(&format!("fat-{number}")).await?;
        evil.until_gone(&found).await?;
    }
    victim.is_untouched().await
}

/// A text may name a variable a hundred times, and a Secret may have many texts.
async fn texts_of_long_values_do_not_use_up_memory(bed: &Bed) -> Result<()> {
    let victim = Victim::settle(bed).await?;
    let before = bed.operator().peak_mib()?;
    let evil = bed.space().await?;
    let texts = |variable: &str| -> serde_json::Map<String, Value> {
        let text = variable.repeat(2048 / variable.len());
        (0..31).map(|number| (format!("T{number}"), json!(text))).collect()
    };
    let long = Secret {
        data: Some([("key".to_owned(), ByteString(vec![b'A'; 700_000]))].into()),
        metadata: ObjectMeta {
            name: Some("long".to_owned()),
            ..ObjectMeta::default()
        },
        ..Secret::default()
    };
    evil.secrets().create(&PostParams::default(), &long).await?;
    let machine = |more: Value| -> Result<String> {
        let mut spec = json!({ "grantTypes": ["client_credentials"] });
        spec.as_object_mut()
            .zip(more.as_object().cloned())
            .context("no object")
            .map(|(spec, more)| spec.extend(more))?;
        Ok(spec.to_string())
    };
    let audience: Vec<String> = (10..40).map(|number| format!("{number}{}", "/".repeat(2000))).collect();
    let cases = [
        (
            json!({ "clientSecretRef": { "name": "long", "key": "key" }, "credentials": { "data": { "T": "$(clientSecret)".repeat(100) } } }),
            "Secret `long`, key `key`: the value is longer than the 8 KiB that the operator hands on. Replace it with a usable one.",
            Tone::Reconciling,
        ),
        (
            json!({ "audience": audience, "credentials": { "data": texts("$(audience|url)") } }),
            TOO_LARGE,
            Tone::Stalled,
        ),
        (
            json!({ "credentials": { "data": texts("$(clientSecret)") } }),
            TOO_LARGE,
            Tone::Stalled,
        ),
    ];
    for (number, (more, message, tone)) in cases.into_iter().enumerate() {
        let name = format!("long-{number}");
        evil.make::<OAuth2Client>(&name, &machine(more)?).await?;
        evil.says::<OAuth2Client>(&name, tone, "InvalidSpec", message).await?;
    }
    victim.is_served("during").await?;
    let now = bed.operator().peak_mib()?;
    ensure!(now <= before + MORE, "{now} MiB after {before} MiB");
    victim.is_untouched().await
}

async fn objects_of_another_version_do_not_affect_others(bed: &Bed) -> Result<()> {
    let victim = Victim::settle(bed).await?;
    let evil = bed.space().await?;
    let client = "{ grantTypes: [client_credentials] }";
    evil.ready_client("status", client).await?;
    evil.ready_client("spec", client).await?;
    // The schema of a later version, which allows more.
    let crds: Api<CustomResourceDefinition> = Api::all(bed.client());
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let version = "/spec/versions/0/schema/openAPIV3Schema/properties";
    let patch = serde_json::from_value(json!([
        { "op": "replace", "path": format!("{version}/status"), "value": anything },
        { "op": "remove", "path": format!("{version}/spec/properties/deletionPolicy/enum") },
    ]))?;
    let name = "oauth2clients.oidc-operator.dev";
    crds.patch(name, &PatchParams::default(), &Patch::<()>::Json(patch))
        .await?;
    let odd = json!({ "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "OAuth2Client", "metadata": { "name": "status" }, "status": {
        "effective": { "grantTypes": ["grant_of_tomorrow"] },
        "keyIds": 7,
        "inputs": { "of": "tomorrow" },
        "tomorrow": [[[]]],
        "conditions": [{ "type": "Ready", "status": "Maybe", "lastTransitionTime": "yesterday" }],
    }});
    let request = {
        // Written with the operator's own field manager, as a later version would.
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        Request::new(clients_path(&evil)).patch_subresource("status", "status", &parameters, &Patch::Apply(&odd))?
    };
    let write = async || bed.client().request_text(request.clone()).await;
    wait::until("the later schema to be active", LIMIT, async || {
        let written = write().await.unwrap_or_default();
        Ok(written.contains("grant_of_tomorrow").then_some(()))
    })
    .await?;
    let mended = async || {
        wait::until("the odd status to be corrected", LIMIT, async || {
            let text = evil.client_text("status").await?;
            Ok((!text.contains("grant_of_tomorrow") && text.contains("secretName")).then_some(()))
        })
        .await
    };
    mended().await?;
    bed.operator().terminate().await?;
    write().await?;
    let archive = json!({ "spec": { "deletionPolicy": "Archive" } });
    // This version cannot read the answer either.
    let _ = evil.change("spec", archive).await;
    bed.operator().start_again().await?;
    victim.is_served("after").await?;
    mended().await?;
    let unreadable = "deletionPolicy: this version of the operator cannot read it; correct it, or upgrade the operator if it needs a later version.";
    wait::until("the odd spec to be reported", LIMIT, async || {
        Ok(evil.client_text("spec").await?.contains(unreadable).then_some(()))
    })
    .await?;
    let secret = evil.secrets().get("spec").await.context("the Secret is gone")?;
    ensure!(secret.data.is_some(), "the Secret is empty");
    evil.change("spec", json!({ "spec": { "deletionPolicy": "Delete" } }))
        .await?;
    client_ready(&evil, "spec").await?;
    victim.is_untouched().await
}
