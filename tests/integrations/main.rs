//! The operator among the tools that people run beside it: GitOps controllers, Prometheus, applications and a browser.
//! They take long to build and need more of a machine than the other tests, so plain `cargo test` leaves them out.
//!
//! `cargo test --test integrations -- NAME` runs those whose name contains NAME. Each is one story with its own control
//! plane, its own servers and its own operator. A story that needs what this machine lacks is counted as ignored, and
//! its name says what.

mod argo_cd;
mod consumers;
mod flux;
mod kinds;
mod maester;
mod monitoring;
mod stage;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    testbed::init();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1); // a story runs five and more servers
    let trials = [
        argo_cd::trials,
        consumers::trials,
        flux::trials,
        maester::trials,
        monitoring::trials,
    ];
    let trials = trials.into_iter().flat_map(|list| list()).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
