//! Everything that can go wrong in a pass. Each error has one [`Treatment`], which decides condition, event and retry.

use crate::access::Denied;
use crate::admin::hydra::version::Unsupported;

mod earlier;
mod foulkon;
mod issuer;
mod login;
mod outage;
mod source;
mod tls;
mod treated;
mod treatment;
mod vault;
pub(crate) mod wording;

pub use earlier::{EarlierFault, Listing};
pub use foulkon::FoulkonFault;
pub use issuer::IssuerFault;
pub use login::{LoginFault, Untold};
pub use outage::{ClusterFault, Denial, Hindrance, Outage, ProxyFault, ProxyTrouble, Wording};
pub use source::{Source, Taken};
pub use tls::{CertificateNames, TlsFault, Trust};
pub use treatment::{Class, Report, Retry, Suspect, Treatment};
pub use vault::VaultFault;
use wording::{key_part, named, namespace_part, shown, unsupported, version_part, waited_for};

/// Result of anything that a pass does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a pass failed. `Display` is the message of the condition: what is wrong and what to do, in full sentences. It is
/// stable, and contains no secret and no body of a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The value of a referenced Secret cannot be used.
    #[error("Secret `{secret}`, key `{key}`: the value {problem}. Replace it with a usable one.")]
    UnusableSecret {
        /// Name of the Secret.
        secret: String,
        /// Key in the Secret.
        key: String,
        /// What is wrong with the value.
        problem: &'static str,
    },
    /// A Secret or ConfigMap that a spec refers to has an unusable value.
    #[error("{field}: {problem}.")]
    UnusableSource {
        /// Path of the field below `spec` with the reference.
        field: &'static str,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// A field of the spec has an unusable value.
    #[error("{field}: {problem}.")]
    InvalidField {
        /// Path of the field below `spec`.
        field: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The resource cannot be decoded as a whole.
    #[error("{0}")]
    Unreadable(String),
    /// The server refused the client metadata.
    #[error("The server does not accept {}; what is registered there stays as it is. Correct the spec.", named(.0))]
    MetadataRefused(Vec<&'static str>),
    /// The operator does not support the server's version.
    #[error("The server reports version `{}`, which {}.", shown(.0), unsupported(*.1))]
    UnsupportedVersion(String, Unsupported),
    /// The server, or its version, does not have what the spec sets.
    #[error(
        "AuthorizationServer `{server}`{} does not support what this resource sets in {}; nothing was changed. Remove it, or use a server or version that supports it.",
        version_part(.version),
        .fields.join(", ")
    )]
    UnsupportedFields {
        /// Name of the AuthorizationServer.
        server: String,
        /// Version that the server reports. None: it reports none.
        version: Option<String>,
        /// The unsupported fields.
        fields: Vec<std::borrow::Cow<'static, str>>,
    },
    /// The server does not have this kind.
    #[error(
        "AuthorizationServer `{server}` is a Foulkon, which supports OidcProviders only. Create a new {kind} on another server."
    )]
    UnsupportedKind {
        /// Name of the AuthorizationServer.
        server: String,
        /// Kind of the resource.
        kind: &'static str,
    },
    /// The access rules do not allow the resource.
    #[error("AuthorizationServer `{server}`: {denied}")]
    NotAllowed {
        /// Name of the AuthorizationServer.
        server: String,
        /// Which rule denies the resource, and why.
        denied: Denied,
    },
    /// The operator does not work in the namespace of the resource.
    #[error(
        "The operator does not work in namespace `{0}`. Ask the admin of the operator to add it to watchNamespaces, or create this resource in another namespace."
    )]
    NamespaceNotWatched(String),
    /// The operator cannot keep the Secret of a client, because it does not work in its namespace any more.
    #[error(
        "The operator does not work in namespace `{0}`, so it cannot keep the Secret of this client. Ask the admin of the operator to add the namespace to watchNamespaces, or set deletionPolicy: Delete to delete client and Secret."
    )]
    NamespaceLeft(String),
    /// The AuthorizationServer does not exist.
    #[error(
        "AuthorizationServer `{0}` does not exist. Create it, or create this resource again with another serverRef."
    )]
    ServerNotFound(String),
    /// The spec names no server, and the default one does not exist.
    #[error("AuthorizationServer `default` does not exist. Create it, or create this resource again with a serverRef.")]
    NoDefaultServer,
    /// The AuthorizationServer exists but cannot be used.
    #[error("AuthorizationServer `{0}` is not ready. Run `kubectl describe authserver {0}` to see why.")]
    ServerNotReady(String),
    /// The AuthorizationServer is being deleted.
    #[error("AuthorizationServer `{0}` is being deleted. Create this resource again with another serverRef.")]
    ServerGoing(String),
    /// The operator has not checked the AuthorizationServer since it started. Not reported.
    #[error("Waiting for the first check of AuthorizationServer `{0}`.")]
    ServerPending(String),
    /// A referenced Secret or ConfigMap, or a key in it, does not exist.
    #[error("{kind} `{name}`{} does not exist{}. Create it.", key_part(.key), namespace_part(.namespace))]
    SourceNotFound {
        /// Kind of the object.
        kind: Source,
        /// Name of the object.
        name: String,
        /// The missing key. None: the object itself does not exist.
        key: Option<String>,
        /// Namespace, if it is not the resource's own.
        namespace: Option<String>,
    },
    /// A referenced resource does not exist.
    #[error("{kind} `{name}` does not exist. Create it.")]
    ReferenceNotFound {
        /// Kind of the referenced resource.
        kind: &'static str,
        /// Name of the referenced resource.
        name: String,
    },
    /// A referenced resource exists but cannot be used yet.
    #[error("{kind} `{name}` is not ready. Run `kubectl describe {} {name} -n {namespace}` to see why.", kind.to_lowercase())]
    ReferenceNotReady {
        /// Kind of the referenced resource.
        kind: &'static str,
        /// Name of the referenced resource.
        name: String,
        /// Namespace of the referenced resource.
        namespace: String,
    },
    /// A referenced resource is on another server.
    #[error(
        "{field}: {kind} `{name}` is on AuthorizationServer `{there}`, but this resource is on `{here}`. Refer to a resource on the same server."
    )]
    ReferenceElsewhere {
        /// Field with the reference.
        field: &'static str,
        /// Kind of the referenced resource.
        kind: &'static str,
        /// Name of the referenced resource.
        name: String,
        /// Server of the referenced resource.
        there: String,
        /// Server of the referring resource.
        here: String,
    },
    /// `credentials.data` needs a value that the server does not provide.
    #[error(
        "credentials.data needs $({variable}), which AuthorizationServer `{server}` does not provide. Set hydra.publicUrl there."
    )]
    VariableUnknown {
        /// Name of the variable.
        variable: &'static str,
        /// Name of the AuthorizationServer.
        server: String,
    },
    /// `credentials.data` needs a value that the server has not provided yet.
    #[error(
        "credentials.data needs $({variable}), but the operator could not read the discovery document of AuthorizationServer `{server}` yet. Run `kubectl describe authserver {server}` to see why."
    )]
    VariablePending {
        /// Name of the variable.
        variable: &'static str,
        /// Name of the AuthorizationServer.
        server: String,
    },
    /// A client secret is to be replaced, and the server keeps only one: the old secret ends when the new one starts.
    #[error(
        "AuthorizationServer `{0}` keeps one secret per client, so logins would fail from a rotation until the application reads the Secret again; nothing was changed. Set rotation.withoutOverlap: Allow, or use private_key_jwt with keySetRef."
    )]
    RotationWithoutOverlap(String),
    /// The server refused the operator's login.
    #[error(
        "The server answered {0}: it refuses the operator's login. Check hydra.auth and tls of the AuthorizationServer."
    )]
    ServerRefused(u16),
    /// The server has no version where it should be.
    #[error(
        "The admin API is not found where it should be. Check hydra.adminUrl of the AuthorizationServer; if only /version is not found, set hydra.version."
    )]
    ProbeNotFound,
    /// The server refused the operator's login when it was asked for its version.
    #[error(
        "The server answered {0}: it refuses the operator's login. Check hydra.auth and tls of the AuthorizationServer; if it refuses only /version, set hydra.version."
    )]
    ProbeDenied(u16),
    /// The key set provides no private key.
    #[error(
        "JsonWebKeySet `{0}` provides no private key, which credentials.data needs. Set privateKey there, or remove the variable."
    )]
    NoPrivateKey(String),
    /// The client was adopted, and the operator does not know its secret.
    #[error(
        "The client existed on the server before this resource, and the operator does not know its secret. Name a Secret that holds it in clientSecretRef, or replace it with rotation.withoutOverlap: Allow and the annotation oidc-operator.dev/rotate-at."
    )]
    SecretUnknown,
    /// The client to adopt has another secret than the one that the spec refers to, or that the resource takes over.
    #[error(
        "The client on the server has another secret than the Secret that this resource reads, so its applications could not log in after an adoption; nothing was changed. Correct the Secret, or set onSecretMismatch: Replace."
    )]
    SecretMismatch,
    /// The client exists and has another owner.
    #[error(
        "The client `{0}` exists on the server and does not belong to this resource; nothing was changed. Create a new resource with another clientId."
    )]
    NotOwned(String),
    /// The client exists, and no resource manages it.
    #[error(
        "The client `{0}` exists on the server and no resource manages it; nothing was changed. Adopt it with adoption: Allow and a grant of the server's admin (adopt.clientIds), or create a new resource with another clientId."
    )]
    NotAdopted(String),
    /// The object exists, and its marker or claim is that of another cluster.
    #[error("The {type_} `{}` on the server belongs to cluster `{}`; nothing was changed. If this cluster replaces that cluster, add its id to --former-cluster-ids of the operator (formerClusterIds of the chart).", shown(.name), shown(.cluster))]
    OtherCluster {
        /// Type of the object.
        type_: &'static str,
        /// Name of the object.
        name: String,
        /// Id of the other cluster.
        cluster: String,
    },
    /// An object of that name exists and has another owner.
    #[error(
        "The {type_} `{}` already exists on the server and does not belong to this resource; nothing was changed. Adopt it with adoption: Allow and a grant of the server's admin (adopt.objectNames), or create a new resource with another name.",
        shown(.name)
    )]
    ObjectNotOwned {
        /// Type of the object.
        type_: &'static str,
        /// Name of the object.
        name: String,
    },
    /// Another resource of this cluster has the name.
    #[error("Another resource has the {type_} `{}` on this server, or asked for it first. Create a new resource with another name.", shown(.name))]
    NameClaimed {
        /// Type of the object.
        type_: &'static str,
        /// Name of the object.
        name: String,
    },
    /// The key set exists and has another owner, or holds keys of other owners.
    #[error(
        "The key set `{0}` on the server belongs to another resource or holds keys of other owners; nothing was changed. Create a new resource with another setName."
    )]
    KeySetNotOwned(String),
    /// Something was there before the resource and cannot be taken over.
    #[error(transparent)]
    Earlier(#[from] EarlierFault),
    /// A Secret of that name exists and has another owner.
    #[error("Secret {0}. Delete it or choose another secretName.")]
    SecretConflict(Taken),
    /// A ConfigMap of that name exists and has another owner.
    #[error("ConfigMap {0}. Delete it or choose another configMapName.")]
    ConfigMapConflict(Taken),
    /// A Secret or ConfigMap of that name belongs to an earlier resource of the same name and is being deleted.
    #[error("{0} `{1}` belongs to an earlier resource of this name and is being deleted.")]
    Going(Source, String),
    /// Another writer keeps changing the object.
    #[error(
        "Another writer changed the object on the server ({0}) three times within an hour, so the operator stopped correcting it. Find that writer, then change this resource or wait an hour."
    )]
    Contested(String),
    /// The server cannot be used now.
    #[error("The server cannot be used now: {0}. The operator keeps trying.")]
    Unavailable(Outage),
    /// The server did not finish a write in time. The fields name what it may have waited for.
    #[error("The server did not finish the request in time{}. The operator tries again at increasing intervals.", waited_for(.0))]
    Unfinished(Vec<&'static str>),
    /// A resource that was in sync could not be checked; its status does not change.
    #[error("The object could not be checked: {0}.")]
    Unverified(Outage),
    /// The public API cannot be used now. The admin API may work.
    #[error("The public API of the server cannot be used now: {0}. The operator keeps trying.")]
    PublicUnavailable(Outage),
    /// The object changed between a read and a write, or another write may still be in progress.
    #[error("Another request is changing the same object on the server. The operator tries again shortly.")]
    Overtaken,
    /// The URL does not lead to the expected API.
    #[error("{what} {problem}. Check {field} of the AuthorizationServer.")]
    NotRecognized {
        /// What the operator requested.
        what: &'static str,
        /// What is wrong with the reply.
        problem: &'static str,
        /// Field with the URL.
        field: &'static str,
    },
    /// Resources still use the server.
    #[error(
        "Resources still have something on this server, for example {0}. Delete them first; with deletionPolicy: Orphan it stays there without the operator's mark."
    )]
    InUse(String),
    /// Another resource refers to the resource.
    #[error(
        "{user} `{name}` still refers to this {kind}. Remove it from {field} of the {user}, or delete the {user} first."
    )]
    InUseBy {
        /// Kind of the resource to delete.
        kind: &'static str,
        /// Kind of the referring resource.
        user: &'static str,
        /// Name of the referring resource.
        name: String,
        /// Field with the reference.
        field: &'static str,
    },
    /// The AuthorizationServer was deleted before the resource.
    #[error(
        "AuthorizationServer `{0}` does not exist, so the operator cannot delete anything on it. Create it again, or skip the deletion on it with `kubectl annotate {1} {2} -n {3} oidc-operator.dev/abandon=true`."
    )]
    CleanupWithoutServer(String, &'static str, String, String),
    /// Cleanup waits for the server.
    #[error(
        "The operator deletes the object when AuthorizationServer `{server}` is available again. To leave it there, {}run `kubectl annotate {kind} {name} -n {namespace} oidc-operator.dev/abandon=true`.",
        if *.may_orphan { "" } else { "ask its admin to allow deletionPolicy Orphan, then " }
    )]
    CleanupWaits {
        /// Name of the AuthorizationServer.
        server: String,
        /// Short name of the kind.
        kind: &'static str,
        /// Name of the resource.
        name: String,
        /// Namespace of the resource.
        namespace: String,
        /// Whether the access rules allow the resource to leave its object on the server.
        may_orphan: bool,
        /// Whether the server's own pass must check the server.
        suspect: Suspect,
    },
    /// A request whose result is unknown may still be in progress.
    #[error("A request may still be in progress. The operator checks the server again.")]
    CleanupUnconfirmed,
    /// A request to the Kubernetes API failed.
    #[error("The Kubernetes API {0}.")]
    Cluster(ClusterFault),
    /// The leader election lease is about to expire; the next leader continues.
    #[error("This instance is no longer the leader.")]
    NotLeader,
    /// The server's reply is not valid.
    #[error(
        "The server's reply to {operation} {problem}. This is a fault of the server, of a proxy in front of it, or of the operator."
    )]
    Reply {
        /// Name of the operation.
        operation: &'static str,
        /// What is wrong with the reply.
        problem: &'static str,
    },
    /// A bug in the operator.
    #[error("The operator cannot {0}. This is a bug in the operator; please report it.")]
    Internal(&'static str),
    /// A credential must not be sent to the server, for a login or as a client secret.
    #[error(transparent)]
    Login(#[from] LoginFault),
    /// The issuer or its keys must not be trusted.
    #[error(transparent)]
    Issuer(#[from] IssuerFault),
    /// A fault that only Vault and OpenBao have.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// A fault that only Foulkon has.
    #[error(transparent)]
    Foulkon(#[from] FoulkonFault),
    /// The watch has not shown the namespace yet. Not reported.
    #[error("Waiting for namespace `{0}`.")]
    NamespacePending(String),
    /// The pass took too long.
    #[error("The operator did not finish in time. It keeps trying.")]
    TooLong,
}
