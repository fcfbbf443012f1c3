//! The AuthorizationServer of a Foulkon: login, version, what the worker has loaded, and orphans.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::admin::foulkon::worker::Worker;
use crate::admin::foulkon::{About, Foulkon, Provider, is_loaded};
use crate::admin::http::Failure;
use crate::api::authorization_server::{AuthorizationServerStatus, FoulkonServer};
use crate::api::{AuthorizationServer, OidcProvider};
use crate::controller::common::claim::settled;
use crate::controller::common::rouse::rouse;
use crate::controller::engine::context::Context;
use crate::controller::engine::links::{Admin, Checked, Connection};
use crate::controller::engine::managed::Pass;
use crate::controller::foulkon::failure::failure;
use crate::controller::foulkon::provider::fields::fields;
use crate::error::Result;

/// Asks the worker about itself and lists the operator's providers. A server that answers well closes the circuit
/// breaker.
///
/// # Errors
/// Why the server cannot be used.
pub(crate) async fn check(
    server: &AuthorizationServer,
    spec: &FoulkonServer,
    ctx: &Context,
    connection: &Connection,
    pass: &mut Pass<AuthorizationServerStatus>,
) -> Result<Checked> {
    let breaker = connection.admin.breaker();
    let api = Foulkon::new(connection.admin.clone());
    pass.status.login = Some(login_name(spec).to_owned());
    let about = match api.about().await {
        // Only the admin gets an answer.
        Err(Failure::Denied | Failure::Refused(_)) if spec.auth.basic.is_none() => About::default(),
        about => about.map_err(|failed| failure("about", failed))?,
    };
    let before = known(server, ctx);
    let names = api.names(spec.prefix()).await;
    let names = names.map_err(|failed| failure("list_oidc_providers", failed))?;
    let after = known(server, ctx);
    let orphans = names
        .iter()
        .filter(|name| !before.contains(*name) && !after.contains(*name));
    pass.status.orphans = Some(i64::try_from(orphans.count()).unwrap_or(i64::MAX));
    pass.status.version = Some(String::from(about.version)).filter(|version| !version.is_empty());
    let worker = Worker {
        api,
        loaded: about.loaded.map(Arc::new),
    };
    pass.status.loaded = is_current(server, spec, ctx, &worker, &names);
    // A provider whose name is not listed was deleted or renamed.
    for provider in settled(&ctx.kinds.providers, &server.name_any()) {
        let name = provider.status.as_ref().and_then(|status| status.name.as_ref());
        if name.is_some_and(|name| !names.contains(name)) {
            rouse(&ctx.kinds.providers, &*provider);
        }
    }
    let was_open = breaker.is_open();
    if was_open {
        breaker.close();
    }
    Ok(Checked {
        admin: Admin::Foulkon(worker),
        closed: was_open,
        remarks: Vec::new(),
        undiscovered: None,
    })
}

pub(crate) fn login_name(spec: &FoulkonServer) -> &'static str {
    match &spec.auth.basic {
        Some(_) => "Basic",
        None => "Bearer",
    }
}

/// Names that resources have claimed.
fn known(server: &AuthorizationServer, ctx: &Context) -> BTreeSet<String> {
    let providers = ctx.kinds.providers.on(&server.name_any()).into_iter();
    let claimed = providers.filter_map(|provider| ctx.kinds.providers.newest(provider).status.as_ref()?.name.clone());
    claimed.collect()
}

/// Whether the worker has loaded all our current providers, and none that was deleted. None: the worker does not report
/// it.
fn is_current(
    server: &AuthorizationServer,
    spec: &FoulkonServer,
    ctx: &Context,
    worker: &Worker,
    names: &BTreeSet<String>,
) -> Option<bool> {
    let loaded = worker.loaded.as_ref()?;
    let providers = ctx.kinds.providers.on(&server.name_any()).into_iter();
    let ours = providers.filter_map(|provider| fields(&ctx.kinds.providers.newest(provider)));
    let is_gone = |provider: &Provider| provider.path.starts_with(spec.prefix()) && !names.contains(&*provider.name);
    Some(ours.into_iter().all(|provider| is_loaded(loaded, &provider)) && !loaded.iter().any(is_gone))
}

/// Wakes the providers that the worker has loaded or dropped since their last pass.
pub(crate) fn wake_reloaded(server: &AuthorizationServer, ctx: &Context, worker: &Worker) {
    let is_other = |provider: &OidcProvider| {
        let said = provider.status.as_ref().and_then(|status| status.loaded);
        fields(provider).is_some_and(|fields| worker.has_loaded(&fields) != said)
    };
    for provider in ctx.kinds.providers.on(&server.name_any()) {
        let provider = ctx.kinds.providers.newest(provider);
        if is_other(&provider) {
            ctx.kinds.providers.wake(ObjectRef::from_obj(&*provider));
        }
    }
}
