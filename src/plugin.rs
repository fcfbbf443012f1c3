//! `kubectl oidc`: what people and scripts ask and do, with the rights of the caller and never with a login of a server.
//!
//! It is the same program under the name `kubectl-oidc`, which kubectl finds in `PATH`.

use std::process::ExitCode;

use anyhow::Result;

pub mod arguments;
pub mod ask;
mod bundle;
pub mod census;
pub mod check;
mod explain;
pub mod explanation;
pub mod finding;
pub mod import;
mod manifest;
pub mod migrate;
mod objects;
mod observer;
pub mod session;
pub mod show;
pub mod target;
pub mod tree;
mod verbs;

use arguments::{Plugin, Verb};
use ask::Ask;
use session::Session;
use tokio::runtime::Runtime;

/// Name of the program as a plugin of kubectl, and of whoever changes resources with it in their managed fields.
pub const NAME: &str = "kubectl-oidc";

/// Exit code if something is not as it should be.
pub const NOT_READY: u8 = 1;
/// Exit code if the question could not be answered, or the request was not accepted. Wrong arguments have it as well.
pub const FAILED: u8 = 2;

/// Runs a verb.
///
/// # Errors
/// What kept it from an answer, in sentences.
pub fn run(runtime: &Runtime, plugin: Plugin) -> Result<ExitCode> {
    runtime.block_on(verb(plugin))
}

async fn verb(plugin: Plugin) -> Result<ExitCode> {
    if let Verb::Completion(asked) = &plugin.verb {
        return verbs::complete(asked);
    }
    let session = Session::of(&plugin.access).await?;
    match plugin.verb {
        Verb::Status(asked) => verbs::status(&session, &asked).await,
        Verb::Rotate(asked) => verbs::ask(&session, Ask::Rotate, &asked).await,
        Verb::Reconcile(asked) => verbs::ask(&session, Ask::Reconcile, &asked).await,
        Verb::Suspend(asked) => verbs::suspend(&session, &asked, true).await,
        Verb::Resume(asked) => verbs::suspend(&session, &asked, false).await,
        Verb::Check(asked) => verbs::check(&session, &asked).await,
        Verb::UninstallCheck(asked) => verbs::uninstall_check(&session, asked).await,
        Verb::Explain(asked) => explain::run(&session, &asked).await,
        Verb::Import(asked) => import::run(&session, &asked).await,
        Verb::SupportBundle(asked) => bundle::run(&session, &asked).await,
        Verb::Migrate { from } => migrate::run(&session, &from).await,
        Verb::Completion(asked) => verbs::complete(&asked),
    }
}
