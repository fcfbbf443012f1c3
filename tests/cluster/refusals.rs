//! Invalid input: what the schema refuses at once, what only the server can refuse, and what waits for another object.

use libtest_mimic::Trial;

use crate::run::Side;

mod claims;
mod clients;
mod immutable;
mod judged;
mod kstatus;
mod secrets;
mod servers;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let lists = [
        claims::trials,
        clients::trials,
        immutable::trials,
        judged::trials,
        kstatus::trials,
        secrets::trials,
        servers::trials,
    ];
    lists.iter().flat_map(|list| list(side)).collect()
}
