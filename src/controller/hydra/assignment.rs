//! `Assignment` on a Hydra: carried by the clients that refer to it.

use crate::api::Assignment;
use crate::controller::common::admission::admitted;
use crate::controller::common::refuse::refuse;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::hold;
use crate::controller::engine::verdict::Done;
use crate::error::Result;

/// Accepts the assignment, for clients to refer to.
///
/// # Errors
/// What is wrong with the spec.
pub(crate) async fn apply(assignment: &Assignment, ctx: &Context) -> Result<Done> {
    let server = admitted(assignment, ctx)?;
    refuse(&server, [("vault", assignment.spec.vault.is_some())])?;
    hold(assignment, ctx).await?;
    Ok(Done {
        message: "OAuth2Clients can refer to the assignment; they carry it in their metadata, and the login and consent app has to enforce it."
            .to_owned(),
        ..Done::default()
    })
}
