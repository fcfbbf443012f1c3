//! A worker as of the last look at it.

use std::sync::Arc;

use crate::admin::foulkon::{Fields, Foulkon, Provider, is_loaded};

/// A worker as of the last look at it.
#[derive(Clone)]
pub struct Worker {
    /// Its API.
    pub api: Foulkon,
    /// The providers whose tokens it accepts. None if it does not tell.
    pub loaded: Option<Arc<Vec<Provider>>>,
}

impl Worker {
    /// Whether it has loaded a provider. None if it does not tell.
    pub fn has_loaded(&self, provider: &Fields) -> Option<bool> {
        self.loaded.as_ref().map(|loaded| is_loaded(loaded, provider))
    }
}
