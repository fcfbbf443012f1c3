//! What the steps of a pass share.

use crate::api::OAuth2Client;
use crate::controller::common::client::inputs::Inputs;
use crate::controller::common::client::layout::Layout;
use crate::controller::common::client::plan::ClientPlan;
use crate::controller::engine::context::Context;
use crate::controller::hydra::client::reference::Reference;
use crate::secret::Secret;

/// What to do when the inputs differ from those of the last success.
pub(crate) struct Work<'a> {
    pub(crate) client: &'a OAuth2Client,
    pub(crate) ctx: &'a Context,
    pub(crate) plan: &'a ClientPlan,
    pub(crate) layout: &'a Layout,
    pub(crate) reference: Option<&'a Reference>,
    pub(crate) last: Option<Inputs>,
    /// Whether the current secret is due for replacement.
    pub(crate) is_due: bool,
    /// Whether the former secret, which the status tells of, is to end.
    pub(crate) ends_former: bool,
}

impl Work<'_> {
    /// Whether an earlier spec, or an earlier setting, may have asked for other labels and annotations.
    pub(crate) fn is_laid_out_anew(&self) -> bool {
        self.last.as_ref().is_some_and(|last| !last.has_layout(self.layout))
    }
}

/// Owner of a client's secret.
pub(crate) enum Secrecy {
    /// The operator, which keeps, rebuilds or makes it.
    Ours,
    /// Other owners until now. The secret is due, so the operator makes a new one.
    Replaced,
    /// Other owners until now. The Secret that the resource takes over has it, and the client on the server too.
    Published(Secret),
    /// Other owners: the secret stays, and the operator stores nothing.
    Others,
}

impl Secrecy {
    /// Whether the secret in the ledger takes the place of one of other owners.
    pub(crate) fn replaces(&self) -> bool {
        matches!(self, Self::Replaced | Self::Published(_))
    }
}
