//! A worker as of its last check.

use std::sync::Arc;

use crate::admin::foulkon::{Fields, Foulkon, Provider, is_loaded};

/// A worker as of its last check.
#[derive(Clone)]
pub struct Worker {
    /// Its API.
    pub api: Foulkon,
    /// The providers whose tokens it accepts. None if it does not report them.
    pub loaded: Option<Arc<Vec<Provider>>>,
}

impl Worker {
    /// Whether it has loaded a provider. None if it does not report its providers.
    pub fn has_loaded(&self, provider: &Fields) -> Option<bool> {
        self.loaded.as_ref().map(|loaded| is_loaded(loaded, provider))
    }
}
