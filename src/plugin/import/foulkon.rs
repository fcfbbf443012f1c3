//! Resources for the providers of a Foulkon. Pure.

use serde_json::{Value, json};

use super::named::{Imported, Place};
use crate::admin::foulkon::Provider;
use crate::plugin::manifest::{Names, adopting, put, resource};

/// Resources for these providers. They trust the same issuer and the same clients.
pub fn manifests(providers: &[Provider], place: &Place<'_>) -> Imported {
    let mut found = Imported::default();
    let mut names = Names::default();
    for provider in providers {
        let mut spec = adopting(place.server);
        put(&mut spec, "issuer", json!(provider.issuer_url));
        put(&mut spec, "foulkon.name", json!(provider.name));
        let clients: Vec<Value> = provider
            .client_ids()
            .into_iter()
            .map(|id| json!({ "clientId": id }))
            .collect();
        put(&mut spec, "allowedClients", json!(clients));
        let name = names.like(&provider.name.to_string());
        found.notes.push(format!(
            "{name}: the adoption moves the provider to the path of its resource, which changes its URN in policies of Foulkon."
        ));
        found
            .manifests
            .push(resource("OidcProvider", &name, place.namespace, spec));
    }
    found
}
