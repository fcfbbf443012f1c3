//! The connection to the cluster of the caller's kubeconfig.

use std::ffi::OsStr;

use anyhow::{Context as _, Result};
use kube::Client;
use kube::config::Kubeconfig;

use crate::kubernetes;
use crate::plugin::arguments::Access;
use crate::proxies::Proxies;

/// The kubeconfig of the environment. Files that do not exist are skipped, as kubectl does.
fn read(variable: Option<&OsStr>) -> Result<Kubeconfig> {
    let none = "there is no usable kubeconfig; set KUBECONFIG or --kubeconfig";
    let Some(variable) = variable.filter(|variable| !variable.is_empty()) else {
        return Kubeconfig::read().context(none);
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in std::env::split_paths(variable).filter(|path| path.exists()) {
        let next = Kubeconfig::read_from(&path).with_context(|| format!("cannot read {}", path.display()))?;
        merged = Some(match merged {
            Some(merged) => merged.merge(next)?,
            None => next,
        });
    }
    merged.context(none)
}

/// A connection, and the namespace that is meant if none is named.
pub struct Session {
    /// The client of the Kubernetes API.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl Session {
    /// The connection that the arguments name.
    ///
    /// # Errors
    /// If there is no such kubeconfig or context, or it cannot be used.
    pub async fn of(access: &Access) -> Result<Self> {
        let mut kubeconfig = match &access.kubeconfig {
            Some(path) => Kubeconfig::read_from(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => read(std::env::var_os("KUBECONFIG").as_deref())?,
        };
        if let Some(context) = &access.context {
            kubeconfig.current_context = Some(context.clone());
        }
        let client = kubernetes::client_of(kubeconfig, &Proxies::of_process()).await?.build();
        let namespace = access.namespace.clone();
        Ok(Self {
            namespace: namespace.unwrap_or_else(|| client.default_namespace().to_owned()),
            client,
        })
    }
}
