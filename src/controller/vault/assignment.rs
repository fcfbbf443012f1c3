//! An assignment as an object of a Vault. Each pass resolves names and aliases to ids. If one does not exist, nothing
//! is changed.

use std::collections::BTreeSet;

use kube::ResourceExt;
use serde_json::json;

use crate::admin::http::Failure;
use crate::admin::vault::identity::IdentityType;
use crate::admin::vault::{self, Vault};
use crate::api::Assignment;
use crate::api::assignment::{AssignmentStatus, Identity};
use crate::controller::common::adoption::Consent;
use crate::controller::common::claim::{Claim, Claiming};
use crate::controller::common::digest::digest;
use crate::controller::common::failure::unread;
use crate::controller::common::observe::asked_policy;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Pass;
use crate::controller::engine::verdict::Done;
use crate::controller::vault::failure::failure;
use crate::controller::vault::name::Named;
use crate::controller::vault::object::Target;
use crate::error::{Error, Result, VaultFault};

impl Named for Assignment {
    type Object = vault::Assignment;
    const NAME_FIELD: &'static str = "vault.name";

    fn asked_name(&self) -> Option<&str> {
        self.spec.vault.as_ref()?.name.as_deref()
    }
}

impl Claiming for Assignment {
    fn claim(status: &mut AssignmentStatus) -> Claim<'_> {
        Claim {
            name: &mut status.name,
            server_uid: &mut status.server_uid,
            cluster_id: &mut status.cluster_id,
            inputs: &mut status.inputs,
            adopted: &mut status.adopted,
            kept: None,
            accepted: Some(&mut status.deletion_policy),
        }
    }

    fn consent(&self) -> Consent {
        Consent {
            adoption: self.spec.adoption,
            deletion_policy: asked_policy(self, self.spec.deletion_policy, self.spec.management_policy),
            suspend: self.spec.suspend,
            management: self.spec.management_policy,
        }
    }
}

pub(crate) async fn apply(assignment: &Assignment, ctx: &Context, pass: &mut Pass<AssignmentStatus>) -> Result<Done> {
    let target = Target::of(assignment, ctx, pass).await?;
    let spec = &assignment.spec;
    if target.is_suspended() {
        let wanted = match target.usable() {
            Some(vault) => resolve(assignment, &vault).await.ok(),
            None => None,
        };
        return Ok(target.suspended(pass, wanted).await);
    }
    if target.is_observed() {
        let link = ctx.links.usable(&target.server)?;
        let wanted = resolve(assignment, link.vault()?).await?;
        return target.observe(pass, wanted).await;
    }
    let inputs = digest(&json!([
        target.server.uid(),
        target.name,
        spec.subjects,
        spec.groups,
        spec.vault
    ]));
    let settled = pass.status.inputs.as_ref() == Some(&inputs);
    if pass.must_read || !settled {
        let vault = target.vault(settled).await?;
        let resolved = resolve(assignment, &vault).await;
        let wanted = resolved.map_err(|error| unread(error, settled))?;
        // A named identity with another id than before is not drift.
        let same = |ids: &[String], wanted: &BTreeSet<String>| ids.iter().eq(wanted.iter());
        let is_same =
            same(&pass.status.entity_ids, &wanted.entity_ids) && same(&pass.status.group_ids, &wanted.group_ids);
        target.sync(pass, &vault, wanted.clone(), settled && is_same).await?;
        pass.status.entity_ids = wanted.entity_ids.into_iter().collect();
        pass.status.group_ids = wanted.group_ids.into_iter().collect();
        pass.status.inputs = Some(inputs);
    }
    Ok(Done {
        message: "The assignment is on the server, which enforces it for the OAuth2Clients that refer to it."
            .to_owned(),
        ..Done::default()
    })
}

/// The assignment that the server should have.
async fn resolve(assignment: &Assignment, vault: &Vault) -> Result<vault::Assignment> {
    let spec = &assignment.spec;
    let own = spec.vault.clone().unwrap_or_default();
    let mut wanted = vault::Assignment {
        // The server trims them too.
        entity_ids: spec
            .subjects
            .iter()
            .map(|id| id.trim().to_owned())
            .filter(|id| !id.is_empty())
            .collect(),
        ..vault::Assignment::default()
    };
    for group in &spec.groups {
        let named = Identity {
            name: Some(group.name.clone()),
            ..Identity::default()
        };
        wanted
            .group_ids
            .insert(id(vault, "groups", IdentityType::Group, &named).await?);
    }
    for group in &own.groups {
        wanted
            .group_ids
            .insert(id(vault, "vault.groups", IdentityType::Group, group).await?);
    }
    for entity in &own.entities {
        let found = id(vault, "vault.entities", IdentityType::Entity, entity).await?;
        wanted.entity_ids.insert(found);
    }
    // The server would read `*` as its assignment for everybody, but as an id it means nobody.
    match wanted.entity_ids.iter().chain(&wanted.group_ids).any(|id| id == "*") {
        true => Err(Error::InvalidField {
            field: "subjects",
            problem: "`*` means nobody; leave assignmentRefs out of a client that everybody may use".to_owned(),
        }),
        false => Ok(wanted),
    }
}

/// The id of an entity or a group.
async fn id(vault: &Vault, field: &'static str, of: IdentityType, identity: &Identity) -> Result<String> {
    let type_ = of.as_str();
    let missing = |type_, name: &str| {
        Error::Vault(VaultFault::IdentityNotFound {
            field,
            type_,
            name: name.to_owned(),
        })
    };
    let failed = |failed: Failure| failure("identity lookups", type_, failed);
    match (&identity.id, &identity.name, &identity.alias) {
        (Some(id), _, _) => Ok(id.clone()),
        (None, Some(name), _) => {
            let found = vault.id_by_name(of, name).await.map_err(failed)?;
            found.ok_or_else(|| missing(type_, name))
        }
        (None, None, Some(alias)) => {
            let mount = &alias.mount_path;
            let accessor = vault.accessor(mount).await.map_err(failed)?;
            let accessor = accessor.ok_or_else(|| missing("auth method", mount))?;
            let found = vault.id_by_alias(of, &alias.name, &accessor).await.map_err(failed)?;
            found.ok_or_else(|| missing(type_, &alias.name))
        }
        (None, None, None) => Err(missing(type_, "")),
    }
}
