//! A Secret that existed before its client's resource, and becomes its credentials Secret with the adoption: the way of
//! applications that mount it already.
//!
//! The Secret must name the resource. Without that, whoever may create an OAuth2Client could take any Secret of the
//! namespace.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;

use crate::api::oauth2_client::OPAQUE;
use crate::api::refs::Adoption;
use crate::api::{ADOPTABLE_BY_ANNOTATION, OAuth2Client};
use crate::controller::common::client::layout::Layout;
use crate::controller::common::client::plan::ClientPlan;
use crate::controller::common::own_secret::{conflict, is_namesakes, text};
use crate::error::wording::shown;
use crate::error::{ClusterFault, EarlierFault, Error, Result};

/// Most keys that a message names.
const SHOWN: usize = 5;

/// Makes sure that the resource may take over a Secret that is not its own, and that the Secret loses nothing when it gets
/// this layout.
///
/// # Errors
/// As [`check_consent`]; [`EarlierFault::SecretUnfit`] and [`ClusterFault::TypeFixed`] also for its content.
pub(crate) fn check_offered(
    found: &KubeSecret,
    client: &OAuth2Client,
    layout: &Layout,
    plan: &ClientPlan,
) -> Result<()> {
    check_consent(found, client)?;
    check_content(found, layout, &plan.client_id)
}

/// Makes sure that the resource may take over a Secret that is not its own.
///
/// # Errors
/// [`Error::SecretConflict`], [`Error::Going`], [`EarlierFault::SecretUnfit`].
pub(crate) fn check_consent(found: &KubeSecret, client: &OAuth2Client) -> Result<()> {
    let is_controlled = found
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true));
    if client.spec.adoption != Some(Adoption::Allow) || is_controlled || is_namesakes(found, client) {
        return Err(conflict(found, client));
    }
    match found.annotations().get(ADOPTABLE_BY_ANNOTATION) == Some(&client.name_any()) {
        true => Ok(()),
        false => Err(unfit(
            found,
            format!(
                "it does not name this resource; set its annotation {ADOPTABLE_BY_ANNOTATION} to `{}`, choose another secretName, or delete it if nobody needs it",
                client.name_any()
            ),
        )),
    }
}

/// `client_id`: empty if it is not known yet.
fn check_content(found: &KubeSecret, layout: &Layout, client_id: &str) -> Result<()> {
    check_type(found, layout)?;
    let written: BTreeSet<&String> = layout.keys().collect();
    let keys = found.data.iter().flat_map(|data| data.keys());
    let lost: Vec<String> = keys
        .filter(|key| !written.contains(key))
        .map(|key| format!("`{}`", shown(key)))
        .collect();
    if !lost.is_empty() {
        let named = lost[..lost.len().min(SHOWN)].join(", ");
        return Err(unfit(
            found,
            format!(
                "it would lose keys that this resource does not write ({named}); move them to another Secret, or write them with credentials.data"
            ),
        ));
    }
    match text(found, &layout.id_key) {
        Some(id) if !client_id.is_empty() && id != client_id => Err(unfit(
            found,
            format!(
                "its key `{}` has another id than the client; correct clientId, or choose another secretName",
                shown(&layout.id_key)
            ),
        )),
        _ => Ok(()),
    }
}

/// Kubernetes never changes the type of a Secret. The Secret has its content all the same, so applications go on.
pub(crate) fn check_type(written: &KubeSecret, layout: &Layout) -> Result<()> {
    match written.type_.as_deref().unwrap_or(OPAQUE) {
        found if found == layout.type_ => Ok(()),
        found => Err(Error::Cluster(ClusterFault::TypeFixed {
            secret: layout.name.clone(),
            found: found.to_owned(),
            wanted: layout.type_.clone(),
        })),
    }
}

fn unfit(found: &KubeSecret, problem: String) -> Error {
    let name = found.name_any();
    EarlierFault::SecretUnfit { name, problem }.into()
}
