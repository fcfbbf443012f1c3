//! Applications that are configured from the operator's Secrets and ConfigMaps alone.

use libtest_mimic::Trial;

/// The tests of this module.
pub fn trials() -> Vec<Trial> {
    Vec::new()
}
