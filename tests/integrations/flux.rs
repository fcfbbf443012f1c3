//! Flux: its own controllers apply a repository with all kinds.

use libtest_mimic::Trial;

/// The tests of this module.
pub fn trials() -> Vec<Trial> {
    Vec::new()
}
