//! AuthorizationServers: how the operator logs in and identifies the server, and what it does during an outage and with
//! malformed replies.

use libtest_mimic::Trial;

use crate::run::Side;

mod gateway;
mod hostile;
mod identity;
mod leaving;
mod login;
pub mod network;
mod outage;
mod public;
mod rate;
mod tls;
mod upgrade;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let lists = [
        gateway::trials,
        hostile::trials,
        identity::trials,
        leaving::trials,
        login::trials,
        outage::trials,
        public::trials,
        rate::trials,
        tls::trials,
        upgrade::trials,
    ];
    lists.iter().flat_map(|list| list(side)).collect()
}

/// Spec of a machine client on this server.
fn machine_on(server: &str) -> String {
    format!("{{ serverRef: {{ name: {server} }}, grantTypes: [client_credentials] }}")
}

/// Message of resources whose server is not ready.
pub fn not_ready(server: &str) -> String {
    format!("AuthorizationServer `{server}` is not ready. Run `kubectl describe authserver {server}` to see why.")
}
