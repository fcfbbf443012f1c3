//! `migrate`: resources and objects of other tools become those of the operator, with the same ids and secrets.

use std::process::ExitCode;

use anyhow::Result;

use crate::plugin::arguments::Origin;
use crate::plugin::session::Session;

mod cluster;
pub mod fields;
pub mod grants;
mod leave;
pub mod maester;
mod moving;
pub mod plan;
pub mod preview;
mod report;
pub mod server;
pub mod terraform;
mod undo;
mod walk;

/// Moves in from another tool.
///
/// # Errors
/// What kept it from an answer, in sentences.
pub(super) async fn run(session: &Session, origin: &Origin) -> Result<ExitCode> {
    match origin {
        Origin::HydraMaester(asked) if asked.undo => undo::run(session, asked).await,
        Origin::HydraMaester(asked) => moving::run(session, asked).await,
        Origin::Terraform(asked) => terraform::run(session, asked),
    }
}
