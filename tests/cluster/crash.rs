//! Interrupted at any request, the operator always reaches the same end state.
//!
//! A scenario first runs without a fault, to count its requests. Then it runs again for each request and each blow: the
//! operator is killed before it, or killed after it, or its reply is lost. All the while every version of every
//! credentials Secret must be complete and accepted by Hydra.

mod adoption;
pub mod blow;
mod guard;
mod key_sets;
pub mod lab;
mod overlap;
mod restore;
mod scenario;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use crate::bed::{Bed, Options, ServerOptions};
use crate::run::Side;

use blow::{Blow, Strike};
use lab::{Lab, Run};
use scenario::Scenario;

/// Options of a bed for walks: no sweeps except after a start and on request.
fn rarely_swept() -> Options {
    Options {
        server: Some(ServerOptions {
            resync_interval: "1h".to_owned(),
            ..ServerOptions::default()
        }),
        ..Options::default()
    }
}

/// The tests of this module: several, since two tests with their own beds may run at the same time.
pub fn trials(side: &Side) -> Vec<Trial> {
    let options = rarely_swept();
    vec![
        side.alone(options.clone(), a_create_survives_interruptions_at_every_request),
        side.alone(options.clone(), an_update_survives_interruptions_at_every_request),
        side.alone(options.clone(), a_new_secret_survives_interruptions_at_every_request),
        side.alone(options.clone(), a_delete_survives_interruptions_at_every_request),
        side.alone(
            options.clone(),
            key_sets::a_new_key_set_survives_interruptions_at_every_request,
        ),
        side.alone(options, key_sets::a_key_set_survives_interruptions_at_every_request),
        side.alone(
            adoption::options(),
            adoption::an_adoption_survives_interruptions_at_every_request,
        ),
        side.alone(
            rarely_swept(),
            restore::a_restore_survives_interruptions_at_every_request,
        ),
    ]
}

/// A rotation with an overlap: the version makes no difference to the program that stands in for newer ones.
pub fn overlaps(side: &Side) -> Vec<Trial> {
    vec![side.alone(
        rarely_swept(),
        overlap::a_rotation_with_overlap_survives_interruptions_at_every_request,
    )]
}

async fn a_create_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    survive(bed, &[Scenario::Create, Scenario::CreatePublic]).await
}

async fn an_update_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    survive(bed, &[Scenario::Update, Scenario::Rename]).await
}

async fn a_new_secret_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    survive(bed, &[Scenario::NewSecret, Scenario::Rotate]).await
}

async fn a_delete_survives_interruptions_at_every_request(bed: &Bed) -> Result<()> {
    survive(bed, &[Scenario::Delete, Scenario::Orphan]).await
}

async fn survive(bed: &Bed, scenarios: &[Scenario]) -> Result<()> {
    let lab = Lab::new(bed);
    let walks = async {
        for scenario in scenarios {
            let run = async |strike| lab.run(*scenario, strike).await;
            walk(&format!("{scenario:?}"), scenario.fewest_writes(), run).await?;
        }
        Ok(())
    };
    tokio::select! {
        broken = lab.guard.watch(bed) => broken,
        walked = walks => walked,
    }
}

/// Runs one scenario with every blow at every request.
pub async fn walk(
    scenario: &str,
    fewest_writes: usize,
    run: impl AsyncFn(Option<Strike>) -> Result<Run>,
) -> Result<()> {
    let begun = Instant::now();
    let first = run(None).await.with_context(|| format!("{scenario} without a fault"))?;
    let requests = first.requests;
    let writes = requests.iter().filter(|request| !request.starts_with("GET")).count();
    // If the count missed the scenario's own requests, all points would pass.
    ensure!(writes >= fewest_writes, "{scenario}: only {requests:#?} were counted");
    let mut points = 0;
    for nth in 1..=requests.len() {
        for blow in Blow::ALL {
            let point = run(Some(Strike { nth, blow })).await.with_context(|| {
                let request = &requests[nth - 1];
                format!("{scenario}: {blow:?} request {nth} of {}, {request}", requests.len())
            })?;
            // Now and then a conflict costs some more requests, so this run may have fewer than the first run.
            points += usize::from(point.struck);
        }
    }
    let fewest = fewest_writes * Blow::ALL.len();
    ensure!(points >= fewest, "{scenario}: only {points} points");
    eprintln!(
        "crash {scenario}: {} requests, {points} points, {:.1} s",
        requests.len(),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}
