//! Conditions: the types, the closed set of reasons, and how they are merged.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The resource can be used: everything that its spec requests exists. Absent while a resource is suspended that was
/// not ready before.
pub const READY: &str = "Ready";
/// The resource and the server were in sync after the last comparison.
pub const SYNCED: &str = "Synced";
/// Present while the operator works on the resource or waits for something outside it (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// Present while only a change of this resource, or of a conflicting object, can help (kstatus).
pub const STALLED: &str = "Stalled";
/// Present while `spec.suspend` is set.
pub const SUSPENDED: &str = "Suspended";
/// Present while the object of a resource that the operator only observes differs from the spec.
pub const DRIFT_DETECTED: &str = "DriftDetected";
/// Present while the operator reaches the admin API over plain http.
pub const INSECURE: &str = "Insecure";
/// Present while the server still uses what it read at its start, although that has changed.
pub const RESTART_REQUIRED: &str = "RestartRequired";

/// Present while the operator cannot read the server's discovery document.
pub const DISCOVERY_FAILED: &str = "DiscoveryFailed";

/// Why a condition has its status, in one word. The documentation has a page for each reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing is wrong.
    Available,
    /// `spec.suspend` is set.
    Suspended,
    /// Cleanup is in progress.
    Deleting,
    /// The spec, or a Secret that it refers to, has a value that cannot be used.
    InvalidSpec,
    /// The server's flavour or version does not support what the spec requests.
    UnsupportedByServer,
    /// The access rules of the server do not allow the resource.
    NotAllowed,
    /// The operator does not work in the namespace of the resource.
    NamespaceNotWatched,
    /// The remote object exists and does not belong to this resource.
    NotOwned,
    /// An earlier resource of this name left a client or Secrets that cannot be taken over without consent.
    NotRestored,
    /// A Secret of that name exists and does not belong to this resource.
    SecretConflict,
    /// A ConfigMap of that name exists and does not belong to this resource.
    ConfigMapConflict,
    /// Another writer keeps changing the remote object.
    Conflict,
    /// The remote object differs from the spec, and the operator only observes it.
    DriftDetected,
    /// The remote object does not exist, and the operator only observes.
    ObjectNotFound,
    /// A referenced Secret, ConfigMap or key does not exist (yet).
    SecretNotFound,
    /// The client was adopted, and the operator does not know its secret.
    SecretUnknown,
    /// An adoption would replace the secret of the client.
    SecretMismatch,
    /// A custom resource that the spec refers to does not exist (yet).
    ReferenceNotFound,
    /// A custom resource that the spec refers to exists but is not ready.
    ReferenceNotReady,
    /// The AuthorizationServer does not exist (yet).
    ServerNotFound,
    /// The AuthorizationServer exists but cannot be used now; its own status says why.
    ServerNotReady,
    /// The server answered 401 or 403.
    ServerRefused,
    /// The server cannot be reached, or it failed.
    ServerUnavailable,
    /// The server did not finish a write in time, but answers other requests.
    Timeout,
    /// The URL does not lead to an admin API that the operator knows.
    ServerNotRecognized,
    /// The server is sealed.
    ServerSealed,
    /// The server has not been initialized.
    ServerUninitialized,
    /// The server is a standby and leaves requests to another server.
    ServerStandby,
    /// A different server answers at the address.
    ServerChanged,
    /// The Vault namespace does not exist.
    NamespaceNotFound,
    /// The operator cannot log in to the server.
    LoginFailed,
    /// The Kubernetes API accepts the token that would be sent to the server, or the token is one of the operator's
    /// own.
    UnsafeToken,
    /// The operator is logged in but lacks a permission.
    PermissionDenied,
    /// The issuer of the server has changed.
    IssuerChanged,
    /// The issuer is not the issuer that tokens must carry.
    IssuerMismatch,
    /// The server publishes no key to verify tokens with, or publishes a private key.
    InvalidKeys,
    /// The resource that is being deleted is still in use.
    InUse,
    /// The operator reaches the admin API over plain http.
    PlainHttp,
    /// The server reads the change only when it starts.
    RestartRequired,
    /// An admission policy or a quota of the cluster refuses an object of the operator.
    AdmissionDenied,
    /// The Kubernetes API failed or refused a request.
    ClusterUnavailable,
    /// The operator has a fault, or a reply makes no sense.
    InternalError,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 42] = [
        Reason::Available,
        Reason::Suspended,
        Reason::Deleting,
        Reason::InvalidSpec,
        Reason::UnsupportedByServer,
        Reason::NotAllowed,
        Reason::NamespaceNotWatched,
        Reason::NotOwned,
        Reason::NotRestored,
        Reason::SecretConflict,
        Reason::ConfigMapConflict,
        Reason::Conflict,
        Reason::DriftDetected,
        Reason::ObjectNotFound,
        Reason::SecretNotFound,
        Reason::SecretUnknown,
        Reason::SecretMismatch,
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
        Reason::AdmissionDenied,
        Reason::ClusterUnavailable,
        Reason::InternalError,
    ];

    /// The reason as written in conditions, events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Available => "Available",
            Reason::Suspended => "Suspended",
            Reason::Deleting => "Deleting",
            Reason::InvalidSpec => "InvalidSpec",
            Reason::UnsupportedByServer => "UnsupportedByServer",
            Reason::NotAllowed => "NotAllowed",
            Reason::NamespaceNotWatched => "NamespaceNotWatched",
            Reason::NotOwned => "NotOwned",
            Reason::NotRestored => "NotRestored",
            Reason::SecretConflict => "SecretConflict",
            Reason::ConfigMapConflict => "ConfigMapConflict",
            Reason::Conflict => "Conflict",
            Reason::DriftDetected => "DriftDetected",
            Reason::ObjectNotFound => "ObjectNotFound",
            Reason::SecretNotFound => "SecretNotFound",
            Reason::SecretUnknown => "SecretUnknown",
            Reason::SecretMismatch => "SecretMismatch",
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
            Reason::AdmissionDenied => "AdmissionDenied",
            Reason::ClusterUnavailable => "ClusterUnavailable",
            Reason::InternalError => "InternalError",
        }
    }
}

/// A condition to set, without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// One of the condition types above.
    pub type_: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Why the condition has this status.
    pub reason: Reason,
    /// One full sentence that does not change from pass to pass: no request ids, counters or times.
    pub message: String,
}

/// Turns the wanted conditions into Kubernetes conditions. The transition time changes only when the status does.
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
