//! Names and paths of providers on a Foulkon.

use std::sync::Arc;

use kube::ResourceExt;

use crate::api::authorization_server::FoulkonServer;
use crate::api::{AuthorizationServer, OidcProvider};
use crate::controller::common::adoption::neighbours;
use crate::controller::common::claim::{Claiming, asked_first};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_held;
use crate::error::{Error, Result};

/// A path that no other provider has: it ends with the UID of the resource.
pub(crate) fn marked_path(provider: &OidcProvider, foulkon: &FoulkonServer) -> String {
    let namespace = provider.namespace().unwrap_or_default();
    format!(
        "{}{namespace}/{}/",
        foulkon.prefix(),
        provider.uid().unwrap_or_default()
    )
}

/// Type of the entry in messages.
pub(crate) const TYPE: &str = "provider";

/// Whether a provider may take or keep a name: no other resource has claimed it. If two have claimed it, the later one
/// withdraws.
///
/// # Errors
/// [`Error::NameClaimed`].
pub(crate) fn check_name(
    provider: &OidcProvider,
    ctx: &Context,
    server: &AuthorizationServer,
    name: &str,
) -> Result<()> {
    let ours = ctx.kinds.providers.newest(Arc::new(provider.clone()));
    let is_ours = has_on(&ours, server, name, ctx);
    check_others(&ours, ctx, server, name, is_ours)
}

/// Whether no other resource has claimed a name, not even a later one. Of two that claim it in the same moment, at
/// least one sees the other.
///
/// # Errors
/// [`Error::NameClaimed`].
pub(crate) fn check_alone(
    provider: &OidcProvider,
    ctx: &Context,
    server: &AuthorizationServer,
    name: &str,
) -> Result<()> {
    check_others(provider, ctx, server, name, false)
}

fn check_others(
    ours: &OidcProvider,
    ctx: &Context,
    server: &AuthorizationServer,
    name: &str,
    is_ours: bool,
) -> Result<()> {
    let kind = &ctx.kinds.providers;
    let comes_first = |other: &OidcProvider| !is_ours || asked_first(other, ours);
    let others = kind.on(&server.name_any()).into_iter();
    let mut others = others
        .filter(|other| other.uid() != ours.uid())
        .map(|other| kind.newest(other));
    // Through another AuthorizationServer of the same worker, a resource may have the entry as well.
    let has_beside = |neighbour: &AuthorizationServer| {
        let beside = kind.on(&neighbour.name_any()).into_iter();
        let mut beside = beside.map(|other| kind.newest(other));
        beside.any(|other| has_on(&other, neighbour, name, ctx) && comes_first(&other))
    };
    if neighbours(ctx, server).iter().any(|neighbour| has_beside(neighbour)) {
        return Err(claimed(name));
    }
    match others.any(|other| has_on(&other, server, name, ctx) && comes_first(&other)) {
        false => Ok(()),
        true => Err(claimed(name)),
    }
}

/// Whether a provider has claimed a name on a server.
fn has_on(provider: &OidcProvider, server: &AuthorizationServer, name: &str, ctx: &Context) -> bool {
    let mut status = provider.status.clone().unwrap_or_default();
    is_held(provider) && OidcProvider::claim(&mut status).is_for(name, server, &ctx.settings)
}

fn claimed(name: &str) -> Error {
    Error::NameClaimed {
        type_: TYPE,
        name: name.to_owned(),
    }
}
