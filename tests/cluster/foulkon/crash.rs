//! Interrupted at any request, the operator always reaches the same end state: one entry, and nothing left behind.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::OidcProvider;
use serde_json::{Value, json};
use testbed::Foulkon;

use super::stage::{Stage, clients, trusting};
use crate::bed::{Bed, Options, ServerOptions};
use crate::crash::blow::Strike;
use crate::crash::lab::{Run, clear, interrupted};
use crate::crash::walk;
use crate::run::Side;

/// Name of the resource that a story is about.
const NAME: &str = "it";

pub fn trials(side: &Side) -> Vec<Trial> {
    let options = Options {
        server: None, // the first server of the bed is that of the Foulkon
        ..Options::default()
    };
    vec![
        side.alone(options.clone(), a_new_provider_survives_interruptions_at_every_request),
        side.alone(options, a_provider_survives_interruptions_at_every_request),
    ]
}

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// It is created.
    Create,
    /// Its clients change.
    Update,
    /// It gets another name and another path.
    Rename,
    /// It is deleted.
    Delete,
}

async fn a_new_provider_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    survive(bed, &[Story::Create]).await
}

async fn a_provider_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    survive(bed, &[Story::Update, Story::Rename, Story::Delete]).await
}

async fn survive(bed: &Bed, stories: &[Story]) -> Result<()> {
    let foulkon = Foulkon::start().await?;
    let options = ServerOptions {
        resync_interval: "1h".to_owned(),
        ..ServerOptions::default()
    };
    let server = bed.make_foulkon(&foulkon, options).await?;
    bed.server_ready(&server.name).await?;
    let mut foulkon = Some(foulkon);
    for story in stories.iter().copied() {
        let fewest_writes = match story {
            Story::Create => 4,                 // finalizer, claim, entry, status
            Story::Rename => 3,                 // claim, entry, status
            Story::Update | Story::Delete => 2, // entry, status or finalizer
        };
        let what = format!("{story:?} of a provider on Foulkon");
        let held = tokio::sync::Mutex::new(foulkon.take());
        let run = async |strike| {
            let mut held = held.lock().await;
            let stage = Stage {
                bed,
                space: bed.space().await?,
                server: Arc::clone(&server),
                foulkon: held.take().expect("one story at a time"),
            };
            let ran = run(&stage, story, strike).await;
            *held = Some(stage.foulkon);
            ran
        };
        walk(&what, fewest_writes, run).await?;
        foulkon = held.into_inner();
    }
    Ok(())
}

async fn run(stage: &Stage<'_>, story: Story, strike: Option<Strike>) -> Result<Run> {
    let mut before = Value::Null;
    if story != Story::Create {
        stage.ready(NAME, trusting(&["web"])).await?;
        before = stage.entry(&stage.name(NAME)).await?;
    }
    let new_name = format!("{}-new", stage.space.name());
    let new_path = format!("{}new/", stage.path());
    let act = async || match story {
        Story::Create => stage.make::<OidcProvider>(NAME, trusting(&["web"])).await,
        Story::Update => stage.space.respecify(NAME, trusting(&["other", "web"])).await,
        Story::Rename => {
            let place = json!({ "foulkon": { "name": new_name, "path": new_path } });
            stage.space.respecify(NAME, place).await
        }
        Story::Delete => stage.space.remove(NAME).await,
    };
    let converged = async |acted: &OidcProvider| match story {
        Story::Delete => stage.space.until_gone(acted).await,
        _ => stage.space.until_ready::<OidcProvider>(NAME).await.map(drop),
    };
    let (_, run) = interrupted(stage.bed, &stage.space, strike, act, converged).await?;
    let all = stage.foulkon.providers().await?;
    let ours: Vec<&Value> = all
        .iter()
        .filter(|entry| {
            entry["path"]
                .as_str()
                .is_some_and(|path| path.starts_with(&stage.path()))
        })
        .collect();
    if story == Story::Delete {
        ensure!(ours.is_empty(), "{ours:#?}");
    } else {
        ensure!(ours.len() == 1, "{ours:#?}");
        let name = match story {
            Story::Rename => new_name,
            _ => stage.name(NAME),
        };
        let is_there = story != Story::Rename || ours[0]["path"] == new_path.as_str();
        let ids = match story {
            Story::Update => json!(["other", "web"]),
            _ => json!(["web"]),
        };
        ensure!(
            ours[0]["name"] == name.as_str() && is_there && clients(ours[0]) == ids,
            "{ours:#?}"
        );
        ensure!(before.is_null() || ours[0]["id"] == before["id"], "it was recreated");
        next_look_writes_nothing(stage, &name).await?;
        let made = stage.space.remove::<OidcProvider>(NAME).await?;
        stage.space.until_gone(&made).await?;
    }
    clear(stage.bed);
    Ok(run)
}

/// Triggers two sweeps, the second only when the first has ended, and checks that nothing is written.
async fn next_look_writes_nothing(stage: &Stage<'_>, name: &str) -> Result<()> {
    let admin = stage.server.admin.journal().mark();
    for interval in ["2h", "1h"] {
        let mark = stage.server.admin.journal().mark();
        let path = format!("{}/{name}", crate::bed::PROVIDERS);
        stage
            .bed
            .change_server(&stage.server.name, json!({ "resyncInterval": interval }))
            .await?;
        testbed::wait::until("the provider to be compared", crate::bed::LIMIT, async || {
            let since = stage.server.admin.journal().since(mark);
            Ok(since
                .iter()
                .any(|exchange| exchange.head.is("GET", &path))
                .then_some(()))
        })
        .await?;
    }
    let writes = stage.writes(admin);
    ensure!(writes.is_empty(), "{writes:#?}");
    stage.bed.server_ready(&stage.server.name).await.map(drop)
}
