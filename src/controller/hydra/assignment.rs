//! `Assignment` on a Hydra: the clients that refer to it carry it.

use crate::api::Assignment;
use crate::controller::common::admission::admitted;
use crate::controller::common::claim::Claiming;
use crate::controller::common::refuse::refuse;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::hold;
use crate::controller::engine::verdict::Done;
use crate::error::Result;

/// Accepts the assignment, so that clients can refer to it.
///
/// # Errors
/// What is wrong with the spec.
pub(crate) async fn apply(assignment: &Assignment, ctx: &Context) -> Result<Done> {
    let server = admitted(assignment, ctx)?;
    let refused = [
        ("vault", assignment.spec.vault.is_some()),
        ("adoption", assignment.consent().adopts()),
        ("managementPolicy", assignment.consent().observes()),
    ];
    refuse(&server, refused)?;
    if assignment.consent().is_suspended() {
        return Ok(Done::suspended());
    }
    hold(assignment, ctx).await?;
    Ok(Done {
        message: "OAuth2Clients can refer to the assignment. They carry it in their metadata; the login and consent app must enforce it."
            .to_owned(),
        ..Done::default()
    })
}
