//! All tests against a Foulkon: a stand-in for the worker, or a real one.

mod adoption;
mod crash;
mod delete;
mod drift;
mod keep;
mod login;
mod refusals;
mod restart;
mod restored;
mod samples;
mod stage;
mod tenants;
mod told;
mod trust;

use libtest_mimic::Trial;

use crate::run::Side;

/// The tests of all modules.
pub fn trials(side: &Side) -> Vec<Trial> {
    let lists = [
        adoption::trials,
        crash::trials,
        delete::trials,
        drift::trials,
        keep::trials,
        login::trials,
        refusals::trials,
        restart::trials,
        restored::trials,
        samples::trials,
        tenants::trials,
        told::trials,
        trust::trials,
    ];
    lists.iter().flat_map(|list| list(side)).collect()
}
