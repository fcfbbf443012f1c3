//! What the steps of a pass share.

use crate::api::OAuth2Client;
use crate::controller::common::client::inputs::Inputs;
use crate::controller::common::client::output::Layout;
use crate::controller::common::client::plan::ClientPlan;
use crate::controller::engine::context::Context;
use crate::controller::hydra::client::reference::Reference;

/// What is to be done when the inputs are not those of the last success.
pub(crate) struct Work<'a> {
    pub(crate) client: &'a OAuth2Client,
    pub(crate) ctx: &'a Context,
    pub(crate) plan: &'a ClientPlan,
    pub(crate) layout: &'a Layout,
    pub(crate) reference: Option<&'a Reference>,
    pub(crate) last: Option<Inputs>,
    /// Whether the time of the secret in force is over.
    pub(crate) is_due: bool,
}

/// Whose a client's secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Ours: kept, rebuilt or made.
    Ours,
    /// It was others', and its time has come: a new one is made.
    Replaced,
    /// Others': it stays, and nothing is written down.
    Others,
}
