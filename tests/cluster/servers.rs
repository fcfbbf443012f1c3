//! AuthorizationServers: how the operator logs in, whom it believes to be the server, what it does while there is none,
//! and what it makes of a server that answers nonsense.

use libtest_mimic::Trial;

use crate::run::Side;

mod hostile;
mod identity;
mod leaving;
mod login;
mod outage;
mod tls;
mod upgrade;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let lists = [
        hostile::trials,
        identity::trials,
        leaving::trials,
        login::trials,
        outage::trials,
        tls::trials,
        upgrade::trials,
    ];
    lists.iter().flat_map(|list| list(side)).collect()
}

/// A machine on this server.
fn machine_on(server: &str) -> String {
    format!("{{ serverRef: {{ name: {server} }}, grantTypes: [client_credentials] }}")
}

/// What resources say of a server that cannot be used.
pub fn not_ready(server: &str) -> String {
    format!("AuthorizationServer `{server}` is not ready; `kubectl describe authserver {server}` says why.")
}
