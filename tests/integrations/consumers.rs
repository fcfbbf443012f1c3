//! Applications that are configured from the operator's Secrets and ConfigMaps alone, and people who sign in to them
//! with a browser.

mod apps;
mod cors;
mod people;
mod place;
mod pod;
mod proxy;
mod site;
mod vault;

use libtest_mimic::Trial;
use testbed::browser::Browser;
use testbed::login_consent::LoginConsent;
use testbed::process;
use testbed::programs::Program;

use crate::stage::story;

/// The tests of this module.
pub fn trials() -> Vec<Trial> {
    let people = || Browser::obstacle().or_else(LoginConsent::obstacle);
    let curl = process::missing(&[("curl", "curl")]);
    let curl = (!curl.is_empty()).then(|| "the machine needs a package that is missing here: curl".to_owned());
    vec![
        story(
            "consumers::a_person_signs_in_through_hydra_before_and_after_a_rotation",
            people(),
            &[Program::OAuth2Proxy],
            people::signs_in_before_and_after_a_rotation,
        ),
        story(
            "consumers::a_person_signs_in_on_the_page_of_openbao",
            Browser::obstacle(),
            &[Program::OAuth2Proxy],
            vault::a_person_signs_in,
        ),
        story(
            "consumers::a_page_and_a_native_app_sign_a_person_in_without_a_secret",
            people(),
            &[],
            apps::sign_a_person_in_without_a_secret,
        ),
        story(
            "consumers::a_machine_gets_a_token_with_three_commands",
            curl,
            &[],
            apps::a_machine_gets_a_token,
        ),
    ]
}
