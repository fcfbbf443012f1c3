//! Everything that can go wrong in a pass. Each error has one [`Treatment`], which decides condition, event and retry.

use crate::access::Denied;
use crate::admin::hydra::version::Unsupported;

mod foulkon;
mod login;
mod outage;
mod source;
mod treated;
mod treatment;
mod vault;
pub(crate) mod wording;

pub use foulkon::FoulkonFault;
pub use login::{LoginFault, Untold};
pub use outage::{ClusterFault, Outage};
pub use source::Source;
pub use treatment::{Class, Report, Retry, Suspect, Treatment};
pub use vault::VaultFault;
use wording::{key_part, named, namespace_part, shown, unsupported, version_part, waited_for};

/// Result of anything that a pass does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. `Display` is the message of the condition: a full sentence with the next step, stable, without any secret or reply body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The value of a referenced secret cannot be used.
    #[error("Secret `{secret}`, key `{key}`: the value {problem}; replace it with a usable one.")]
    UnusableSecret {
        /// Name of the Secret.
        secret: String,
        /// Key within it.
        key: String,
        /// What is wrong with the value.
        problem: &'static str,
    },
    /// What the spec of a server refers to holds what cannot be used.
    #[error("{field}: {problem}.")]
    UnusableSource {
        /// Path of the field below `spec` that refers to it.
        field: &'static str,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// A value of the spec cannot be used.
    #[error("{field}: {problem}.")]
    InvalidField {
        /// Path of the field below `spec`.
        field: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The resource is not of a form that can be read as a whole.
    #[error("{0}")]
    Unreadable(String),
    /// The server judged the metadata and refused it.
    #[error("The server does not accept {}; the last registration that it accepted stays in force. Correct the spec.", named(.0))]
    MetadataRefused(Vec<&'static str>),
    /// The server's version is not one that the operator can work with.
    #[error("The server reports version `{}`, which {}.", shown(.0), unsupported(*.1))]
    UnsupportedVersion(String, Unsupported),
    /// The spec asks for what this version of the server does not have.
    #[error(
        "AuthorizationServer `{server}`{} cannot do what the spec asks for in {}; nothing was changed. Remove it, or upgrade the server.",
        version_part(.version),
        .fields.join(", ")
    )]
    UnsupportedFields {
        /// Name of the AuthorizationServer.
        server: String,
        /// The version that it reports, if it does.
        version: Option<String>,
        /// The fields.
        fields: Vec<std::borrow::Cow<'static, str>>,
    },
    /// The server knows nothing of the kind.
    #[error(
        "AuthorizationServer `{server}` is a Foulkon, which has OidcProviders only; create a new {kind} for another server."
    )]
    UnsupportedKind {
        /// Name of the AuthorizationServer.
        server: String,
        /// The kind.
        kind: &'static str,
    },
    /// The access rules say no.
    #[error("AuthorizationServer `{server}`: {denied}")]
    NotAllowed {
        /// Name of the AuthorizationServer.
        server: String,
        /// Which rule and why.
        denied: Denied,
    },
    /// No AuthorizationServer of that name.
    #[error("AuthorizationServer `{0}` does not exist; create it or correct serverRef.")]
    ServerNotFound(String),
    /// The spec names no server and there is no default.
    #[error("There is no AuthorizationServer `default`; create it or set serverRef.")]
    NoDefaultServer,
    /// The AuthorizationServer is there but cannot be used.
    #[error("AuthorizationServer `{0}` is not ready; `kubectl describe authserver {0}` says why.")]
    ServerNotReady(String),
    /// The AuthorizationServer is being deleted.
    #[error("AuthorizationServer `{0}` is being deleted, so the operator creates nothing on it.")]
    ServerGoing(String),
    /// The AuthorizationServer was not looked at yet since the start; nothing to report.
    #[error("Waiting for the first look at AuthorizationServer `{0}`.")]
    ServerPending(String),
    /// A Secret or ConfigMap that is referred to, or a key of it, is missing.
    #[error("{kind} `{name}`{} does not exist{}; create it.", key_part(.key), namespace_part(.namespace))]
    SourceNotFound {
        /// Which of the two.
        kind: Source,
        /// Name of the object.
        name: String,
        /// Key within it, where the object exists and the key does not.
        key: Option<String>,
        /// Namespace, where it is not the resource's own.
        namespace: Option<String>,
    },
    /// A resource that the spec refers to is missing.
    #[error("{kind} `{name}` does not exist; create it.")]
    ReferenceNotFound {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A resource that the spec refers to is there, but not as it can be used.
    #[error("{kind} `{name}` is not ready; `kubectl describe {} {name} -n {namespace}` says why.", kind.to_lowercase())]
    ReferenceNotReady {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// A resource that the spec refers to lives on another server.
    #[error(
        "{field}: {kind} `{name}` is on AuthorizationServer `{there}` and this resource on `{here}`; refer to one on the same server."
    )]
    ReferenceElsewhere {
        /// Field that refers to it.
        field: &'static str,
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Its server.
        there: String,
        /// The server of the resource that refers to it.
        here: String,
    },
    /// `credentials.data` needs what the server does not tell.
    #[error(
        "credentials.data needs $({variable}), which AuthorizationServer `{server}` does not tell: set hydra.publicUrl there."
    )]
    VariableUnknown {
        /// Name of the variable.
        variable: &'static str,
        /// Name of the AuthorizationServer.
        server: String,
    },
    /// `credentials.data` needs what the server has not told yet.
    #[error(
        "credentials.data needs $({variable}), and the discovery document of AuthorizationServer `{server}` could not be read yet."
    )]
    VariablePending {
        /// Name of the variable.
        variable: &'static str,
        /// Name of the AuthorizationServer.
        server: String,
    },
    /// A secret is to be replaced where the old one ends with the new one's beginning.
    #[error(
        "AuthorizationServer `{0}` keeps one secret per client, so logins fail between its change and the application's next look at the Secret; nothing was changed. Set rotation.withoutOverlap: Allow, or use private_key_jwt with keySetRef."
    )]
    RotationWithoutOverlap(String),
    /// The server's log-in was refused.
    #[error(
        "The server answered {0}: it refuses the operator's login; check hydra.auth and tls of the AuthorizationServer."
    )]
    ServerRefused(u16),
    /// The key set hands out no private key.
    #[error(
        "JsonWebKeySet `{0}` provides no private key, which credentials.data needs; set privateKey there, or remove the variable."
    )]
    NoPrivateKey(String),
    /// The client was taken over, and its secret is known to others only.
    #[error(
        "The client existed on the server before, and the operator does not know its secret; name a Secret that holds it in clientSecretRef, or have it replaced: rotation.withoutOverlap: Allow and the annotation oidc-operator.dev/rotate-at."
    )]
    SecretUnknown,
    /// The client exists and is somebody else's.
    #[error(
        "The client `{0}` exists on the server and does not belong to this resource; nothing was changed. Choose another clientId."
    )]
    NotOwned(String),
    /// The client exists and is nobody's.
    #[error(
        "The client `{0}` exists on the server and no resource manages it; nothing was changed. Adopt it with adoption: Allow, or choose another clientId."
    )]
    NotAdopted(String),
    /// It is there, and the mark or the claim of another cluster makes it that one's.
    #[error(
        "The {type_} `{}` on the server belongs to cluster `{}`, whose mark it has; nothing was changed. If this cluster takes the place of that one, list its id in --former-cluster-ids of the operator (formerClusterIds of the chart).",
        shown(.name),
        shown(.cluster)
    )]
    OtherCluster {
        /// Its type.
        type_: &'static str,
        /// Its name.
        name: String,
        /// Id of the other cluster.
        cluster: String,
    },
    /// An object of the name is there and somebody else's.
    #[error(
        "The {type_} `{}` already exists on the server and does not belong to this resource; nothing was changed. Choose another name, or delete it on the server.",
        shown(.name)
    )]
    ObjectNotOwned {
        /// Its type.
        type_: &'static str,
        /// Its name.
        name: String,
    },
    /// Another resource of ours has the name.
    #[error("Another resource has the {type_} `{}` on this server, or asked for it first; choose another name.", shown(.name))]
    NameClaimed {
        /// Its type.
        type_: &'static str,
        /// Its name.
        name: String,
    },
    /// The key set exists and holds somebody else's keys.
    #[error(
        "The key set `{0}` on the server belongs to another resource or holds keys of others; nothing was changed. Choose another setName."
    )]
    KeySetNotOwned(String),
    /// A Secret of that name exists and is somebody else's.
    #[error(
        "Secret `{0}` exists and does not belong to this resource; nothing was changed. Delete it or choose another secretName."
    )]
    SecretConflict(String),
    /// A ConfigMap of that name exists and is somebody else's.
    #[error(
        "ConfigMap `{0}` exists and does not belong to this resource; nothing was changed. Delete it or choose another configMapName."
    )]
    ConfigMapConflict(String),
    /// A ConfigMap of that name belongs to a namesake that is just going.
    #[error("ConfigMap `{0}` belongs to an earlier resource of this name and is being deleted.")]
    ConfigMapGoing(String),
    /// A Secret of that name belongs to a namesake that is just going.
    #[error("Secret `{0}` belongs to an earlier resource of this name and is being deleted.")]
    SecretGoing(String),
    /// Somebody else keeps changing the client.
    #[error(
        "Somebody else changed it on the server three times within an hour, so the operator stopped correcting it; find out who, then change this resource or wait an hour."
    )]
    Contested,
    /// The server cannot be used at the moment.
    #[error("The server cannot be used now: {0}. The operator keeps trying.")]
    Unavailable(Outage),
    /// The server did not finish a write in time, and is well. `fields`: what it may have waited for.
    #[error("The server did not finish the request in time{}. The operator tries again, at longer and longer intervals.", waited_for(.0))]
    Unfinished(Vec<&'static str>),
    /// A resource that was in sync could not be checked; its status does not change.
    #[error("The object could not be checked: {0}.")]
    Unverified(Outage),
    /// The public API cannot be used at the moment, which says nothing about the admin API.
    #[error("The public API of the server cannot be used now: {0}. The operator keeps trying.")]
    PublicUnavailable(Outage),
    /// The object changed between a look and a write, or a write may still be in progress.
    #[error("Another request changes the same object on the server; the operator tries again shortly.")]
    Overtaken,
    /// The URL leads elsewhere.
    #[error("{what} {problem}; check {field} of the AuthorizationServer.")]
    NotRecognized {
        /// What was asked.
        what: &'static str,
        /// What came back.
        problem: &'static str,
        /// The field to check.
        field: &'static str,
    },
    /// The issuer is not the one that this server had.
    #[error(
        "The server's issuer is now `{}` and was `{}`, so nothing is written. If that is right, confirm it by setting hydra.issuer to the new one.",
        shown(.found),
        shown(.known)
    )]
    IssuerChanged {
        /// Issuer in status or spec.
        known: String,
        /// Issuer in the discovery document.
        found: String,
    },
    /// The issuer is not the one that tokens of this provider must carry.
    #[error(
        "The discovery document of AuthorizationServer `{server}` names the issuer `{}` where `{}` is expected; the published values stay. Set issuer to the first one if it is right, otherwise correct the server.",
        shown(.found),
        shown(.expected)
    )]
    IssuerMismatch {
        /// Name of the AuthorizationServer.
        server: String,
        /// The issuer that the spec asks for, or the public URL.
        expected: String,
        /// Issuer in the discovery document.
        found: String,
    },
    /// The public API is not known.
    #[error(
        "AuthorizationServer `{0}` has no hydra.publicUrl, so the discovery document cannot be read; set it there."
    )]
    PublicUrlMissing(String),
    /// The key set has nothing to verify tokens with.
    #[error(
        "AuthorizationServer `{0}` publishes no public key to verify tokens with; look at its key set /.well-known/jwks.json."
    )]
    NoSigningKey(String),
    /// The key set shows private keys.
    #[error(
        "AuthorizationServer `{0}` shows a private key to everybody in /.well-known/jwks.json, so anybody can forge tokens; replace its keys and publish the public halves only."
    )]
    PrivateKeysPublished(String),
    /// Resources still use the server.
    #[error(
        "Resources with deletionPolicy Delete still use this server, for example {0}; delete them, or set their deletionPolicy to Orphan."
    )]
    InUse(String),
    /// Another resource refers to the resource.
    #[error("{user} `{name}` still refers to this {kind}; remove it from its {field}, or delete that resource first.")]
    InUseBy {
        /// Kind of the resource.
        kind: &'static str,
        /// Kind of the other one.
        user: &'static str,
        /// Name of the other one.
        name: String,
        /// Its field that refers to the resource.
        field: &'static str,
    },
    /// The server object went before its resource.
    #[error(
        "AuthorizationServer `{0}` is gone, so nothing can be deleted on it. Bring it back, or let go with `kubectl annotate {1} {2} -n {3} oidc-operator.dev/abandon=true`."
    )]
    CleanupWithoutServer(String, &'static str, String, String),
    /// Cleanup waits for the server.
    #[error(
        "The operator deletes it as soon as AuthorizationServer `{server}` is available again. To leave it there, {}`kubectl annotate {kind} {name} -n {namespace} oidc-operator.dev/abandon=true`.",
        if *.may_orphan { "" } else { "have its admin allow deletionPolicy Orphan, then " }
    )]
    CleanupWaits {
        /// Name of the AuthorizationServer.
        server: String,
        /// Short name of the kind.
        kind: &'static str,
        /// Name of the resource.
        name: String,
        /// Its namespace.
        namespace: String,
        /// Whether the access rules let clients be left behind.
        may_orphan: bool,
        /// Whether the server's own pass has to look first.
        suspect: Suspect,
    },
    /// An unconfirmed request may still be under way.
    #[error("A request may still be in progress; the operator checks the server again.")]
    CleanupUnconfirmed,
    /// A request to the Kubernetes API failed.
    #[error("The Kubernetes API {0}. The operator keeps trying.")]
    Cluster(ClusterFault),
    /// Leadership is about to lapse; the next leader goes on.
    #[error("This instance is not the leader any more.")]
    NotLeader,
    /// The server's reply makes no sense.
    #[error(
        "The server's reply to {operation} {problem}; this is a fault of the server, of a proxy before it, or of the operator."
    )]
    Reply {
        /// Name of the operation.
        operation: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A fault of the operator.
    #[error("The operator cannot {0}; this is a fault of the operator, so please report it.")]
    Internal(&'static str),
    /// Nothing is sent to log in with, or to make a client's secret.
    #[error(transparent)]
    Login(#[from] LoginFault),
    /// What only a Vault or an OpenBao says, or is asked.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// What only a Foulkon says, or is asked.
    #[error(transparent)]
    Foulkon(#[from] FoulkonFault),
    /// The namespace was not seen yet; nothing to report.
    #[error("Waiting for namespace `{0}`.")]
    NamespacePending(String),
    /// The pass took too long.
    #[error("The pass did not end in time. The operator keeps trying.")]
    TooLong,
}
