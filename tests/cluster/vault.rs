//! Everything against a real OpenBao.

mod create;

use libtest_mimic::Trial;

use crate::run::Side;

/// The tests of all modules.
pub fn trials(side: &Side) -> Vec<Trial> {
    [create::trials].iter().flat_map(|list| list(side)).collect()
}
