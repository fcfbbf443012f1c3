//! All tests that need a real cluster and a real server. They form one test program, so that one control plane and one
//! operator serve all tests of one Hydra version at the same time, each test in its own namespaces. Then the tests of
//! the other version run, then those of OpenBao and of Foulkon, and the core again with operators that have fewer rights
//! (`namespaces::…`, `no_secret_watch::…`). At the end, closing trials examine the whole run.
//!
//! `cargo test --test cluster -- NAME` runs the tests whose name contains NAME. A test is an `async fn`; `trials` of
//! its module lists it. `side.shared` runs it on the shared bed, `side.alone` on its own bed. Tests of Hydra run against
//! both versions, as `hydra1::…` and `hydra2::…`, unless the version makes no difference to them. Tests of OpenBao are
//! named `bao::vault::…`, tests of Foulkon `foulkon::foulkon::…`.
//!
//! Two sets run only by name, and `make integrations` names them: the story of the image on a node (`node::`), and all
//! tests on Hydra v1 (`hydra1::`), of which a run without a name has those that depend most on the version.

mod access;
mod adoption;
mod attacks;
mod backup;
mod bed;
mod change;
mod closing;
mod conditions;
mod crash;
mod create;
mod credentials;
mod delete;
mod details;
mod device;
mod election;
mod evidence;
mod fields;
mod foulkon;
mod gitops;
mod harness;
mod helm;
mod key_sets;
mod login;
mod manifests;
mod node;
mod operations;

mod overlap;
mod owner;
mod plugin;
mod probes;
mod provider;
mod reach;
mod references;
mod refusals;
mod repair;
mod restored;
mod rotation;
mod run;
mod servers;
mod sign_in;
mod steady;
mod telemetry;
mod tenants;
mod upgrade;
mod vault;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use testbed::HydraMajor;

use bed::Reach;
use run::{Run, Side};

/// Number of tests that run at the same time; they mostly wait.
const TEST_THREADS: usize = 6;

/// Whether only tests with this prefix are to run: some run by name alone, because they take long.
fn names(arguments: &Arguments, prefix: &str) -> bool {
    let filter = arguments.filter.as_ref();
    filter.is_some_and(|filter| filter.starts_with(prefix))
}

fn main() -> ExitCode {
    testbed::init();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TEST_THREADS);
    let run = Run::new();
    let per_version = [
        adoption::trials,
        change::trials,
        create::trials,
        delete::trials,
        device::trials,
        fields::trials,
        key_sets::trials,
        login::trials,
        operations::trials,
        provider::trials,
        rotation::trials,
        servers::trials,
        sign_in::trials,
    ];
    // The version makes little difference to them. On the earlier one they run by name.
    let mostly_once = [
        access::trials,
        backup::trials,
        crash::trials,
        details::trials,
        owner::trials,
        repair::trials,
        restored::trials,
        steady::trials,
        tenants::trials,
    ];
    // They do not depend on the version of the server.
    let once = [
        attacks::trials,
        crash::overlaps,
        credentials::trials,
        details::caches::trials,
        election::trials,
        gitops::trials,
        helm::trials,
        manifests::trials,
        overlap::trials,
        plugin::trials,
        probes::trials,
        reach::classes,
        references::trials,
        refusals::trials,
        rotation::waits,
        servers::network::trials,
        telemetry::trials,
    ];
    let without_bed = harness::trials().into_iter().chain(manifests::files()).collect();
    let mut failed = libtest_mimic::run(&arguments, without_bed).has_failed();
    for major in [HydraMajor::V2, HydraMajor::V1] {
        let side = run.side(major);
        let is_later = major == HydraMajor::V2;
        let is_whole = is_later || names(&arguments, "hydra1");
        let with = mostly_once
            .iter()
            .filter(|_| is_whole)
            .chain(once.iter().filter(|_| is_later));
        let tests = per_version.iter().chain(with).flat_map(|list| list(&side)).collect();
        failed |= libtest_mimic::run(&arguments, tests).has_failed();
        if let Err(error) = side.end() {
            eprintln!("{error:#}");
            failed = true;
        }
    }

    for (label, trials) in [
        ("bao", vault::trials as fn(&Side) -> Vec<Trial>),
        ("foulkon", foulkon::trials),
    ] {
        let side = run.side_of(label);
        failed |= libtest_mimic::run(&arguments, trials(&side)).has_failed();
        if let Err(error) = side.end() {
            eprintln!("{error:#}");
            failed = true;
        }
    }

    for reach in [Reach::Namespaces, Reach::NoSecretWatch] {
        let side = run.side_with(reach);
        failed |= libtest_mimic::run(&arguments, reach::trials(&side)).has_failed();
        if let Err(error) = side.end() {
            eprintln!("{error:#}");
            failed = true;
        }
    }

    failed |= libtest_mimic::run(&arguments, upgrade::trials(&run)).has_failed();
    failed |= libtest_mimic::run(&arguments, node::trials(&run, &arguments)).has_failed();

    // The closing trials also examine a run of only some tests, which does not use everything.
    let whole = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.ignored;
    arguments.filter = None;
    arguments.skip.clear();
    failed |= libtest_mimic::run(&arguments, closing::trials(&run, whole)).has_failed();
    if failed {
        return ExitCode::from(101); // as Rust's own test programs do
    }
    ExitCode::SUCCESS
}
