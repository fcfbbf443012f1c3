//! The custom resources: types, documentation and validation rules. No I/O.
//!
//! The doc comments of fields are user documentation: `kubectl explain` shows them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub mod access;
pub mod annotation;
pub mod assignment;
pub mod authorization_server;
pub mod condition;
pub mod event;
pub mod guide;
pub mod json;
pub mod json_web_key_set;
pub mod oauth2_client;
pub mod oidc_provider;
mod patterns;
pub mod refs;
pub mod scope;
pub mod status;

pub use assignment::Assignment;
pub use authorization_server::AuthorizationServer;
pub use json_web_key_set::JsonWebKeySet;
pub use oauth2_client::OAuth2Client;
pub use oidc_provider::OidcProvider;
pub use scope::Scope;

/// API group of every kind.
pub const GROUP: &str = "oidc-operator.dev";

/// The operator's finalizer, on resources that may have a remote object.
pub const FINALIZER: &str = "oidc-operator.dev/cleanup";

/// Field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "oidc-operator";

/// Label of Secrets that the operator watches: its own, and users' Secrets whose changes it must send at once.
pub const WATCH_LABEL: &str = "oidc-operator.dev/watch";

/// Label of the operator's Secrets: the UID of the resource that they belong to.
pub const UID_LABEL: &str = "oidc-operator.dev/uid";

/// Annotation of a credentials Secret: the revision of the ledger that it was written from.
pub const REVISION_ANNOTATION: &str = "oidc-operator.dev/revision";

/// Annotation of a ledger: the name of the resource that it belongs to. A backup drops owner references, not annotations.
pub const RESOURCE_ANNOTATION: &str = "oidc-operator.dev/resource";

/// Annotation with which a user lets a resource be deleted without its remote object.
pub const ABANDON_ANNOTATION: &str = "oidc-operator.dev/abandon";

/// Annotation with which a user requests a rotation at a time (RFC 3339), or at once if that time has passed.
pub const ROTATE_AT_ANNOTATION: &str = "oidc-operator.dev/rotate-at";

/// Annotation with which a user requests a full pass: each new value is one request.
pub const RECONCILE_AT_ANNOTATION: &str = "oidc-operator.dev/reconcile-at";

/// Annotation with which Flux requests the same.
pub const FLUX_REQUEST_ANNOTATION: &str = "reconcile.fluxcd.io/requestedAt";

/// Annotation of a user's Secret: the key of the client id in it, which the operator may make public.
pub const CLIENT_ID_KEY_ANNOTATION: &str = "oidc-operator.dev/client-id-key";

/// Annotation of a user's Secret: the name of the OAuth2Client that may take it over as its credentials Secret, when it
/// adopts its client.
pub const ADOPTABLE_BY_ANNOTATION: &str = "oidc-operator.dev/adoptable-by";

/// Annotation of a resource that was moved in from another tool: what it was there, for the way back.
pub const MIGRATED_FROM_ANNOTATION: &str = "oidc-operator.dev/migrated-from";

/// Name of the `AuthorizationServer` used by resources that name none.
pub const DEFAULT_SERVER: &str = "default";

/// Every CustomResourceDefinition of the operator, in installation order.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let all = [
        AuthorizationServer::crd(),
        OAuth2Client::crd(),
        Scope::crd(),
        Assignment::crd(),
        JsonWebKeySet::crd(),
        OidcProvider::crd(),
    ];
    all.map(patterns::explained).into()
}

/// A CustomResourceDefinition as YAML for kubectl and Helm. They read YAML 1.1, in which a bare `y` or `n` (coordinates
/// and moduli of keys) is a boolean, so the serializer quotes such keys.
///
/// # Errors
/// None that a CustomResourceDefinition could cause.
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, serde_saphyr::SerializeError> {
    serde_saphyr::to_string(crd)
}
