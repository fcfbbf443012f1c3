//! A user who may write in one namespace cannot affect the others.

mod fairness;
mod liar;
mod poison;
mod random;
mod vanish;
mod victim;

use libtest_mimic::Trial;

use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    let trials = [
        poison::trials,
        fairness::trials,
        liar::trials,
        random::trials,
        vanish::trials,
    ];
    trials.iter().flat_map(|of| of(side)).collect()
}
