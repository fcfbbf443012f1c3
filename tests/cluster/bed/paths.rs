//! Requests to Hydra's admin API, of either version: version 2 has a prefix before the same paths.

use testbed::HydraMajor;
use testbed::proxy::RequestHead;

use super::Bed;

/// Whether the request is for a page of the listing of clients.
pub fn is_list(head: &RequestHead) -> bool {
    head.method == "GET" && path(head) == "/clients"
}

/// Whether the request creates a client.
pub fn is_create(head: &RequestHead) -> bool {
    head.method == "POST" && path(head) == "/clients"
}

/// Whether the request is about clients.
pub fn is_of_clients(head: &RequestHead) -> bool {
    path(head).starts_with("/clients")
}

fn path(head: &RequestHead) -> &str {
    head.path().strip_prefix("/admin").unwrap_or(head.path())
}

impl Bed {
    /// Path of a client in the admin API.
    pub fn client_path(&self, id: &str) -> String {
        match self.major {
            HydraMajor::V1 => format!("/clients/{id}"),
            HydraMajor::V2 => format!("/admin/clients/{id}"),
        }
    }
}
