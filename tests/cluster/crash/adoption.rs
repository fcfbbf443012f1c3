//! Adoption: interrupted at every request, the operator adopts a client and releases it again, and the client's secret
//! keeps working.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use oidc_operator::api::{ADOPTABLE_BY_ANNOTATION, GROUP, OAuth2Client, UID_LABEL};
use serde_json::json;

use super::blow::{Blow, Strike};
use super::lab::{Run, clear, interrupted};
use super::walk;
use crate::adoption::{SECRET, UNKNOWN};
use crate::bed::{Bed, Options, ServerOptions, Space, uid_of};
use crate::conditions::Tone::Stalled;

/// Id of the client that another writer registered.
const ID: &str = "legacy";
const SPEC: &str = "{ clientId: legacy, adoption: Allow, grantTypes: [client_credentials], scopes: [read] }";

/// A story about the OAuth2Client `app`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// The client is adopted.
    Adopt,
    /// The client is adopted with the Secret that applications mount.
    TakeOver,
    /// Its resource is deleted, and the client stays.
    LetGo,
}

/// Options of a bed whose server allows the adoption of the client.
pub(super) fn options() -> Options {
    let access = json!([{
        "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "adopt": { "clientIds": [ID] },
    }]);
    Options {
        server: Some(ServerOptions {
            resync_interval: "1h".to_owned(), // no sweeps except after a start
            spec: json!({ "access": access }),
            ..ServerOptions::default()
        }),
        ..Options::default()
    }
}

pub(super) async fn an_adoption_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    for (story, fewest_writes) in [
        (Story::Adopt, 3),    // finalizer, client, status
        (Story::TakeOver, 5), // finalizer, ledger, client, Secret, status
        (Story::LetGo, 2),    // marker, finalizer
    ] {
        let run = async |strike| run(bed, story, strike).await;
        walk(&format!("{story:?}"), fewest_writes, run).await?;
    }
    Ok(())
}

/// A Secret of another tool.
fn offered() -> String {
    let offered = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "app", "annotations": { ADOPTABLE_BY_ANNOTATION: "app" } },
        "stringData": { "CLIENT_ID": ID, "CLIENT_SECRET": SECRET },
    });
    offered.to_string()
}

async fn run(bed: &Bed, story: Story, strike: Option<Strike>) -> Result<Run> {
    let space = bed.space().await?;
    space.canary(SECRET);
    let legacy = json!({ "client_id": ID, "client_secret": SECRET, "grant_types": ["client_credentials"] });
    bed.register(legacy).await?;
    let offered: Option<Secret> = match story {
        Story::TakeOver => Some(space.apply(&offered()).await?),
        Story::Adopt | Story::LetGo => None,
    };
    if story == Story::LetGo {
        space.apply_client("app", SPEC).await?;
        is_unknown(&space).await?;
    }
    let act = async || match story {
        Story::Adopt | Story::TakeOver => space.apply_client("app", SPEC).await,
        Story::LetGo => space.delete("app").await,
    };
    let converged = async |acted: &OAuth2Client| match story {
        Story::Adopt => is_unknown(&space).await,
        Story::TakeOver => space.wait_ready("app").await.map(drop),
        Story::LetGo => space.wait_gone(acted).await,
    };
    let (acted, run) = interrupted(bed, &space, strike, act, converged).await?;

    bed.token(ID, SECRET, "").await?;
    let mark = bed.registered(ID).await?["metadata"][GROUP].clone();
    let is_marked = mark["uid"] == uid_of(&acted).as_str() && mark["adopted"] == true;
    // Best effort: an operator that cannot reach Hydra at that moment releases the resource anyway.
    let excused = strike.is_some_and(|strike| strike.blow == Blow::LostReplyOf);
    match story {
        Story::Adopt | Story::TakeOver => ensure!(is_marked, "the marker is {mark}"),
        Story::LetGo => ensure!(mark.is_null() || excused, "the marker is left: {mark}"),
    }
    let ours = ListParams::default().labels(&format!("{UID_LABEL}={}", uid_of(&acted)));
    let secrets = space.secrets().list(&ours).await?.items;
    match offered {
        None => ensure!(
            secrets.is_empty() && space.secret("app").await?.is_none(),
            "Secrets were created without a known secret"
        ),
        Some(offered) => {
            let same = |now: &Secret| now.metadata.uid == offered.metadata.uid && now.data == offered.data;
            ensure!(
                secrets.len() == 2 && secrets.iter().any(same),
                "{} Secrets",
                secrets.len()
            );
        }
    }
    if story != Story::LetGo {
        space.delete_and_wait("app").await?;
    }
    bed.unregister(ID).await?;
    clear(bed);
    Ok(run)
}

async fn is_unknown(space: &Space<'_>) -> Result<()> {
    let said: OAuth2Client = space.says("app", Stalled, "SecretUnknown", UNKNOWN).await?;
    let status = said.status.unwrap_or_default();
    ensure!(status.adopted == Some(true), "{status:?}");
    Ok(())
}
