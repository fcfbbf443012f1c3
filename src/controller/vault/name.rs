//! Names of objects, and which resource has them.

use kube::ResourceExt;

use crate::access::{self, Candidates, NameRequest};
use crate::admin::vault::Object;
use crate::api::AuthorizationServer;
use crate::api::refs::DeletionPolicy;
use crate::controller::common::admission::{Allowing, admitted};
use crate::controller::common::adoption::{Consent, neighbours};
use crate::controller::common::claim::{Claiming, asked_first, unchanged};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_held;
use crate::controller::engine::managed::OnServer;
use crate::error::{Error, Result, VaultFault};

/// A kind whose resources are objects on a Vault.
pub(crate) trait Named: OnServer + Claiming {
    /// Type of the object.
    type Object: Object;
    /// Field of the spec that asks for a name.
    const NAME_FIELD: &'static str;

    /// The name that the spec asks for, if any.
    fn asked_name(&self) -> Option<&str>;

    /// Name of the object: the requested one, or namespace, dot, name. The name of a namespace has no dot, so two
    /// resources never get the same name.
    fn object_name(&self) -> String {
        let generated = || format!("{}.{}", self.namespace().unwrap_or_default(), self.name_any());
        self.asked_name().map_or_else(generated, str::to_owned)
    }

    /// Whether this resource has claimed the name on this very server.
    fn has_claim(&self, server: &AuthorizationServer, ctx: &Context) -> bool {
        let mut status = self.status().cloned().unwrap_or_default();
        Self::claim(&mut status).is_for(&self.object_name(), server, &ctx.settings)
    }
}

/// The name that a resource may give its object, and the access rules that allow it.
///
/// # Errors
/// [`Error::NotAllowed`]; [`VaultFault::Reserved`], [`Error::NameClaimed`].
pub(crate) fn allowed<K: Named>(
    resource: &K,
    ctx: &Context,
    server: &AuthorizationServer,
) -> Result<(String, Candidates)> {
    let name = resource.object_name();
    let consent = resource.consent();
    if K::Object::is_reserved(&name) {
        check_reserved::<K>(&name, consent)?;
    }
    let allowing = may_have(resource, ctx, server, &name)?;
    if !is_addressable(&name) {
        return Err(Error::InvalidField {
            field: K::NAME_FIELD,
            problem: "on this server a name consists of letters, digits and underscores, with dashes and dots only inside; create a new resource with another name"
                .to_owned(),
        });
    }
    let mut status = resource.status().cloned().unwrap_or_default();
    let claim = K::claim(&mut status);
    let claimed = claim.name.as_deref().filter(|_| claim.is_on(server, &ctx.settings));
    unchanged(K::NAME_FIELD, claimed, &name)?;
    match resource.has_claim(server, ctx) || !is_claimed(resource, ctx, server, &name) {
        true => Ok((name, allowing.candidates())),
        false => Err(Error::NameClaimed {
            type_: K::Object::TYPE,
            name,
        }),
    }
}

/// An object of the server itself can be adopted, if it can be changed at all.
fn check_reserved<K: Named>(name: &str, consent: Consent) -> Result<()> {
    let (field, type_, name) = (K::NAME_FIELD, K::Object::TYPE, name.to_owned());
    Err(match (K::Object::HAS_OWN, consent.adopts()) {
        (true, true) if consent.deletion_policy == Some(DeletionPolicy::Delete) => VaultFault::NotDeletable(type_),
        (true, true) => return Ok(()),
        (true, false) => VaultFault::Own { field, type_, name },
        (false, _) => VaultFault::Reserved { field, name },
    }
    .into())
}

/// Whether the server accepts a name. It answers any other name as if the API did not exist.
fn is_addressable(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(|c| is_word(c) || matches!(c, '-' | '.')) && name.starts_with(is_word) && name.ends_with(is_word)
}

/// Whether another resource has the name, or may have it and asked for it first. If two resources have it, the later
/// one withdraws. A resource on another AuthorizationServer counts too if it has the object of this name in the same
/// place.
pub(crate) fn is_claimed<K: Named>(resource: &K, ctx: &Context, server: &AuthorizationServer, name: &str) -> bool {
    let kind = K::kind_of(ctx);
    let neighbours = neighbours(ctx, server);
    let same_name = |other: &K| other.uid() != resource.uid() && other.object_name() == name;
    let is_ours = resource.has_claim(server, ctx);
    kind.store.state_filter(same_name).into_iter().any(|other| {
        let other = kind.newest(other);
        let is_beside = other.server_name() == resource.server_name();
        let has_it = |server: &AuthorizationServer| {
            other.server_name() == server.name_any() && other.has_claim(server, ctx) && is_held(&*other)
        };
        let is_theirs = has_it(server) || neighbours.iter().any(|neighbour| has_it(neighbour));
        let is_first = asked_first(&*other, resource);
        match is_ours {
            true => is_theirs && is_first,
            false => is_theirs || is_beside && is_first && is_allowed(&*other, ctx),
        }
    })
}

/// Whether the access rules allow a resource the name that it asks for. Otherwise it must not block other resources.
fn is_allowed<K: Named>(resource: &K, ctx: &Context) -> bool {
    let namespace = resource.namespace().unwrap_or_default();
    if !ctx.settings.reach.has_namespace(&namespace) {
        return false; // nobody works on it
    }
    let Ok(server) = admitted(resource, ctx) else {
        return false;
    };
    may_have(resource, ctx, &server, &resource.object_name()).is_ok()
}

/// The access rules that allow a resource its name and its deletion policy.
fn may_have<'a, K: Named>(
    resource: &K,
    ctx: &Context,
    server: &'a AuthorizationServer,
    name: &str,
) -> Result<Allowing<'a>> {
    let consent = resource.consent();
    let mut allowing = Allowing::of(resource, ctx, server)?;
    if resource.asked_name().is_some() || consent.adopts() {
        allowing.name(NameRequest {
            field: K::NAME_FIELD,
            name,
            is_own: access::is_prefixed(&resource.namespace().unwrap_or_default(), name),
            adopts: consent.adopts(),
        })?;
    }
    allowing.policy(consent)?;
    Ok(allowing)
}
