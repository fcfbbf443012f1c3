//! Who may use a server, and for what: rules, limits, and what becomes of clients when a right is taken back.

use libtest_mimic::Trial;

use crate::run::Side;

mod attacks;
mod limits;
mod revoked;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let lists = [limits::trials, attacks::trials, revoked::trials];
    lists.iter().flat_map(|list| list(side)).collect()
}
