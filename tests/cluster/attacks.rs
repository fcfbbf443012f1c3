//! What somebody who may write in one namespace can do to the others: nothing.

mod fairness;
mod poison;
mod victim;

use libtest_mimic::Trial;

use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    poison::trials(side).into_iter().chain(fairness::trials(side)).collect()
}
