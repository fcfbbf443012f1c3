//! The custom resources: types, documentation, validation rules. No I/O.
//!
//! The doc comments of fields are user documentation: `kubectl explain` shows them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub mod access;
pub mod authorization_server;
pub mod condition;
pub mod oauth2_client;
pub mod refs;

pub use authorization_server::AuthorizationServer;
pub use oauth2_client::OAuth2Client;

/// API group of every kind.
pub const GROUP: &str = "oidc-operator.dev";

/// Our finalizer, on resources that may have a remote object.
pub const FINALIZER: &str = "oidc-operator.dev/cleanup";

/// Field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "oidc-operator";

/// Label of Secrets that the operator watches: its own, and those of users who want a change pushed at once.
pub const WATCH_LABEL: &str = "oidc-operator.dev/watch";

/// Label on our Secrets: the UID of the resource they belong to.
pub const UID_LABEL: &str = "oidc-operator.dev/uid";

/// Annotation on a credentials Secret: the revision of the ledger it was written from.
pub const REVISION_ANNOTATION: &str = "oidc-operator.dev/revision";

/// Annotation by which a user lets a resource go without its remote object being deleted.
pub const ABANDON_ANNOTATION: &str = "oidc-operator.dev/abandon";

/// Name of the `AuthorizationServer` used by resources that name none.
pub const DEFAULT_SERVER: &str = "default";

/// Every CustomResourceDefinition of the operator, in the order in which to install them.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![AuthorizationServer::crd(), OAuth2Client::crd()]
}
