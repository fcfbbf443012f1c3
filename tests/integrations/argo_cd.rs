//! Argo CD: health and actions of all kinds, run by the engine that Argo CD embeds.

mod engine;
mod shipped;
mod stored;

use libtest_mimic::Trial;
use testbed::programs::Program;

use crate::stage::story;

/// The kinds that have scripts.
const KINDS: [&str; 6] = [
    "AuthorizationServer",
    "OAuth2Client",
    "JsonWebKeySet",
    "OidcProvider",
    "Scope",
    "Assignment",
];

/// The tests of this module.
pub fn trials() -> Vec<Trial> {
    let programs = &[Program::ArgoLua];
    vec![
        story(
            "argo_cd::the_scripts_answer_as_their_test_data_say",
            None,
            programs,
            shipped::the_scripts_answer_as_their_test_data_say,
        ),
        story(
            "argo_cd::the_scripts_judge_what_the_operator_stores",
            None,
            programs,
            stored::the_scripts_judge_what_the_operator_stores,
        ),
    ]
}
