//! Killed at every request, the operator always comes to the same end.
//!
//! A scenario is run without a fault first, to count its requests. Then it is run again for each of them and each blow:
//! killed before it, killed after it, its reply lost. All the while every version of every credentials Secret has to be
//! complete and accepted by Hydra.

mod adoption;
pub mod blow;
mod guard;
mod key_sets;
pub mod lab;
mod scenario;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use crate::bed::{Bed, Options, ServerOptions};
use crate::run::Side;

use blow::{Blow, Strike};
use lab::{Lab, Run};
use scenario::Scenario;

/// The tests of this module: several, since two beds of their own may run at once.
pub fn trials(side: &Side) -> Vec<Trial> {
    let options = Options {
        server: Some(ServerOptions {
            resync_interval: "1h".to_owned(), // no sweep but those after a start and those that are asked for
            ..ServerOptions::default()
        }),
        ..Options::default()
    };
    vec![
        side.alone(options.clone(), every_request_of_a_create),
        side.alone(options.clone(), every_request_of_an_update),
        side.alone(options.clone(), every_request_of_a_new_secret),
        side.alone(options.clone(), every_request_of_a_delete),
        side.alone(options.clone(), key_sets::every_request_of_a_new_key_set),
        side.alone(options, key_sets::every_request_of_a_key_set),
        side.alone(adoption::options(), adoption::every_request_of_an_adoption),
    ]
}

async fn every_request_of_a_create(bed: &Bed) -> Result<()> {
    survive(bed, &[Scenario::Create, Scenario::CreatePublic]).await
}

async fn every_request_of_an_update(bed: &Bed) -> Result<()> {
    survive(bed, &[Scenario::Update, Scenario::Rename]).await
}

async fn every_request_of_a_new_secret(bed: &Bed) -> Result<()> {
    survive(bed, &[Scenario::NewSecret, Scenario::Rotate]).await
}

async fn every_request_of_a_delete(bed: &Bed) -> Result<()> {
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

/// One scenario with every blow at every request.
pub async fn walk(
    scenario: &str,
    fewest_writes: usize,
    run: impl AsyncFn(Option<Strike>) -> Result<Run>,
) -> Result<()> {
    let begun = Instant::now();
    let first = run(None).await.with_context(|| format!("{scenario} without a fault"))?;
    let requests = first.requests;
    let writes = requests.iter().filter(|request| !request.starts_with("GET")).count();
    // A count that misses what it is about would let all points pass.
    ensure!(writes >= fewest_writes, "{scenario}: only {requests:#?} were counted");
    let mut points = 0;
    for nth in 1..=requests.len() {
        for blow in Blow::ALL {
            let point = run(Some(Strike { nth, blow })).await.with_context(|| {
                let request = &requests[nth - 1];
                format!("{scenario}: {blow:?} request {nth} of {}, {request}", requests.len())
            })?;
            // A conflict costs some requests more, once in a while: those of the first run may not come again.
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
