//! Adoption: a client that existed on the server before its resource is taken over if the access rules allow it. Its
//! secret belongs to other owners, so the operator does not reset it.
//!
//! The marker on the server shows whose the secret is: an adopted client without a revision never got a secret from the
//! operator.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::access;
use crate::admin::http::Failure;
use crate::admin::hydra::client::{Client, Marker};
use crate::admin::hydra::revocation::{SentIn, is_secret_of};
use crate::admin::hydra::sync::{Ownership, ownership};
use crate::api::oauth2_client::{Effective, GrantType, OAuth2ClientStatus, OnSecretMismatch};
use crate::api::refs::Adoption;
use crate::api::{GROUP, OAuth2Client};
use crate::controller::common::claim::asked_first;
use crate::controller::common::client::plan::{ClientPlan, grant_type};
use crate::controller::common::provider;
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_held;
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::OnServer;
use crate::controller::hydra::client::plan::{client_id, marker, named};
use crate::controller::hydra::client::reference;
use crate::controller::hydra::client::steps::Source;
use crate::controller::hydra::client::work::{Secrecy, Work};
use crate::controller::hydra::failure::failure;
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::secret::Secret;

/// Whether the resource may take over a client that is not ours: the spec asks for it, the client has no marker of an
/// existing resource, and no other resource claims it. A resource that had its own client under this id does not take
/// over another one.
pub(crate) fn may_take_over(client: &OAuth2Client, ctx: &Context, status: &OAuth2ClientStatus, found: &Client) -> bool {
    let is_of_another = |cluster: &str| ctx.settings.origin(cluster) == Origin::Other;
    let is_free = match found.marker() {
        Some(marker) => !is_of_another(&marker.cluster) && !lives(ctx, &marker.uid),
        None => {
            let is_foreign =
                found.owning_cluster().is_some_and(is_of_another) || is_of_other_namespace(client, ctx, found);
            found.is_unmarked() && !is_foreign
        }
    };
    client.spec.adoption == Some(Adoption::Allow)
        && (status.updated_at.is_none() || status.adopted == Some(true))
        && !status.cluster_id.as_deref().is_some_and(is_of_another)
        && is_free
        && !is_claimed(client, ctx)
}

/// Whether hydra-maester made the client for another namespace: it writes resource and namespace into the owner.
fn is_of_other_namespace(client: &OAuth2Client, ctx: &Context, found: &Client) -> bool {
    let of = found.owner.as_deref().and_then(|owner| owner.split_once('/'));
    of.is_some_and(|(_, namespace)| {
        client.namespace().as_deref() != Some(namespace)
            && ctx.stores.namespaces.get(&ObjectRef::new(namespace)).is_some()
    })
}

/// Whether a resource has this UID.
pub(crate) fn lives(ctx: &Context, uid: &str) -> bool {
    let has_it = |other: &OAuth2Client| other.metadata.uid.as_deref() == Some(uid);
    ctx.kinds.clients.store.find(has_it).is_some()
}

/// Whether another resource has the client of this id, or may have it and asked for it first.
fn is_claimed(client: &OAuth2Client, ctx: &Context) -> bool {
    let id = client_id(client);
    let claims = |other: &OAuth2Client| {
        let has_it = other.status.as_ref().is_some_and(|status| status.updated_at.is_some());
        let is_first =
            || other.spec.adoption == Some(Adoption::Allow) && asked_first(other, client) && is_admitted(other, ctx);
        other.uid() != client.uid()
            && client_id(other) == id
            && other.server_name() == client.server_name()
            && is_held(other)
            && (has_it || is_first())
    };
    ctx.kinds.clients.store.find(claims).is_some()
}

fn is_admitted(client: &OAuth2Client, ctx: &Context) -> bool {
    let Some(server) = ctx.server(client.server_name()) else {
        return false;
    };
    let client = named(client);
    let effective = Effective::of(&client.spec, &[], &[]);
    ctx.with_namespace(&client.namespace().unwrap_or_default(), |namespace| {
        access::check(&server.spec.access, namespace, &client.spec, &effective).is_ok()
    })
}

/// Maximum number of kept grant types in the status.
const KEPT: usize = 16;

/// Grant types of an adopted client that stay although the spec does not list them: at the adoption those that it cannot
/// list, and all of them if it lists none; later those of them that were kept then. `asked`: those of the spec; `kept`: those of
/// the status, None before the adoption.
pub(crate) fn kept_grant_types(
    asked: Option<&[GrantType]>,
    effective: &[GrantType],
    kept: Option<&[String]>,
    found: &[String],
) -> Vec<String> {
    // The status has no room for more, so nothing shows which of them were there first.
    let before = kept.filter(|kept| kept.len() < KEPT);
    let is_kept = |name: &&String| match grant_type(name) {
        Some(known) if asked.is_some() || effective.contains(&known) => false,
        _ => before.is_none_or(|kept| kept.contains(name)),
    };
    found.iter().filter(is_kept).cloned().collect()
}

/// The part of the kept grant types that the status names.
pub(crate) fn in_status(kept: &[String]) -> Vec<String> {
    let short = kept.iter().filter(|name| name.len() <= 256);
    short.take(KEPT).cloned().collect()
}

/// What an adoption changes, for an event.
pub(crate) fn adoption_in_words(wanted: &Client, found: &Client) -> String {
    const ADOPTED: &str = "The client existed on the server before and now belongs to this resource.";
    match changes(wanted, found).as_str() {
        "" => format!("{ADOPTED} Nothing else was changed."),
        fields => format!("{ADOPTED} Changed: {fields}."),
    }
}

/// Names of the members that differ, apart from the marker, in words.
fn changes(wanted: &Client, found: &Client) -> String {
    differences(wanted, found).join(", ")
}

/// Names of the members that differ, apart from the marker.
pub(crate) fn differences(wanted: &Client, found: &Client) -> Vec<String> {
    let bare = |client: &Client| {
        let mut client = client.clone();
        client.metadata.remove(GROUP);
        client
    };
    bare(wanted).differences(&bare(found))
}

/// What [`preview`] says, which the plugin recognizes. The last one is followed by the names of the members.
pub(crate) const WOULD_CREATE: &str = "The client does not exist on the server, so it would be created.";
pub(crate) const NOT_ADOPTABLE: &str = "The client on the server cannot be adopted.";
pub(crate) const CHANGES_NOTHING: &str = "An adoption would change nothing on the server except the mark.";
pub(crate) const WOULD_CHANGE: &str = "An adoption would change these members of the client: ";

/// What an adoption would change, for the message of a suspended resource. None: the resource has its client already,
/// asks for no adoption, or the server cannot be asked.
pub(crate) async fn preview(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    wanted: &Client,
    status: &OAuth2ClientStatus,
) -> Option<String> {
    let is_known = !plan.client_id.is_empty();
    if client.spec.adoption != Some(Adoption::Allow) || status.updated_at.is_some() || !is_known {
        return None;
    }
    let link = ctx.links.usable(&plan.server).ok()?;
    let Some(found) = link.hydra().ok()?.get_client(&plan.client_id).await.ok()? else {
        return Some(WOULD_CREATE.to_owned());
    };
    if !may_take_over(client, ctx, status, &found) {
        return Some(NOT_ADOPTABLE.to_owned());
    }
    let effective = &plan.effective.grant_types;
    let asked = client.spec.grant_types.as_deref();
    let mut adopted = wanted.clone();
    adopted
        .grant_types
        .extend(kept_grant_types(asked, effective, None, &found.grant_types));
    Some(match changes(&adopted, &found).as_str() {
        "" => CHANGES_NOTHING.to_owned(),
        fields => format!("{WOULD_CHANGE}{fields}."),
    })
}

/// Owner of a client on the server.
pub(crate) fn owner_of(client: &OAuth2Client, ctx: &Context, status: &OAuth2ClientStatus, found: &Client) -> Ownership {
    let former = &ctx.settings.former_clusters;
    ownership(&marker(client, ctx), former, status.cluster_id.as_deref(), found)
}

/// The marker of this resource on a client, also if a former cluster set it.
pub(crate) fn own_mark(client: &OAuth2Client, ctx: &Context, found: &Client) -> Option<Marker> {
    found.marker().filter(|marker| {
        Some(&marker.uid) == client.uid().as_ref() && ctx.settings.origin(&marker.cluster) != Origin::Other
    })
}

/// Whether other owners gave the client its secret. Other tools drop markers: without a marker, a client that had a
/// secret of ours still has it.
pub(crate) fn is_secret_of_others(mark: Option<&Marker>, status: &OAuth2ClientStatus, had_ledger: bool) -> bool {
    match mark {
        Some(mark) => mark.adopted && mark.revision.is_empty(),
        None => !(status.adopted == Some(true) && status.updated_at.is_some() && had_ledger),
    }
}

/// Why a client that is not ours stays unchanged.
pub(crate) fn not_owned(client: &OAuth2Client, ctx: &Context, status: &OAuth2ClientStatus, found: &Client) -> Error {
    let id = found.client_id.clone();
    let kept_by = status.cluster_id.as_ref().filter(|_| found.is_unmarked());
    match (owner_of(client, ctx, status, found), kept_by) {
        (Ownership::OtherCluster(cluster), _) => of_another_cluster(id, cluster),
        (_, Some(cluster)) if ctx.settings.origin(cluster) == Origin::Other => of_another_cluster(id, cluster.clone()),
        _ if found.is_unmarked() && client.spec.adoption != Some(Adoption::Allow) => Error::NotAdopted(id),
        _ => Error::NotOwned(id),
    }
}

pub(crate) fn of_another_cluster(id: String, cluster: String) -> Error {
    Error::OtherCluster {
        type_: "client",
        name: id,
        cluster,
    }
}

impl Work<'_> {
    /// Makes sure that a client that was in sync before does not belong to another cluster now. This runs before the
    /// pass may replace the secret. If it fails, the Secrets that a restore brought back stay unchanged.
    ///
    /// # Errors
    /// [`Error::OtherCluster`], and why the server cannot be asked.
    pub(crate) async fn check_cluster(&self, status: &OAuth2ClientStatus, link: &Link) -> Result<()> {
        let found = link.hydra()?.get_client(&self.plan.client_id).await;
        let found = found.map_err(|failed| failure("get_o_auth2_client", failed))?;
        match found.map(|found| owner_of(self.client, self.ctx, status, &found)) {
            Some(Ownership::OtherCluster(cluster)) => Err(of_another_cluster(self.plan.client_id.clone(), cluster)),
            _ => Ok(()),
        }
    }

    /// Finds out whose the client's secret is. Nothing is stored before that is known.
    ///
    /// # Errors
    /// [`Error::NotOwned`], and why the server cannot be asked.
    pub(crate) async fn secrecy(&self, status: &OAuth2ClientStatus, link: Option<&Link>) -> Result<Secrecy> {
        // A rotation that was requested before the adoption does not count.
        let may_replace = self.is_due && status.rotated_at.is_some();
        let Some(link) = link else {
            return Ok(match (self.had_ledger(), may_replace) {
                (true, _) => Secrecy::Ours, // as at the last success
                (false, true) => Secrecy::Replaced,
                (false, false) => Secrecy::Others,
            });
        };
        let found = link.hydra()?.get_client(&self.plan.client_id).await;
        let found = found.map_err(|failed| failure("get_o_auth2_client", failed))?;
        let Some(found) = found else {
            return match self.had_ledger() {
                true => Ok(Secrecy::Ours),
                // The server lost the client, not its secret.
                false => Ok(self.published(None, link).await?.unwrap_or(Secrecy::Ours)),
            };
        };
        let mark = own_mark(self.client, self.ctx, &found);
        if mark.is_none() && !may_take_over(self.client, self.ctx, status, &found) {
            return Err(not_owned(self.client, self.ctx, status, &found));
        }
        match is_secret_of_others(mark.as_ref(), status, self.had_ledger()) {
            false => Ok(Secrecy::Ours),
            true if may_replace && mark.is_some() => Ok(Secrecy::Replaced),
            true => Ok(self.published(Some(&found), link).await?.unwrap_or(Secrecy::Others)),
        }
    }

    /// Makes sure that an adoption does not replace the secret of a client that works, unless the spec consents. Nothing is
    /// stored before.
    ///
    /// # Errors
    /// [`Error::SecretMismatch`], [`Error::InvalidField`], and why the server cannot be asked.
    pub(crate) async fn try_secret(&self, status: &OAuth2ClientStatus, link: &Link) -> Result<()> {
        let Some(reference) = self.reference else { return Ok(()) };
        let found = link.hydra()?.get_client(&self.plan.client_id).await;
        let found = found.map_err(|failed| failure("get_o_auth2_client", failed))?;
        let is_theirs = |found: &Client| match own_mark(self.client, self.ctx, found) {
            None => may_take_over(self.client, self.ctx, status, found),
            mark => is_secret_of_others(mark.as_ref(), status, self.had_ledger()),
        };
        let Some(found) = found.filter(is_theirs) else {
            return Ok(());
        };
        let secret = reference::value(self.client, self.ctx, self.plan, reference).await?;
        self.compare_secret(&found, &secret, link).await
    }

    /// Makes sure that a client on the server has this secret.
    ///
    /// # Errors
    /// As [`Self::try_secret`].
    pub(crate) async fn compare_secret(&self, found: &Client, secret: &Secret, link: &Link) -> Result<()> {
        let Some(sent_in) = SentIn::of(&found.token_endpoint_auth_method) else {
            return Ok(()); // it has no secret that could be replaced
        };
        let Some((public, _)) = &link.connection.public else {
            return Err(Error::InvalidField {
                field: "onSecretMismatch",
                problem: format!(
                    "the operator cannot find out whether the client on the server has the secret that this resource reads, because AuthorizationServer `{}` has no hydra.publicUrl; set it there, or set Replace here",
                    self.plan.server.name_any()
                ),
            });
        };
        let tried = is_secret_of(public, &self.plan.client_id, secret, sent_in).await;
        match tried.map_err(untried)? {
            true => Ok(()),
            false => Err(Error::SecretMismatch),
        }
    }

    /// Where the secret comes from.
    pub(crate) fn source(&self, status: &OAuth2ClientStatus) -> Source {
        let may_be_adopted = self.client.spec.adoption == Some(Adoption::Allow) || status.adopted == Some(true);
        if !self.plan.effective.has_secret() {
            Source::Nowhere
        } else if self.reference.is_some() {
            Source::Reference
        } else if may_be_adopted {
            Source::LedgerOrOthers
        } else {
            Source::Ledger
        }
    }

    /// Whether the client may be one of other owners, to which the pass would give the user's own secret.
    pub(crate) fn adopts_secret(&self, status: &OAuth2ClientStatus) -> bool {
        let spec = &self.client.spec;
        (spec.adoption == Some(Adoption::Allow) || status.adopted == Some(true))
            && self.source(status) == Source::Reference
            && !self.had_ledger()
            && spec.on_secret_mismatch != Some(OnSecretMismatch::Replace)
    }

    pub(crate) fn had_ledger(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.had_ledger())
    }
}

/// Why a secret could not be tried.
pub(crate) fn untried(failed: Failure) -> Error {
    provider::failure(
        "The revocation endpoint",
        "hydra.publicUrl",
        Error::PublicUnavailable,
        failed,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adopted_client_keeps_grant_types_that_the_spec_cannot_list() {
        use GrantType::{AuthorizationCode, RefreshToken};
        const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
        const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
        let default = [AuthorizationCode, RefreshToken];
        let listed = Some(&default[..]);
        let many: Vec<String> = (0..KEPT).map(|number| format!("x{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        type Names<'a> = &'a [&'a str];
        type Row<'a> = (Option<&'a [GrantType]>, Option<Names<'a>>, Names<'a>, Names<'a>);
        let table: [Row<'_>; 8] = [
            (listed, None, &["authorization_code", "refresh_token"], &[]),
            (listed, None, &["authorization_code", EXCHANGE, "x"], &[EXCHANGE, "x"]),
            // The spec lists its grant types, so it decides on those that it can list …
            (listed, None, &["implicit", DEVICE, EXCHANGE], &[EXCHANGE]),
            // … also later.
            (listed, Some(&[DEVICE, EXCHANGE]), &[DEVICE, EXCHANGE], &[EXCHANGE]),
            (
                None,
                None,
                &["implicit", "refresh_token", EXCHANGE],
                &["implicit", EXCHANGE],
            ),
            (None, Some(&["implicit"]), &[], &[]),
            // What another writer adds later does not stay.
            (None, Some(&[EXCHANGE]), &["implicit", EXCHANGE, "x"], &[EXCHANGE]),
            (listed, Some(&many), &["implicit", EXCHANGE], &[EXCHANGE]),
        ];
        for (asked, kept, found, expected) in table {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let kept = kept.map(owned);
            let result = kept_grant_types(asked, &default, kept.as_deref(), &owned(found));
            assert_eq!(result, expected, "{asked:?} {kept:?} {found:?}");
        }
    }
}
