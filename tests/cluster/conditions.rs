//! Invariants of the conditions of every resource, and waiting for an exact message.

use anyhow::{Context, Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use oidc_operator::api::condition::{self, READY, RECONCILING, STALLED, SUSPENDED, SYNCED};
use oidc_operator::api::status::Standing;
use oidc_operator::api::{AuthorizationServer, OAuth2Client};
use oidc_operator::controller::engine::managed::Managed;

use crate::bed::{Bed, Space};

/// How kstatus reads a resource that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// The state may still change: a wait continues.
    Reconciling,
    /// Nothing changes without an intervention: a wait ends.
    Stalled,
}

/// Waits until an OAuth2Client is not ready, with this reason and exactly this message.
pub async fn client_says(
    space: &Space<'_>,
    name: &str,
    tone: Tone,
    reason: &str,
    message: &str,
) -> Result<OAuth2Client> {
    space.says(name, tone, reason, message).await
}

/// Waits until an AuthorizationServer is not ready, with this reason and exactly this message.
pub async fn server_says(
    bed: &Bed,
    name: &str,
    tone: Tone,
    reason: &str,
    message: &str,
) -> Result<AuthorizationServer> {
    let what = format!("AuthorizationServer {name} to report {reason}: {message}");
    let server = bed
        .wait_server(&what, name, |server| {
            says(server.metadata.generation, server_conditions(server), reason, message)
        })
        .await?;
    let observed = server.status.as_ref().and_then(|status| status.observed_generation);
    check(observed, server_conditions(&server))?;
    let found = tone_of(server_conditions(&server));
    ensure!(found == Some(tone), "{reason} is {found:?} instead of {tone:?}");
    Ok(server)
}

/// Waits until an OAuth2Client is ready, and checks its conditions.
pub async fn client_ready(space: &Space<'_>, name: &str) -> Result<OAuth2Client> {
    let client = space.wait_ready(name).await?;
    check_client(&client)?;
    Ok(client)
}

/// Checks the invariants of an OAuth2Client that had a pass.
pub fn check_client(client: &OAuth2Client) -> Result<()> {
    let observed = client.status.as_ref().and_then(|status| status.observed_generation);
    check(observed, conditions_of(client)).with_context(|| format!("conditions of {}", client.name_any()))
}

/// The conditions of an OAuth2Client.
pub fn conditions_of(client: &OAuth2Client) -> &[Condition] {
    client.status.as_ref().map_or(&[], |status| &status.conditions)
}

/// The conditions of an AuthorizationServer.
pub fn server_conditions(server: &AuthorizationServer) -> &[Condition] {
    server.status.as_ref().map_or(&[], |status| &status.conditions)
}

/// Whether the conditions report not ready, with this reason and message, for the generation.
pub fn says(generation: Option<i64>, conditions: &[Condition], reason: &str, message: &str) -> bool {
    condition::find(conditions, READY).is_some_and(|ready| {
        ready.status == "False"
            && ready.reason == reason
            && ready.message == message
            && ready.observed_generation == generation
    })
}

/// How kstatus reads a resource: whether Helm and Flux wait for it, give up, or go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kstatus {
    /// They wait.
    InProgress,
    /// They give up.
    Failed,
    /// They go on.
    Current,
    /// They wait for its deletion.
    Terminating,
}

/// The rules of kstatus for custom resources, in their order.
pub fn kstatus<K: Managed>(resource: &K) -> Kstatus {
    let status = resource.status().cloned().unwrap_or_default();
    let (observed, conditions) = status.standing();
    let is_true = |type_: &str| condition::is_true(conditions, type_);
    if resource.meta().deletion_timestamp.is_some() {
        Kstatus::Terminating
    } else if observed.is_some() && observed != resource.meta().generation || is_true(RECONCILING) {
        Kstatus::InProgress
    } else if is_true(STALLED) {
        Kstatus::Failed
    } else if condition::find(conditions, READY).is_none_or(|ready| ready.status == "True") {
        Kstatus::Current
    } else {
        Kstatus::InProgress
    }
}

/// How kstatus reads the conditions.
pub fn tone_of(conditions: &[Condition]) -> Option<Tone> {
    if condition::is_true(conditions, STALLED) {
        Some(Tone::Stalled)
    } else if condition::is_true(conditions, RECONCILING) {
        Some(Tone::Reconciling)
    } else {
        None
    }
}

/// Checks the invariants: Synced exists, and Ready unless the resource is suspended; Reconciling and Stalled exclude each other and exist only while True,
/// and not together with Ready=True; each has the observed generation of the status; messages are sentences.
pub fn check(observed: Option<i64>, conditions: &[Condition]) -> Result<()> {
    let find = |type_: &str| condition::find(conditions, type_);
    let (ready, synced) = (find(READY), find(SYNCED));
    ensure!(synced.is_some(), "Synced is missing: {conditions:?}");
    ensure!(
        ready.is_some() || condition::is_true(conditions, SUSPENDED),
        "Ready is missing: {conditions:?}"
    );
    let ready = ready.map_or("", |ready| &ready.status);
    let waits = find(RECONCILING).is_some();
    let stalls = find(STALLED).is_some();
    ensure!(!(waits && stalls), "Reconciling and Stalled at once: {conditions:?}");
    ensure!(
        ready != "False" || waits || stalls,
        "neither Reconciling nor Stalled: {conditions:?}"
    );
    ensure!(
        ready != "True" || !(waits || stalls),
        "Ready together with Reconciling or Stalled: {conditions:?}"
    );
    for found in conditions {
        let is_abnormal = found.type_ != READY && found.type_ != SYNCED;
        ensure!(
            !is_abnormal || found.status == "True",
            "{} is {}",
            found.type_,
            found.status
        );
        ensure!(
            found.observed_generation == observed && observed.is_some(),
            "{} is about generation {:?}, the status about {observed:?}",
            found.type_,
            found.observed_generation
        );
        let is_sentence = found.message.ends_with('.') && !found.message.contains('\n');
        ensure!(is_sentence, "not a sentence: {:?}", found.message);
    }
    Ok(())
}
