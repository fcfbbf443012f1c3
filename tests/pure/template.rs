//! Texts with variables and encodings.

use oidc_operator::controller::common::client::template::{LONGEST_SECRET, Room, Template};
use oidc_operator::error::{Error, Result};
use oidc_operator::secret::{Secret, basic_credentials, is_form_safe};

/// A value with everything that an encoding may have to change.
const ODD: &str = "50%off+now:o\"k é";

fn values(name: &'static str) -> Result<Option<String>> {
    Ok(match name {
        "issuer" => Some("https://id.example.com/".to_owned()),
        "scope" => Some("openid profile".to_owned()),
        // A value is never read as a template.
        "clientId" => Some("$(clientSecret)".to_owned()),
        _ => None,
    })
}

fn filled(text: &str) -> Template {
    let filled = Template::parse(text).fill(&mut Room::of_secret(), values);
    filled.expect("no variable fails")
}

#[test]
fn texts_and_values_have_the_room_of_a_secret_together() {
    const MOST: usize = 1 << 20;
    let value = |name| {
        Ok(match name {
            "audience" => Some("/".repeat(MOST / 4)),
            _ => None,
        })
    };
    let half = "x".repeat(MOST / 2);
    for (texts, fits) in [
        (&[half.as_str(), &half][..], true),
        (&[&half, &half, "x"], false),
        (&["$(audience)$(audience)$(audience)", "$(audience)"], true),
        (&["$(audience)$(audience)$(audience)$(audience)", "x"], false),
        (&["$(audience|url)"], true), // three quarters
        (&["$(audience|url)$(audience|url)"], false),
        // What is filled later takes as much as it may have then.
        (&[&"$(clientSecret)".repeat(MOST / LONGEST_SECRET)], true),
        (
            &[&"$(clientSecret)".repeat(MOST / LONGEST_SECRET), "$(privateKey)"],
            false,
        ),
    ] {
        let mut room = Room::of_secret();
        let filled: Result<Vec<_>> = texts
            .iter()
            .map(|text| Template::parse(text).fill(&mut room, value))
            .collect();
        match filled {
            Ok(_) => assert!(fits, "{} texts fit", texts.len()),
            Err(Error::InvalidField { field, .. }) => assert!(!fits && field == "credentials.data"),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn variables_are_replaced_once_and_encoded() {
    let table = [
        ("", ""),
        ("plain $ text $", "plain $ text $"),
        ("$(issuer)x", "https://id.example.com/x"),
        ("$(issuer|url)", "https%3A%2F%2Fid.example.com%2F"),
        ("a=$(scope|url)&b=$(scope)", "a=openid+profile&b=openid profile"),
        ("$(scope|base64)", "b3BlbmlkIHByb2ZpbGU="),
        (r#"{"s": $(scope|json)}"#, r#"{"s": "openid profile"}"#),
        ("$(clientId)", "$(clientSecret)"),
        ("$(clientSecret)", ODD),
        ("$(clientSecret|url)", "50%25off%2Bnow%3Ao%22k+%C3%A9"),
        ("$(clientSecret|json)", r#""50%off+now:o\"k é""#),
        ("$(clientSecret|base64)", "NTAlb2ZmK25vdzpvImsgw6k="),
        // What is not a variable is text.
        ("$(unknown) $(scope|rot13) $(scope", "$(unknown) $(scope|rot13) $(scope"),
        ("$($(scope))", "$(openid profile)"),
        ("$()", "$()"),
    ];
    for (text, expected) in table {
        let secrets = [("clientSecret", Secret::new(ODD.to_owned()))];
        assert_eq!(filled(text).with(&secrets).expose(), expected, "{text}");
    }
}

#[test]
fn what_is_not_filled_yet_is_written_as_in_the_manifest() {
    let text = "$(issuer) $(clientSecret) $(privateKey|json) $(basicCredentials|url)";
    let filled = filled(text);
    assert_eq!(
        filled.as_written(),
        "https://id.example.com/ $(clientSecret) $(privateKey|json) $(basicCredentials|url)"
    );
    let left: Vec<_> = filled.variables().collect();
    assert_eq!(left, ["clientSecret", "privateKey", "basicCredentials"]);
}

#[test]
fn basic_credentials_encode_id_and_secret_before_joining_them() {
    let secret = |text: &str| Secret::new(text.to_owned());
    // `shop:abc123` and `https%3A%2F%2Fa:50%25%3A`
    assert_eq!(
        basic_credentials("shop", &secret("abc123")).expose(),
        "c2hvcDphYmMxMjM="
    );
    assert_eq!(
        basic_credentials("https://a", &secret("50%:")).expose(),
        "aHR0cHMlM0ElMkYlMkZhOjUwJTI1JTNB"
    );
    assert!(is_form_safe("aZ09-_.*") && !is_form_safe(ODD) && !is_form_safe("a~") && !is_form_safe(" "));
}
