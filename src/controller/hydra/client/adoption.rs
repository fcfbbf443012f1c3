//! Adoption: a client that existed on the server before its resource is taken over if the access rules allow it. Its
//! secret belongs to other owners, so the operator does not reset it.
//!
//! The marker on the server shows whose the secret is: an adopted client without a revision never got a secret from the
//! operator.

use kube::ResourceExt;

use crate::access;
use crate::admin::hydra::client::{Client, Marker};
use crate::admin::hydra::sync::{Ownership, ownership};
use crate::api::OAuth2Client;
use crate::api::oauth2_client::{Effective, GrantType, OAuth2ClientStatus};
use crate::api::refs::Adoption;
use crate::controller::common::claim::asked_first;
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_held;
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::OnServer;
use crate::controller::hydra::client::plan::{client_id, marker};
use crate::controller::hydra::client::steps::Source;
use crate::controller::hydra::client::work::{Secrecy, Work};
use crate::controller::hydra::failure::failure;
use crate::error::{Error, Result};
use crate::origin::Origin;

/// Whether the resource may take over a client that is not ours: the spec asks for it, the client has no marker of an
/// existing resource, and no other resource claims it. A resource that had its own client under this id does not take
/// over another one.
pub(crate) fn may_take_over(client: &OAuth2Client, ctx: &Context, status: &OAuth2ClientStatus, found: &Client) -> bool {
    let is_there = |uid: &String| {
        ctx.kinds
            .clients
            .store
            .find(|other| other.uid().as_ref() == Some(uid))
            .is_some()
    };
    let is_of_another = |cluster: &str| ctx.settings.origin(cluster) == Origin::Other;
    let is_free = match found.marker() {
        Some(marker) => !is_of_another(&marker.cluster) && !is_there(&marker.uid),
        None => found.is_unmarked() && !found.owning_cluster().is_some_and(is_of_another),
    };
    client.spec.adoption == Some(Adoption::Allow)
        && (status.updated_at.is_none() || status.adopted == Some(true))
        && !status.cluster_id.as_deref().is_some_and(is_of_another)
        && is_free
        && !is_claimed(client, ctx)
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
    let effective = Effective::of(&client.spec, &[], &[]);
    ctx.with_namespace(&client.namespace().unwrap_or_default(), |namespace| {
        access::check(&server.spec.access, namespace, &client.spec, &effective).is_ok()
    })
}

/// Maximum number of kept grant types in the status.
const KEPT: usize = 16;

/// Grant types of an adopted client that stay although the spec does not list them: those that it cannot list, all of
/// them if it lists none, and those that were kept before. `asked`: those of the spec.
pub(crate) fn kept_grant_types(
    asked: Option<&[GrantType]>,
    effective: &[GrantType],
    kept: &[String],
    found: &[String],
) -> Vec<String> {
    let is_kept = |name: &&String| match grant_type(name) {
        None => true,
        Some(known) => !effective.contains(&known) && (asked.is_none() || kept.contains(name)),
    };
    found.iter().filter(is_kept).cloned().collect()
}

fn grant_type(name: &str) -> Option<GrantType> {
    serde_json::from_value(name.into()).ok()
}

/// The part of the kept grant types that the status names.
pub(crate) fn in_status(kept: &[String]) -> Vec<String> {
    let short = kept.iter().filter(|name| name.len() <= 256);
    short.take(KEPT).cloned().collect()
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
        let mut is_marked = true;
        let is_of_others = match link {
            None => !self.had_ledger(), // as at the last success
            Some(link) => {
                let found = link.hydra()?.get_client(&self.plan.client_id).await;
                let found = found.map_err(|failed| failure("get_o_auth2_client", failed))?;
                let Some(found) = found else { return Ok(Secrecy::Ours) };
                let mark = own_mark(self.client, self.ctx, &found);
                if mark.is_none() && !may_take_over(self.client, self.ctx, status, &found) {
                    return Err(not_owned(self.client, self.ctx, status, &found));
                }
                is_marked = mark.is_some();
                is_secret_of_others(mark.as_ref(), status, self.had_ledger())
            }
        };
        // A rotation that was requested before the adoption does not count.
        let is_due = self.is_due && is_marked && status.rotated_at.is_some();
        Ok(match (is_of_others, is_due) {
            (false, _) => Secrecy::Ours,
            (true, true) => Secrecy::Replaced,
            (true, false) => Secrecy::Others,
        })
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

    pub(crate) fn had_ledger(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.had_ledger())
    }
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
        let table: [(Option<&[GrantType]>, &[&str], &[&str], &[&str]); 6] = [
            (listed, &[], &["authorization_code", "refresh_token"], &[]),
            (listed, &[], &["authorization_code", EXCHANGE, "x"], &[EXCHANGE, "x"]),
            // The spec lists its grant types, so it decides on those that it can list …
            (listed, &[], &["implicit", DEVICE, EXCHANGE], &[EXCHANGE]),
            // … except those that it could not list when the client was adopted.
            (listed, &[DEVICE], &["implicit", DEVICE], &[DEVICE]),
            (
                None,
                &[],
                &["implicit", "refresh_token", EXCHANGE],
                &["implicit", EXCHANGE],
            ),
            (None, &["implicit"], &[], &[]),
        ];
        for (asked, kept, found, expected) in table {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let result = kept_grant_types(asked, &default, &owned(kept), &owned(found));
            assert_eq!(result, expected, "{asked:?} {kept:?} {found:?}");
        }
    }
}
