//! What `check` finds and prints. Pure.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::admin::bounded::printable;

/// The oldest version of Kubernetes that the operator works on.
pub const OLDEST: (u32, u32) = (1, 33);
/// Difference of two clocks that matters to nobody.
const CLOSE: SignedDuration = SignedDuration::from_secs(10);

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// The caller may not look.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What it is and, if something is wrong, what to do.
    pub message: String,
}

impl Finding {
    /// Something is as it should be.
    pub fn good(message: impl Into<String>) -> Self {
        Finding::of(Verdict::Good, message)
    }

    /// Something is wrong.
    pub fn bad(message: impl Into<String>) -> Self {
        Finding::of(Verdict::Bad, message)
    }

    /// The caller may not look.
    pub fn unknown(message: impl Into<String>) -> Self {
        Finding::of(Verdict::Unknown, message)
    }

    fn of(verdict: Verdict, message: impl Into<String>) -> Self {
        let message = message.into();
        Finding { verdict, message }
    }
}

/// The findings as text, with colours.
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { verdict, message } in findings {
        let (word, colour) = match verdict {
            Verdict::Good => ("ok", AnsiColor::Green),
            Verdict::Bad => ("wrong", AnsiColor::Red),
            Verdict::Unknown => ("?", AnsiColor::Yellow),
        };
        let style = Style::new().fg_color(Some(colour.into()));
        let _ = writeln!(text, "{style}{word:<5}{style:#}  {}", printable(message));
    }
    text
}

/// Whether the version of the Kubernetes API is supported. `git`: as the API tells it, such as `v1.33.2`.
pub fn version(git: &str) -> Finding {
    let mut numbers = git.trim_start_matches('v').split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    });
    let (major, minor) = (numbers.next().flatten(), numbers.next().flatten());
    match major.zip(minor) {
        Some(found) if found < OLDEST => Finding::bad(format!(
            "The version of the Kubernetes API is {git}, and the operator needs {}.{} or later. Upgrade the cluster.",
            OLDEST.0, OLDEST.1
        )),
        _ => Finding::good(format!("The Kubernetes API answers, version {git}.")),
    }
}

/// Whether the caller's clock is that of the Kubernetes API. `there`: the time of its reply, between these two.
pub fn clock(there: Option<Timestamp>, asked: Timestamp, answered: Timestamp) -> Finding {
    let Some(there) = there else {
        return Finding::unknown("The Kubernetes API does not tell the time, so the clock was not compared.");
    };
    let (ahead, behind) = (asked.duration_since(there), there.duration_since(answered));
    let (difference, word) = match ahead > behind {
        true => (ahead, "ahead of"),
        false => (behind, "behind"),
    };
    if difference <= CLOSE {
        return Finding::good("The clock of this machine is that of the Kubernetes API.");
    }
    Finding::bad(format!(
        "The clock of this machine is {} s {word} that of the Kubernetes API. Correct it: times that you request, such as that of a rotation, mean something else to the operator.",
        difference.as_secs()
    ))
}

/// What the caller may do in a namespace. `missing`: verbs that are not granted, of those that the plugin uses.
pub fn rights(namespace: &str, missing: &[&str]) -> Finding {
    if missing.is_empty() {
        return Finding::good(format!(
            "You may read and change the resources of namespace `{namespace}`."
        ));
    }
    Finding::bad(format!(
        "You may not {} OAuth2Clients in namespace `{namespace}`. Ask for the ClusterRole `edit` or `view` there, to which the chart adds these rights.",
        missing.join(", ")
    ))
}

/// Whether the cluster serves the kinds of this version. `old`: names of CRDs that differ from those of this program.
pub fn crds(missing: &[&str], old: &[String], program: &str) -> Finding {
    const HOW: &str = "Apply crds/ of the release with kubectl apply --server-side, or upgrade the chart.";
    match (missing, old) {
        ([], []) => Finding::good(format!("The CRDs are those of version {program}.")),
        ([], old) => Finding::bad(format!(
            "These CRDs are not those of version {program} of this program: {}. {HOW}",
            old.join(", ")
        )),
        (missing, _) => Finding::bad(format!("The cluster does not serve {}. {HOW}", missing.join(", "))),
    }
}

/// Whether an operator leads. `renewed`: who renewed the Lease last, and when.
pub fn leader(renewed: Option<(&str, Timestamp)>, now: Timestamp) -> Finding {
    const PATIENCE: SignedDuration = SignedDuration::from_secs(60);
    match renewed {
        None => Finding::bad(
            "No operator has ever led in this cluster. Install it, unless it runs without leader election.",
        ),
        Some((holder, at)) if holder.is_empty() || now.duration_since(at) > PATIENCE => Finding::bad(format!(
            "No operator has renewed its Lease since {at}. Look at its pods: kubectl get pods --all-namespaces --selector app.kubernetes.io/name=oidc-operator"
        )),
        Some((holder, _)) => Finding::good(format!("The operator `{holder}` leads.")),
    }
}
