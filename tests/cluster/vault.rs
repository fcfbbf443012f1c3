//! Tests against a real OpenBao.

mod adoption;
mod crash;
mod create;
mod delete;
mod drift;
mod explain;
mod fields;
mod hidden;
mod login;
mod namespaced;
mod odd;
mod policy;
mod refusals;
mod restored;
mod server;
mod stage;
mod standard;
mod steady;
mod taken_back;
mod tenants;
mod tokens;
mod told;

use libtest_mimic::Trial;

use crate::run::Side;

/// The tests of all modules.
pub fn trials(side: &Side) -> Vec<Trial> {
    let lists = [
        adoption::trials,
        crash::trials,
        create::trials,
        delete::trials,
        drift::trials,
        explain::trials,
        fields::trials,
        crate::gitops::vault_trials,
        hidden::trials,
        login::trials,
        namespaced::trials,
        odd::trials,
        policy::trials,
        refusals::trials,
        restored::trials,
        server::trials,
        standard::trials,
        steady::trials,
        taken_back::trials,
        tenants::trials,
        tokens::trials,
        told::trials,
    ];
    lists.iter().flat_map(|list| list(side)).collect()
}
