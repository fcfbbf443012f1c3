//! An admin API behind a gateway that routes nothing else: the version is set in the spec.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use testbed::HydraMajor;
use testbed::proxy::{Action, Answer, Fault, RequestHead};

use super::machine_on;
use crate::bed::{Bed, LIMIT, ServerOptions, is_list};
use crate::conditions::{Tone, client_ready, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_set_version_makes_the_question_for_it_needless),
        side.shared(a_set_version_that_is_wrong_is_reported),
    ]
}

fn version(head: &RequestHead) -> bool {
    head.is("GET", "/version")
}

fn setting(major: HydraMajor) -> &'static str {
    match major {
        HydraMajor::V1 => "V1",
        HydraMajor::V2 => "V2",
    }
}

fn other(major: HydraMajor) -> HydraMajor {
    match major {
        HydraMajor::V1 => HydraMajor::V2,
        HydraMajor::V2 => HydraMajor::V1,
    }
}

async fn a_set_version_makes_the_question_for_it_needless(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    // The version of another product, which must not be taken for that of Hydra.
    let strange = match bed.major() {
        HydraMajor::V1 => "v3.1.0",
        HydraMajor::V2 => "v1.3.0",
    };
    let answers = [
        Answer::status(404).body("404 page not found"),
        Answer::status(401),
        Answer::json(200, &json!({ "version": strange })),
    ];
    for (nth, answer) in answers.into_iter().enumerate() {
        let name = format!("{}-{nth}", space.name());
        let server = bed.make_server(&name, ServerOptions::default()).await?;
        let _gateway = server.admin.inject(Fault::new(version, Action::Answer(answer)));
        let set = json!({ "hydra": { "version": setting(bed.major()) } });
        bed.change_server(&name, set).await?;
        let status = bed.server_ready(&name).await?.status.unwrap_or_default();
        ensure!(status.version.is_none(), "{:?}", status.version);
        let known = bed.server_ready("default").await?.status.unwrap_or_default();
        let lacking = known
            .capabilities
            .iter()
            .find(|known| !status.capabilities.contains(known));
        ensure!(lacking.is_none(), "{lacking:?} of {:?}", status.capabilities);
        space.apply_client(&name, &machine_on(&name)).await?;
        client_ready(&space, &name).await?;
        if nth > 0 {
            continue;
        }
        server.admin.down();
        space
            .change(&name, json!({ "spec": { "clientName": "changed" } }))
            .await?;
        let message = "The server cannot be used now: the connection broke during a reply. The operator keeps trying.";
        server_says(bed, &name, Tone::Reconciling, "ServerUnavailable", message).await?;
        let mark = server.admin.journal().mark();
        let probe = server
            .admin
            .journal()
            .wait_for(|exchange| exchange.seq > mark, LIMIT)
            .await?;
        ensure!(is_list(&probe.head), "it probes with {:?}", probe.head);
        server.admin.up();
        bed.server_ready(&name).await?;
        client_ready(&space, &name).await?;
    }
    Ok(())
}

async fn a_set_version_that_is_wrong_is_reported(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let wrong = json!({ "hydra": { "version": setting(other(bed.major())) } });
    bed.change_server(&server.name, wrong).await?;
    let problem = match bed.major() {
        HydraMajor::V1 => "is not found where it should be",
        HydraMajor::V2 => "redirects to another URL",
    };
    let message =
        format!("The admin API {problem}. Check hydra.adminUrl and hydra.version of the AuthorizationServer.");
    server_says(bed, &server.name, Tone::Reconciling, "ServerNotRecognized", &message)
        .await
        .map(drop)
}
