//! Argo CD: health and actions of all kinds, run by the engine that Argo CD embeds.

use libtest_mimic::Trial;

/// The tests of this module.
pub fn trials() -> Vec<Trial> {
    Vec::new()
}
