//! A scope as an object of a Vault.

use kube::ResourceExt;
use serde_json::json;

use crate::admin::vault;
use crate::api::Scope;
use crate::api::scope::ScopeStatus;
use crate::controller::common::adoption::Consent;
use crate::controller::common::claim::{Claim, Claiming};
use crate::controller::common::digest::digest;
use crate::controller::common::observe::asked_policy;
use crate::controller::common::scope;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Pass;
use crate::controller::engine::verdict::Done;
use crate::controller::vault::name::Named;
use crate::controller::vault::object::Target;
use crate::error::Result;

impl Named for Scope {
    type Object = vault::Scope;
    const NAME_FIELD: &'static str = "name";

    fn asked_name(&self) -> Option<&str> {
        self.spec.name.as_deref()
    }
}

impl Claiming for Scope {
    fn claim(status: &mut ScopeStatus) -> Claim<'_> {
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

/// The scope that the server should have.
fn wanted(scope: &Scope) -> vault::Scope {
    vault::Scope {
        description: scope.spec.description.clone().unwrap_or_default(),
        template: scope.spec.template.clone().unwrap_or_else(|| "{}".to_owned()),
    }
}

pub(crate) async fn apply(scope: &Scope, ctx: &Context, pass: &mut Pass<ScopeStatus>) -> Result<Done> {
    let target = Target::of(scope, ctx, pass).await?;
    scope::check(scope)?;
    let wanted = wanted(scope);
    if target.is_suspended() {
        return Ok(target.suspended(pass, Some(wanted)).await);
    }
    if target.is_observed() {
        return target.observe(pass, wanted).await;
    }
    let inputs = digest(&json!([target.server.uid(), target.name, wanted]));
    let settled = pass.status.inputs.as_ref() == Some(&inputs);
    if pass.must_read || !settled {
        let vault = target.vault(settled).await?;
        target.sync(pass, &vault, wanted, settled).await?;
        pass.status.inputs = Some(inputs);
    }
    Ok(Done {
        message: "The scope is on the server, and OidcProviders can refer to it.".to_owned(),
        ..Done::default()
    })
}
