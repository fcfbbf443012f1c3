//! Rotation with an overlap: interrupted at every request, the secret in the credentials Secret is always valid, and so is
//! the one before it until the overlap ends.

use std::convert::Infallible;

use anyhow::{Context, Result, ensure};
use oidc_operator::admin::hydra::revocation::SentIn;
use oidc_operator::api::{OAuth2Client, ROTATE_AT_ANNOTATION};
use serde_json::json;
use testbed::rotating::Rotating;
use testbed::wait;

use super::blow::Strike;
use super::lab::{Run, clear, interrupted};
use super::walk;
use crate::bed::{Bed, LIMIT, Space, ledger_of};
use crate::overlap::{accepts, is_rotation, rotating_before};

const SPEC: &str = "{ grantTypes: [client_credentials], rotation: { overlap: 1h }, credentials: { keys: { formerClientSecret: FORMER } } }";

/// A story about the OAuth2Client `app`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// A rotation is requested.
    Begin,
    /// The spec wants no overlap any more.
    End,
}

pub(super) async fn a_rotation_with_overlap_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    let rotating = rotating_before(bed, &bed.servers()[0]).await?;
    for (story, fewest_writes) in [
        (Story::Begin, 6), // attempt, rotation, ledger, mark, credentials Secret, status
        (Story::End, 5),   // ledger, end, mark, credentials Secret, status
    ] {
        let run = async |strike| run(bed, &rotating, story, strike).await;
        walk(&format!("overlap {story:?}"), fewest_writes, run).await?;
    }
    Ok(())
}

async fn run(bed: &Bed, rotating: &Rotating, story: Story, strike: Option<Strike>) -> Result<Run> {
    let space = bed.space().await?;
    let client = space.ready_client("app", SPEC).await?;
    let (id, first) = space.credentials("app").await?;
    if story == Story::End {
        rotate(&space).await?;
        begun(&space, &first).await?;
    }
    let before = space.credentials("app").await?.1;
    let mark = bed.servers()[0].admin.journal().mark();
    let act = async || match story {
        Story::Begin => rotate(&space).await,
        Story::End => {
            let none = json!({ "spec": { "rotation": { "overlap": null } } });
            space.change("app", none).await
        }
    };
    let converged = async |_: &OAuth2Client| match story {
        Story::Begin => begun(&space, &first).await,
        Story::End => ended(&space).await,
    };
    let (_, run) = tokio::select! {
        Err(broken) = watch(&space, rotating, story, (&id, &first)) => return Err(broken),
        done = interrupted(bed, &space, strike, act, converged) => done?,
    };

    let now = space.credentials("app").await?.1;
    ensure!((now == before) == (story == Story::End), "the secret in the Secret");
    let ledger = space.secret_data(&ledger_of(&client)).await?;
    ensure!(ledger["client_secret"] == now, "ledger and Secret differ");
    ensure!(
        accepts(rotating, &id, &now, SentIn::Header).await?,
        "the new secret is not valid"
    );
    let is_first_valid = accepts(rotating, &id, &first, SentIn::Header).await?;
    ensure!(
        is_first_valid == (story == Story::Begin),
        "the former secret is valid: {is_first_valid}"
    );
    let mark_on_server = bed.registered(&id).await?["metadata"][oidc_operator::api::GROUP]["revision"].clone();
    ensure!(
        mark_on_server == ledger["revision"].as_str(),
        "the mark has another revision"
    );
    let ends = bed.servers()[0].admin.journal().since(mark);
    let ends = ends
        .iter()
        .filter(|exchange| is_rotation(&exchange.head, "DELETE"))
        .count();
    ensure!(
        ends <= usize::from(story == Story::End),
        "{ends} requests to end former secrets"
    );
    space.delete_and_wait("app").await?;
    clear(bed);
    Ok(run)
}

/// Checks all the while that the secret in the Secret is valid, and the first one until its end is asked for.
async fn watch(space: &Space<'_>, rotating: &Rotating, story: Story, (id, first): (&str, &str)) -> Result<Infallible> {
    loop {
        let now = space.credentials("app").await?.1;
        let is_valid = accepts(rotating, id, &now, SentIn::Header).await?;
        let was_valid = is_valid || space.credentials("app").await?.1 != now;
        ensure!(was_valid, "the secret in the Secret is not valid");
        let is_first_valid = story == Story::End || accepts(rotating, id, first, SentIn::Header).await?;
        ensure!(is_first_valid, "the former secret is not valid");
    }
}

async fn rotate(space: &Space<'_>) -> Result<OAuth2Client> {
    let now = jiff::Timestamp::now().to_string();
    space.annotate("app", ROTATE_AT_ANNOTATION, &now).await
}

/// Waits until the status tells of a former secret, and the Secret has it beside another one.
async fn begun(space: &Space<'_>, first: &str) -> Result<()> {
    let tells = |client: &OAuth2Client| {
        let status = client.status.as_ref();
        status.is_some_and(|status| status.former_secret_until.is_some())
    };
    space.wait_client("the end of the former secret", "app", tells).await?;
    let data = space.secret_data("app").await?;
    ensure!(
        data.get("FORMER").context("no former secret")? == first,
        "another former secret"
    );
    ensure!(data["CLIENT_SECRET"] != first, "the same secret");
    Ok(())
}

async fn ended(space: &Space<'_>) -> Result<()> {
    wait::until("the end of the overlap", LIMIT, async || {
        let status = space.client("app").await?.status.unwrap_or_default();
        let data = space.secret_data("app").await?;
        Ok((status.former_secret_until.is_none() && !data.contains_key("FORMER")).then_some(()))
    })
    .await?;
    space.wait_ready("app").await.map(drop)
}
