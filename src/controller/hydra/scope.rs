//! `Scope` on a Hydra: an entry in the catalogue that clients carry.

use crate::api::Scope;
use crate::api::scope::ScopeStatus;
use crate::controller::common::admission::admitted;
use crate::controller::common::claim::Claiming;
use crate::controller::common::refuse::refuse;
use crate::controller::common::scope::check;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::hold;
use crate::controller::engine::managed::Pass;
use crate::controller::engine::verdict::Done;
use crate::error::Result;

/// Accepts the scope, so that clients can refer to it.
///
/// # Errors
/// What is wrong with the spec.
pub(crate) async fn apply(scope: &Scope, ctx: &Context, pass: &mut Pass<ScopeStatus>) -> Result<Done> {
    let server = admitted(scope, ctx)?;
    let consent = scope.consent();
    refuse(
        &server,
        [("adoption", consent.adopts()), ("managementPolicy", consent.observes())],
    )?;
    check(scope)?;
    if scope.consent().is_suspended() {
        return Ok(Done::suspended());
    }
    hold(scope, ctx).await?;
    pass.status.name = Some(scope.scope_name());
    Ok(Done {
        message:
            "OAuth2Clients can refer to the scope. They carry it in their metadata, for the login and consent app."
                .to_owned(),
        ..Done::default()
    })
}
