//! Requests to Hydra's admin API, of whatever version: the newer one has a prefix before the same paths.

use testbed::HydraMajor;
use testbed::proxy::RequestHead;

use super::Bed;

/// A page of the listing of clients.
pub fn is_list(head: &RequestHead) -> bool {
    head.method == "GET" && path(head) == "/clients"
}

/// The creation of a client.
pub fn is_create(head: &RequestHead) -> bool {
    head.method == "POST" && path(head) == "/clients"
}

/// Anything about clients.
pub fn is_of_clients(head: &RequestHead) -> bool {
    path(head).starts_with("/clients")
}

fn path(head: &RequestHead) -> &str {
    head.path().strip_prefix("/admin").unwrap_or(head.path())
}

impl Bed {
    /// The path of a client.
    pub fn client_path(&self, id: &str) -> String {
        match self.major {
            HydraMajor::V1 => format!("/clients/{id}"),
            HydraMajor::V2 => format!("/admin/clients/{id}"),
        }
    }
}
