//! Conditions: the types, the closed set of reasons, and how they are kept.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The resource can be used: what its spec asks for is there.
pub const READY: &str = "Ready";
/// The last comparison with the server ended in step.
pub const SYNCED: &str = "Synced";
/// Present while work goes on or something outside the resource is waited for (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// Present while only a change of this resource, or of what it collides with, can help (kstatus).
pub const STALLED: &str = "Stalled";
/// Present while `spec.suspend` is set.
pub const SUSPENDED: &str = "Suspended";
/// Present while the admin API is reached over plain http.
pub const INSECURE: &str = "Insecure";
/// Present while the server goes on with what it read at its start, and there is something else now.
pub const RESTART_REQUIRED: &str = "RestartRequired";

/// Why a condition is as it is, in one word. The documentation has a line for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// All is well.
    Available,
    /// `spec.suspend` is set.
    Suspended,
    /// Cleanup is under way.
    Deleting,
    /// The spec asks for something that cannot be.
    InvalidSpec,
    /// The server's flavour or version cannot do what the spec asks for.
    UnsupportedByServer,
    /// The access rules of the server do not allow it.
    NotAllowed,
    /// The remote object exists and belongs to somebody else.
    NotOwned,
    /// A Secret of that name exists and belongs to somebody else.
    SecretConflict,
    /// A ConfigMap of that name exists and belongs to somebody else.
    ConfigMapConflict,
    /// Somebody else keeps changing the remote object.
    Conflict,
    /// A referenced Secret, ConfigMap or key does not exist (yet).
    SecretNotFound,
    /// A client was taken over, and its secret is known to others only.
    SecretUnknown,
    /// A resource of ours that the spec refers to does not exist (yet).
    ReferenceNotFound,
    /// A resource of ours that the spec refers to is there, but not ready.
    ReferenceNotReady,
    /// The AuthorizationServer does not exist (yet).
    ServerNotFound,
    /// The AuthorizationServer exists and cannot be used now; its own status says why.
    ServerNotReady,
    /// The server answered 401 or 403.
    ServerRefused,
    /// The server cannot be reached, or failed.
    ServerUnavailable,
    /// The server did not finish a write in time, and answers others.
    Timeout,
    /// The admin URL leads to something that is not an admin API we know.
    ServerNotRecognized,
    /// The server is sealed.
    ServerSealed,
    /// The server has not been set up.
    ServerUninitialized,
    /// The server leaves requests to another one.
    ServerStandby,
    /// Another server than before answers at its address.
    ServerChanged,
    /// There is no Vault namespace of that name.
    NamespaceNotFound,
    /// The operator cannot log in to the server.
    LoginFailed,
    /// What would be sent to the server is a token that the Kubernetes API accepts, or one of the operator's own.
    UnsafeToken,
    /// The operator is logged in and may not do what has to be done.
    PermissionDenied,
    /// The issuer is another than the one this server had.
    IssuerChanged,
    /// The issuer is another than the one that tokens must carry.
    IssuerMismatch,
    /// The server publishes no key to verify tokens with, or a private one.
    InvalidKeys,
    /// The AuthorizationServer is still used and cannot go.
    InUse,
    /// The admin API is reached over plain http.
    PlainHttp,
    /// The server reads what was changed only when it starts.
    RestartRequired,
    /// The Kubernetes API failed or refused.
    ClusterUnavailable,
    /// A fault of the operator, or a reply that makes no sense.
    InternalError,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 36] = [
        Reason::Available,
        Reason::Suspended,
        Reason::Deleting,
        Reason::InvalidSpec,
        Reason::UnsupportedByServer,
        Reason::NotAllowed,
        Reason::NotOwned,
        Reason::SecretConflict,
        Reason::ConfigMapConflict,
        Reason::Conflict,
        Reason::SecretNotFound,
        Reason::SecretUnknown,
        Reason::ReferenceNotFound,
        Reason::ReferenceNotReady,
        Reason::ServerNotFound,
        Reason::ServerNotReady,
        Reason::ServerRefused,
        Reason::ServerUnavailable,
        Reason::Timeout,
        Reason::ServerNotRecognized,
        Reason::ServerSealed,
        Reason::ServerUninitialized,
        Reason::ServerStandby,
        Reason::ServerChanged,
        Reason::NamespaceNotFound,
        Reason::LoginFailed,
        Reason::UnsafeToken,
        Reason::PermissionDenied,
        Reason::IssuerChanged,
        Reason::IssuerMismatch,
        Reason::InvalidKeys,
        Reason::InUse,
        Reason::PlainHttp,
        Reason::RestartRequired,
        Reason::ClusterUnavailable,
        Reason::InternalError,
    ];

    /// The word as it stands in conditions, events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Available => "Available",
            Reason::Suspended => "Suspended",
            Reason::Deleting => "Deleting",
            Reason::InvalidSpec => "InvalidSpec",
            Reason::UnsupportedByServer => "UnsupportedByServer",
            Reason::NotAllowed => "NotAllowed",
            Reason::NotOwned => "NotOwned",
            Reason::SecretConflict => "SecretConflict",
            Reason::ConfigMapConflict => "ConfigMapConflict",
            Reason::Conflict => "Conflict",
            Reason::SecretNotFound => "SecretNotFound",
            Reason::SecretUnknown => "SecretUnknown",
            Reason::ReferenceNotFound => "ReferenceNotFound",
            Reason::ReferenceNotReady => "ReferenceNotReady",
            Reason::ServerNotFound => "ServerNotFound",
            Reason::ServerNotReady => "ServerNotReady",
            Reason::ServerRefused => "ServerRefused",
            Reason::ServerUnavailable => "ServerUnavailable",
            Reason::Timeout => "Timeout",
            Reason::ServerNotRecognized => "ServerNotRecognized",
            Reason::ServerSealed => "ServerSealed",
            Reason::ServerUninitialized => "ServerUninitialized",
            Reason::ServerStandby => "ServerStandby",
            Reason::ServerChanged => "ServerChanged",
            Reason::NamespaceNotFound => "NamespaceNotFound",
            Reason::LoginFailed => "LoginFailed",
            Reason::UnsafeToken => "UnsafeToken",
            Reason::PermissionDenied => "PermissionDenied",
            Reason::IssuerChanged => "IssuerChanged",
            Reason::IssuerMismatch => "IssuerMismatch",
            Reason::InvalidKeys => "InvalidKeys",
            Reason::InUse => "InUse",
            Reason::PlainHttp => "PlainHttp",
            Reason::RestartRequired => "RestartRequired",
            Reason::ClusterUnavailable => "ClusterUnavailable",
            Reason::InternalError => "InternalError",
        }
    }
}

/// A condition to be, without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// One of the condition types above.
    pub type_: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// The reason.
    pub reason: Reason,
    /// One full sentence, stable from pass to pass: no ids of requests, counters or times.
    pub message: String,
}

/// Turns the wanted conditions into real ones: a transition time moves only when the status does.
pub fn merge(old: &[Condition], wanted: Vec<Wanted>, generation: i64, now: Timestamp) -> Vec<Condition> {
    wanted
        .into_iter()
        .map(|w| {
            let since = find(old, w.type_)
                .filter(|c| c.status == w.status)
                .map(|c| c.last_transition_time.clone());
            Condition {
                type_: w.type_.to_owned(),
                status: w.status.to_owned(),
                reason: w.reason.as_str().to_owned(),
                message: w.message,
                observed_generation: Some(generation),
                last_transition_time: since.unwrap_or(Time(now)),
            }
        })
        .collect()
}

/// The condition of a type, if present.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether a condition is present with status `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == "True")
}
