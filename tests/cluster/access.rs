//! Access rules of a server: whom they admit, what they limit, and what happens to clients when access is revoked.

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
