//! Names of objects, and who has them.

use kube::ResourceExt;

use crate::access;
use crate::admin::vault::Object;
use crate::api::AuthorizationServer;
use crate::controller::common::admission::{admitted, may_name};
use crate::controller::common::claim::{Claiming, asked_first};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_held;
use crate::controller::engine::managed::OnServer;
use crate::error::{Error, Result, VaultFault};

/// A kind whose resources are objects on a Vault.
pub(crate) trait Named: OnServer + Claiming {
    /// The object.
    type Object: Object;
    /// The field that asks for a name.
    const NAME_FIELD: &'static str;

    /// The name that the spec asks for, if it does.
    fn asked_name(&self) -> Option<&str>;

    /// Name of the object: asked for, or namespace, dot, name. A namespace has no dot in its name, so that two resources never come to the same name.
    fn object_name(&self) -> String {
        let generated = || format!("{}.{}", self.namespace().unwrap_or_default(), self.name_any());
        self.asked_name().map_or_else(generated, str::to_owned)
    }

    /// Whether the name has been claimed for this resource on this very server.
    fn has_claim(&self, server: &AuthorizationServer, ctx: &Context) -> bool {
        let mut status = self.status().cloned().unwrap_or_default();
        Self::claim(&mut status).is_for(&self.object_name(), server, &ctx.settings)
    }
}

/// The name that a resource may have its object under.
///
/// # Errors
/// [`Error::NotAllowed`]; [`VaultFault::Reserved`], [`Error::NameClaimed`].
pub(crate) fn allowed<K: Named>(resource: &K, ctx: &Context, server: &AuthorizationServer) -> Result<String> {
    let name = resource.object_name();
    if resource.asked_name().is_some() {
        may_have_name(resource, ctx, server, &name)?;
    }
    if !is_addressable(&name) {
        return Err(Error::InvalidField {
            field: K::NAME_FIELD,
            problem: "on this server names consist of letters, digits, underscore, and within them dash and dot; choose such a one"
                .to_owned(),
        });
    }
    if K::Object::is_reserved(&name) {
        let field = K::NAME_FIELD;
        return Err(VaultFault::Reserved { field, name }.into());
    }
    match resource.has_claim(server, ctx) || !is_claimed(resource, ctx, server, &name) {
        true => Ok(name),
        false => Err(Error::NameClaimed {
            type_: K::Object::TYPE,
            name,
        }),
    }
}

/// Whether the server takes a name: any other is answered as if there were no such API.
fn is_addressable(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(|c| is_word(c) || matches!(c, '-' | '.')) && name.starts_with(is_word) && name.ends_with(is_word)
}

/// Whether another resource has the name, or may have it and asked for it first. Of two that have it, the later one withdraws.
pub(crate) fn is_claimed<K: Named>(resource: &K, ctx: &Context, server: &AuthorizationServer, name: &str) -> bool {
    let kind = K::kind_of(ctx);
    let same_name = |other: &K| {
        other.uid() != resource.uid() && other.server_name() == resource.server_name() && other.object_name() == name
    };
    let is_ours = resource.has_claim(server, ctx);
    kind.store.state_filter(same_name).into_iter().any(|other| {
        let other = kind.newest(other);
        let is_theirs = other.has_claim(server, ctx) && is_held(&*other);
        let is_first = asked_first(&*other, resource);
        match is_ours {
            true => is_theirs && is_first,
            false => is_theirs || is_first && may_have(&*other, ctx),
        }
    })
}

/// Whether the access rules let a resource have the name that it asks for: one that may not does not stand in anybody's way.
fn may_have<K: Named>(resource: &K, ctx: &Context) -> bool {
    let Ok(server) = admitted(resource, ctx) else {
        return false;
    };
    let Some(name) = resource.asked_name() else {
        return true;
    };
    may_have_name(resource, ctx, &server, name).is_ok()
}

fn may_have_name<K: Named>(resource: &K, ctx: &Context, server: &AuthorizationServer, name: &str) -> Result<()> {
    let is_own = access::is_prefixed(&resource.namespace().unwrap_or_default(), name);
    may_name(resource, ctx, server, K::NAME_FIELD, name, is_own)
}
