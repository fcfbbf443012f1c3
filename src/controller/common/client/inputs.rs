//! The inputs of a success in one line: while they are equal, nothing has to be done.

use std::fmt;

use kube::ResourceExt;
use serde_json::{Value, json};

use crate::controller::common::client::layout::Layout;
use crate::controller::common::client::plan::{ClientPlan, ledger_name};
use crate::controller::common::digest::digest;
use crate::controller::engine::context::Context;

const FORMAT: &str = "1";

/// Digests and versions. Generations and operator versions are never part of them, because a change without effect
/// would then cause work on every client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// Digest of the desired client, without secret and revision, and of the server's UID.
    pub(crate) remote: String,
    /// Digest of the credentials Secret's layout and non-secret values.
    pub(crate) layout: String,
    /// resourceVersion of the ledger; empty if there is none.
    pub(crate) ledger: String,
    /// resourceVersion of the credentials Secret; empty if there is none.
    pub(crate) secret: String,
    /// resourceVersions of the Secrets that clientSecretRef and clientIdFrom name and of the one with the private key;
    /// empty if there are none.
    pub(crate) reference: String,
}

impl Inputs {
    /// Returns the current inputs, from spec and server and the newest known versions of our Secrets. `wanted`: what
    /// the server should have.
    pub(crate) fn observe(
        ctx: &Context,
        plan: &ClientPlan,
        wanted: Value,
        layout: &Layout,
        references: &[&str],
    ) -> Self {
        let version = |name: &str| {
            plan.own_secret(ctx, name)
                .map(|secret| secret.version)
                .unwrap_or_default()
        };
        Inputs {
            remote: remote(plan, &wanted),
            layout: layout.digest(),
            ledger: version(&ledger_name(&plan.uid)),
            secret: version(&layout.name),
            reference: references
                .iter()
                .copied()
                .chain(layout.key_version())
                .collect::<Vec<_>>()
                .join("+"),
        }
    }

    /// Records the version in which the ledger was read or written. The cache may already show a later version, which
    /// was not read.
    pub(crate) fn wrote_ledger(&mut self, version: Option<String>) {
        self.ledger = version.unwrap_or_default();
    }

    /// Records the version in which the credentials Secret was read or written.
    pub(crate) fn wrote_secret(&mut self, version: String) {
        self.secret = version;
    }

    /// Parses the line. None if it has another format; everything is then checked once.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let parts: Vec<&str> = line.split(':').collect();
        let [FORMAT, remote, layout, ledger, secret, reference] = parts.as_slice() else {
            return None;
        };
        let own = |part: &&str| (*part).to_owned();
        Some(Inputs {
            remote: own(remote),
            layout: own(layout),
            ledger: own(ledger),
            secret: own(secret),
            reference: own(reference),
        })
    }

    /// Whether the server should have the same client as at the last success.
    pub(crate) fn same_remote(&self, plan: &ClientPlan, wanted: &Value) -> bool {
        self.remote == remote(plan, wanted)
    }

    /// Whether the desired client is the same as at the last success.
    pub(crate) fn same_client(&self, last: &Inputs) -> bool {
        self.remote == last.remote
    }

    /// Whether the ledger is the same as at the last success. A changed ledger may hold a secret that the server does
    /// not have yet.
    pub(crate) fn same_ledger(&self, last: &Inputs) -> bool {
        self.ledger == last.ledger
    }

    /// Whether a ledger existed at the last success.
    pub(crate) fn had_ledger(&self) -> bool {
        !self.ledger.is_empty()
    }

    /// Whether the credentials Secret is unchanged since the last success and still has the desired content.
    pub(crate) fn same_secret(&self, last: &Inputs) -> bool {
        !self.secret.is_empty()
            && self.secret == last.secret
            && self.reference == last.reference
            && self.same_layout(last)
    }

    /// Whether the credentials Secret had this layout at the last success.
    pub(crate) fn has_layout(&self, layout: &Layout) -> bool {
        self.layout == layout.digest()
    }

    /// Whether the desired layout of the credentials Secret is the same as at the last success.
    pub(crate) fn same_layout(&self, last: &Inputs) -> bool {
        self.layout == last.layout
    }
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{FORMAT}:{}:{}:{}:{}:{}",
            self.remote, self.layout, self.ledger, self.secret, self.reference
        )
    }
}

/// Digest of the desired client and of the UID of its server.
fn remote(plan: &ClientPlan, wanted: &Value) -> String {
    digest(&json!([plan.server.uid(), plan.effective.has_secret(), wanted]))
}
