//! Bad input: what is refused at once by the schema, what only the server can judge, and what waits for something else.

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
