//! Who may use a server, and for what: rules, limits, and what becomes of clients when a right is taken back.

use std::sync::Arc;

use libtest_mimic::Trial;

use crate::run::Run;

mod limits;
mod revoked;

/// The tests of this module.
pub fn trials(run: &Arc<Run>) -> Vec<Trial> {
    let lists = [limits::trials, revoked::trials];
    lists.iter().flat_map(|list| list(run)).collect()
}
