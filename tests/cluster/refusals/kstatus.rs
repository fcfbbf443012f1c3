//! What kubectl, Helm and GitOps tools read: a status from the start, and conditions that never contradict each other.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use futures::TryStreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use libtest_mimic::Trial;
use oidc_operator::api::OAuth2Client;
use serde_json::json;

use crate::bed::{Bed, Options};
use crate::conditions::{Tone, check_client, client_ready, client_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    let idle = Options::bare();
    vec![
        side.shared(kubectl_can_wait_for_conditions),
        side.shared(a_dry_run_validates_and_stores_nothing),
        side.shared(conditions_never_contradict_each_other),
        side.alone(idle, a_status_exists_before_the_first_pass),
    ]
}

async fn kubectl_can_wait_for_conditions(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.apply_client("good", "grantTypes: [client_credentials]").await?;
    let said = space
        .kubectl(&["wait", "--for=condition=Ready", "oac/good", "--timeout=60s"], "")
        .await?;
    ensure!(
        said == Ok("oauth2client.oidc-operator.dev/good condition met\n".to_owned()),
        "{said:?}"
    );
    let spec =
        "{ redirectUris: [https://web.example.com/cb], postLogoutRedirectUris: [https://elsewhere.example.org/] }";
    space.apply_client("bad", spec).await?;
    let said = space
        .kubectl(&["wait", "--for=condition=Stalled", "oac/bad", "--timeout=60s"], "")
        .await?;
    ensure!(said.is_ok(), "{said:?}");
    let said = space
        .kubectl(&["wait", "--for=condition=Ready=False", "oac/bad", "--timeout=60s"], "")
        .await?;
    ensure!(said.is_ok(), "{said:?}");
    let waits = format!(
        "{{ serverRef: {{ name: {}-never }}, grantTypes: [client_credentials] }}",
        space.name()
    );
    space.apply_client("waits", &waits).await?;
    let said = space
        .kubectl(
            &["wait", "--for=condition=Reconciling", "oac/waits", "--timeout=60s"],
            "",
        )
        .await?;
    ensure!(said.is_ok(), "{said:?}");
    Ok(())
}

async fn a_dry_run_validates_and_stores_nothing(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let manifest = |spec: serde_json::Value| {
        let metadata = json!({ "name": "app" });
        json!({ "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "OAuth2Client", "metadata": metadata, "spec": spec })
            .to_string()
    };
    let arguments = ["apply", "--dry-run=server", "--filename=-"];
    let good = manifest(json!({ "grantTypes": ["client_credentials"] }));
    let said = space.kubectl(&arguments, &good).await?;
    ensure!(
        said == Ok("oauth2client.oidc-operator.dev/app created (server dry run)\n".to_owned()),
        "{said:?}"
    );
    let bad = manifest(json!({ "redirectUris": ["https://web.example.com/cb#top"] }));
    let said = space.kubectl(&arguments, &bad).await?.err().unwrap_or_default();
    let expected = "redirectUris: a redirect URI must not have a fragment (#…)\n";
    ensure!(
        said.starts_with("The OAuth2Client \"app\" is invalid: spec.redirectUris: Invalid value: ")
            && said.ends_with(expected),
        "{said}"
    );
    let unknown = manifest(json!({ "grantTypes": ["client_credentials"], "redirectUri": "https://x.example.com" }));
    let said = space.kubectl(&arguments, &unknown).await?.err().unwrap_or_default();
    ensure!(said.contains("unknown field \"spec.redirectUri\""), "{said}");
    ensure!(space.clients().get_opt("app").await?.is_none(), "it was stored");
    Ok(())
}

/// Checks every status that a watch shows, from the first to the last.
async fn conditions_never_contradict_each_other(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let seen: Arc<Mutex<Vec<OAuth2Client>>> = Arc::default();
    let (writer, api) = (Arc::clone(&seen), space.clients());
    let watching = tokio::spawn(async move {
        let mut events = std::pin::pin!(
            watcher(api, watcher::Config::default())
                .default_backoff()
                .applied_objects()
        );
        while let Ok(Some(client)) = events.try_next().await {
            writer.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        }
    });
    let good = "{ redirectUris: [https://web.example.com/cb] }";
    space.apply_client("app", good).await?;
    client_ready(&space, "app").await?;
    let bad =
        "{ redirectUris: [https://web.example.com/cb], postLogoutRedirectUris: [https://elsewhere.example.org/] }";
    space.apply_client("app", bad).await?;
    let refused =
        "The server does not accept postLogoutRedirectUris; what is registered there stays as it is. Correct the spec.";
    client_says(&space, "app", Tone::Stalled, "InvalidSpec", refused).await?;
    let waits = "{ redirectUris: [https://web.example.com/cb], clientSecretRef: { name: own, key: password } }";
    space.apply_client("app", waits).await?;
    let missing = "Secret `own` does not exist. Create it.";
    client_says(&space, "app", Tone::Reconciling, "SecretNotFound", missing).await?;
    space
        .apply_client("app", "{ redirectUris: [https://web.example.com/cb], suspend: true }")
        .await?;
    let suspended = space.wait_condition("app", "Suspended", "True", "Suspended").await?;
    check_client(&suspended)?;
    space.apply_client("app", good).await?;
    client_ready(&space, "app").await?;
    space.delete_and_wait("app").await?;
    watching.abort();

    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(seen.len() >= 8, "only {} states were seen", seen.len());
    let mut last = -1;
    for client in seen.iter() {
        let status = client.status.as_ref();
        let observed = status.and_then(|status| status.observed_generation);
        ensure!(
            observed >= Some(last),
            "observedGeneration went from {last} to {observed:?}"
        );
        ensure!(
            observed <= client.metadata.generation,
            "{observed:?} is ahead of the generation"
        );
        last = observed.unwrap_or(-1);
        if last >= 0 {
            check_client(client)?;
        }
    }
    Ok(())
}

async fn a_status_exists_before_the_first_pass(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.apply_client("app", "grantTypes: [client_credentials]").await?;
    let observed = client.status.and_then(|status| status.observed_generation);
    ensure!(observed == Some(-1), "{observed:?}");
    let live = space.client("app").await?;
    ensure!(live.status.and_then(|status| status.observed_generation) == Some(-1));
    Ok(())
}
