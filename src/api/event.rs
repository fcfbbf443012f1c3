//! The events that the operator publishes about its resources, besides those for changes of `Ready`: a closed list.

use kube::runtime::events::EventType;

/// What an event reports. The docs have a line for each; the first one matters most, and the others follow in this
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// The client has another secret than its applications may have, because the former one was lost or a backup brought
    /// back an older one. Restart the applications.
    SecretReplaced,
    /// The private key was lost, in the cluster and on the server, so that a new key signs.
    KeysReplaced,
    /// The client was deleted on the server, which gave the new one another id and another secret. Restart the
    /// applications.
    ClientReplaced,
    /// The resource is deleted, but its object stays on the server, because the operator must not or cannot delete it.
    LeftBehind,
    /// The operator ignores an annotation, because its name or its value is mistyped. The note says what would be right.
    AnnotationIgnored,
    /// The object was created on the server.
    Registered,
    /// The object existed on the server before, and now belongs to the resource. The note names what was changed.
    Adopted,
    /// What an earlier resource of this name left, or what a backup brought back, belongs to the resource now.
    Restored,
    /// The operator now owns what the operator of a former cluster made.
    MarkTakenOver,
    /// Somebody changed or deleted the object on the server, and the operator corrected it. The note names the fields.
    DriftCorrected,
    /// A change of the resource, or of what it refers to, changed the object on the server. The note names the fields.
    Updated,
    /// The client has a new secret, because the rotation was due or requested.
    SecretRotated,
    /// The former secret of the client is no longer valid, because the overlap after a rotation has ended.
    FormerSecretEnded,
    /// Another key signs now, because the rotation was due or requested, or because the imported key was replaced.
    KeyRotated,
    /// Somebody changed or deleted a Secret of the operator, and the operator wrote it again.
    SecretRestored,
    /// The Secret has another name now, and the one with the former name is deleted.
    SecretRenamed,
    /// The resource is deleted, and its object stays on the server as requested; the operator no longer manages it.
    Released,
    /// The object was deleted on the server.
    Deleted,
    /// On an AuthorizationServer: a client whose resource no longer exists was deleted on the server.
    OrphanDeleted,
}

impl Happening {
    /// All of them, the most important first.
    pub const ALL: [Happening; 19] = [
        Happening::SecretReplaced,
        Happening::KeysReplaced,
        Happening::ClientReplaced,
        Happening::LeftBehind,
        Happening::AnnotationIgnored,
        Happening::Registered,
        Happening::Adopted,
        Happening::Restored,
        Happening::MarkTakenOver,
        Happening::DriftCorrected,
        Happening::Updated,
        Happening::SecretRotated,
        Happening::FormerSecretEnded,
        Happening::KeyRotated,
        Happening::SecretRestored,
        Happening::SecretRenamed,
        Happening::Released,
        Happening::Deleted,
        Happening::OrphanDeleted,
    ];

    /// The reason of the event.
    pub fn as_str(self) -> &'static str {
        match self {
            Happening::SecretReplaced => "SecretReplaced",
            Happening::KeysReplaced => "KeysReplaced",
            Happening::ClientReplaced => "ClientReplaced",
            Happening::LeftBehind => "LeftBehind",
            Happening::AnnotationIgnored => "AnnotationIgnored",
            Happening::Registered => "Registered",
            Happening::Adopted => "Adopted",
            Happening::Restored => "Restored",
            Happening::MarkTakenOver => "MarkTakenOver",
            Happening::DriftCorrected => "DriftCorrected",
            Happening::Updated => "Updated",
            Happening::SecretRotated => "SecretRotated",
            Happening::FormerSecretEnded => "FormerSecretEnded",
            Happening::KeyRotated => "KeyRotated",
            Happening::SecretRestored => "SecretRestored",
            Happening::SecretRenamed => "SecretRenamed",
            Happening::Released => "Released",
            Happening::Deleted => "Deleted",
            Happening::OrphanDeleted => "OrphanDeleted",
        }
    }

    /// The type of the event.
    pub fn type_(self) -> EventType {
        match self {
            Happening::SecretReplaced
            | Happening::KeysReplaced
            | Happening::ClientReplaced
            | Happening::LeftBehind
            | Happening::AnnotationIgnored => EventType::Warning,
            Happening::Registered
            | Happening::Adopted
            | Happening::Restored
            | Happening::MarkTakenOver
            | Happening::DriftCorrected
            | Happening::Updated
            | Happening::SecretRotated
            | Happening::FormerSecretEnded
            | Happening::KeyRotated
            | Happening::SecretRestored
            | Happening::SecretRenamed
            | Happening::Released
            | Happening::Deleted
            | Happening::OrphanDeleted => EventType::Normal,
        }
    }
}
