//! Watches: they fill the caches and wake the resources that a change concerns.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use tokio_util::sync::CancellationToken;

use crate::api::WATCH_LABEL;
use crate::controller::common::referable::Referable;
use crate::controller::engine::cache::Writer;
use crate::controller::engine::context::Context;
use crate::controller::engine::kinds;
use crate::controller::engine::watched_secret::WatchedSecret;
use crate::controller::watch::feed::Watch;
use crate::controller::watch::seen::{Gate, Gates};
use crate::health::Health;

pub(crate) mod accepted;
pub(crate) mod feed;
pub(crate) mod seen;
pub(crate) mod standing;
pub(crate) mod wake;

/// Writers of all caches.
pub(crate) struct Writers {
    /// Writers for the operator's kinds.
    pub kinds: kinds::Writers,
    /// Writer for namespaces.
    pub namespaces: Writer<PartialObjectMeta<Namespace>>,
    /// Writers for Secrets with the watch label, one for each watch of them.
    pub secrets: Vec<Writer<WatchedSecret>>,
}

/// Starts all watches, which report their state to `health`.
pub(crate) fn start(ctx: &Arc<Context>, health: &Arc<Health>, writers: Writers, stop: &CancellationToken) {
    let watch = Watch {
        ctx: ctx.clone(),
        health: health.clone(),
        stop: stop.clone(),
    };
    let kinds = writers.kinds;
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(kinds.servers, itself, move |seen| wake::server(&c, &mut gates, seen));
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(kinds.clients, itself, move |seen| {
        let standing = standing::of_client;
        wake::resource(&c, &mut gates, seen, standing, wake::what_waits_for_client)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(kinds.scopes, itself, move |seen| {
        wake::resource(&c, &mut gates, seen, Referable::standing, wake::what_names_scope)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(kinds.assignments, itself, move |seen| {
        wake::resource(&c, &mut gates, seen, Referable::standing, wake::clients_that_name)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(kinds.key_sets, itself, move |seen| {
        wake::resource(&c, &mut gates, seen, Referable::standing, wake::clients_that_name)
    });
    let (c, mut gates) = (ctx.clone(), Gates::default());
    watch.all(kinds.providers, itself, move |seen| {
        let standing = standing::of_provider;
        wake::resource(&c, &mut gates, seen, standing, wake::what_waits_for_provider)
    });
    let (c, mut gate) = (ctx.clone(), Gate::default());
    watch.all(writers.namespaces, itself, move |seen| {
        wake::namespace(&c, &mut gate, seen)
    });
    let ours = watcher::Config::default().labels(&format!("{WATCH_LABEL}=true"));
    for writer in writers.secrets {
        let (c, part) = (ctx.clone(), writer.namespace().map(str::to_owned));
        let kept = |secret: PartialObjectMeta<Secret>| WatchedSecret::of(&secret);
        watch.within(ours.clone(), writer, kept, move |seen| {
            wake::secret(&c, part.as_deref(), seen)
        });
    }
}

/// Keeps an object as it is.
fn itself<K>(object: K) -> K {
    object
}
