//! What an admission policy, an admission webhook or a quota says when it refuses an object of the operator.
//!
//! Only these are quoted. Other messages of the Kubernetes API repeat values of the object, which may be secret.

use std::fmt;

use crate::error::wording::shown;

/// Whether new words of a policy replace those that a condition has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// They do, unless both say the same.
    Replaced,
    /// They do not: the policy may find other words at each try.
    Held,
}

/// Who refused an object, and in which words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    by: By,
    /// Its own words, on one line and of limited length.
    words: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    /// A policy or a webhook.
    Policy(String),
    /// A webhook that cannot be called.
    Broken(String),
    /// A ResourceQuota.
    Quota(String),
}

impl Denial {
    /// The denial in a message of the Kubernetes API. None: the message is about something else. `secrets`: what must
    /// not be quoted, in the forms in which the object has it. None: they are not known, so nothing is quoted.
    pub fn of(message: &str, secrets: Option<&[String]>) -> Option<Self> {
        let said = ["\" is forbidden: ", "Internal error occurred: "]
            .into_iter()
            .find_map(|lead| message.split_once(lead))
            .filter(|(before, _)| !before.contains("Invalid value"))
            .map_or(message, |(_, said)| said);
        let (by, words) = parsed(said)?;
        let words = words.filter(|words| {
            let shows = |secret: &String| words.contains(secret.as_str());
            secrets.is_some_and(|secrets| !secrets.iter().any(shows))
        });
        let words = words.map(on_one_line).filter(|words| !words.is_empty());
        Some(Denial { by, words })
    }

    /// What does not differ from try to try if the policy says the same: no times, no ids, no order.
    pub fn gist(&self) -> String {
        let (mut words, _) = gist(self.words.as_deref().unwrap_or_default());
        words.sort_unstable();
        format!("{:?} {}", self.by, words.join(" "))
    }

    /// Whether a former message stays in place of the message with this denial: both name the same object and the same
    /// policy, and its words say the same, but for times and ids, or are not to be replaced yet.
    pub(crate) fn is_told_by(&self, former: &str, message: &str, wording: Wording) -> bool {
        let (By::Policy(_), Some(words)) = (&self.by, &self.words) else {
            return false;
        };
        let Some((before, after)) = message.split_once(&format!(" ({words})")) else {
            return false;
        };
        let theirs = former.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        let theirs = theirs.and_then(|theirs| theirs.strip_prefix(" (")?.strip_suffix(')'));
        theirs.is_some_and(|theirs| wording == Wording::Held || is_same(theirs, words))
    }
}

/// The words of a text, without the one that was cut, and whether one was. Words with a digit are all the same.
fn gist(text: &str) -> (Vec<String>, bool) {
    let is_cut = text.ends_with('…');
    let mut words: Vec<String> = text.split(' ').map(masked).collect();
    words.truncate(words.len() - usize::from(is_cut));
    (words, is_cut)
}

/// Whether two texts are the same, apart from words with a digit, from the order, and from where they were cut.
fn is_same(one: &str, other: &str) -> bool {
    let ((mut one, one_is_cut), (mut other, other_is_cut)) = (gist(one), gist(other));
    if one_is_cut && other_is_cut {
        return one.iter().zip(&other).all(|(one, other)| one == other);
    }
    one.sort_unstable();
    other.sort_unstable();
    one == other && one_is_cut == other_is_cut
}

/// A word, or the same placeholder for all words with a digit.
fn masked(word: &str) -> String {
    match word.bytes().any(|byte| byte.is_ascii_digit()) {
        true => "0".to_owned(),
        false => word.to_owned(),
    }
}

fn parsed(said: &str) -> Option<(By, Option<&str>)> {
    if said.starts_with("ValidatingAdmissionPolicy '") || said.starts_with("MutatingAdmissionPolicy '") {
        let (policy, words) = said.split_once(" denied request: ")?;
        return Some((By::Policy(on_one_line(policy)), Some(words)));
    }
    if let Some(rest) = said.strip_prefix("admission webhook \"") {
        let (name, rest) = rest.split_once('"')?;
        let words = rest.strip_prefix(" denied the request")?.strip_prefix(": ");
        return Some((By::Policy(webhook(name)), words));
    }
    if let Some(rest) = said.strip_prefix("failed calling webhook \"") {
        return Some((By::Broken(webhook(rest.split_once('"')?.0)), None));
    }
    let rest = ["exceeded quota: ", "failed quota: "]
        .into_iter()
        .find_map(|lead| said.strip_prefix(lead))?;
    let name = rest.split([',', ':']).next()?;
    // What is used changes, and a condition must not.
    let words = rest.get(name.len() + 1..)?.split(", used: ").next();
    Some((By::Quota(shown(name)), words))
}

fn webhook(name: &str) -> String {
    format!("admission webhook `{}`", shown(name))
}

/// The words without line breaks and other control characters, and without the full stop of our own sentence.
fn on_one_line(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let words = shown(&words.join(" "));
    words.trim_end_matches('.').to_owned()
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            By::Policy(name) => write!(f, "{name} denies it")?,
            By::Broken(name) => write!(f, "{name} cannot be called")?,
            By::Quota(name) => write!(f, "it exceeds quota `{name}`")?,
        }
        if let Some(words) = &self.words {
            write!(f, " ({words})")?;
        }
        f.write_str(match &self.by {
            By::Policy(_) => {
                ". Labels that every object needs go to outputLabels of the operator's chart; for anything else, ask the admin of the cluster"
            }
            By::Broken(_) | By::Quota(_) => ". Ask the admin of the cluster to change that",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "c2VjcmV0";

    fn said(message: &str) -> Option<String> {
        let secrets = [SECRET.to_owned()];
        Denial::of(message, Some(&secrets)).map(|denial| denial.to_string())
    }

    #[test]
    fn admission_is_quoted_in_one_line_and_without_secrets() {
        const LABELS: &str = ". Labels that every object needs go to outputLabels of the operator's chart; for anything else, ask the admin of the cluster";
        const ADMIN: &str = ". Ask the admin of the cluster to change that";
        let long = format!("admission webhook \"w\" denied the request: {}", "x".repeat(300));
        let cut = format!("admission webhook `w` denies it ({}…)", "x".repeat(200));
        let table = [
            (
                "secrets \"oac-1\" is forbidden: ValidatingAdmissionPolicy 'team' with binding 'all' denied request: every Secret needs the label team.",
                "ValidatingAdmissionPolicy 'team' with binding 'all' denies it (every Secret needs the label team)",
                LABELS,
            ),
            (
                "admission webhook \"w\" denied the request: \n\nSecret/a/b was blocked\n\nteam:\n  label: 'missing\u{1b}[0m'\n",
                "admission webhook `w` denies it (Secret/a/b was blocked team: label: 'missing [0m')",
                LABELS,
            ),
            (
                "admission webhook \"w\" denied the request without explanation",
                "admission webhook `w` denies it",
                LABELS,
            ),
            (
                "admission webhook \"w\" denied the request: data.key is c2VjcmV0",
                "admission webhook `w` denies it",
                LABELS,
            ),
            (&long, &cut, LABELS),
            (
                "Internal error occurred: failed calling webhook \"w\": failed to call webhook: Post \"https://a.b.svc:443/\": no route",
                "admission webhook `w` cannot be called",
                ADMIN,
            ),
            (
                "secrets \"a\" is forbidden: exceeded quota: few, requested: count/secrets=1, used: count/secrets=3, limited: count/secrets=3",
                "it exceeds quota `few` (requested: count/secrets=1)",
                ADMIN,
            ),
            (
                "configmaps \"a\" is forbidden: failed quota: few: must specify limits.cpu",
                "it exceeds quota `few` (must specify limits.cpu)",
                ADMIN,
            ),
        ];
        for (message, denial, advice) in table {
            assert_eq!(said(message), Some(format!("{denial}{advice}")), "{message}");
        }
        let unknown = Denial::of("admission webhook \"w\" denied the request: words", None);
        assert!(unknown.is_some_and(|denial| denial.words.is_none()));
    }

    #[test]
    fn a_former_message_stays_if_it_says_the_same_or_new_words_are_held() {
        use Wording::{Held, Replaced};
        let webhook = |name: &str, words: &str| format!("admission webhook \"{name}\" denied the request: {words}");
        let w = |words: &str| webhook("w", words);
        let long = |at: &str| w(&format!("{at} {}", "many words ".repeat(40)));
        let quota = |most: &str| format!("exceeded quota: few, requested: pods=1, used: pods=3, limited: {most}");
        let table = [
            (
                w("no team (request 7f3a-01)"),
                w("no team (request 8c2b-22)"),
                true,
                true,
            ),
            (
                w("denied at 2026-11-26T20:01:02Z: no team"),
                w("denied at 2026-11-27T01:00:00.5Z: no team"),
                true,
                true,
            ),
            (long("20:01"), long("20:01:02.345678"), true, true),
            (w("no team"), w("no team"), true, true),
            (w("no team, no owner,"), w("no owner, no team,"), true, true),
            (w("no team"), w("no owner"), false, true),
            (w("ticket abc: no team"), w("ticket cab: no team"), false, true),
            (w("no team at 20:01"), w("no owner at 20:02"), false, true),
            (w("no team"), w("no team at 20:02"), false, true),
            (w("no team (1)"), webhook("v", "no team (2)"), false, false),
            (w("no team"), long("20:01"), false, true),
            (quota("pods=3"), quota("pods=4"), false, false),
            (w(""), w("no team"), false, false),
            (w("no team"), w(""), false, false),
        ];
        for (before, now, says_the_same, is_held) in table {
            let message = |denial: &Denial| format!("The Kubernetes API refused Secret `app`: {denial}.");
            let denial = |words: &str| Denial::of(words, Some(&[])).expect("a denial");
            let (before, now) = (denial(&before), denial(&now));
            let former = message(&before);
            for (wording, expected) in [(Replaced, says_the_same), (Held, is_held)] {
                let is_told = now.is_told_by(&former, &message(&now), wording);
                assert_eq!(is_told, expected, "{wording:?} {former} {now}");
                assert!(!now.is_told_by("The server cannot be used now.", &message(&now), wording));
            }
        }
    }

    #[test]
    fn a_gist_has_no_times_ids_and_order() {
        let gist = |name: &str, words: &str| {
            let said = format!("admission webhook \"{name}\" denied the request: {words}");
            Denial::of(&said, Some(&[])).expect("a denial").gist()
        };
        let of = gist("w", "no team, no owner, at 20:01");
        for (name, words, expected) in [
            ("w", "no team, no owner, at 20:02", true),
            ("w", "no owner, no team, at 20:03", true),
            ("v", "no team, no owner, at 20:01", false),
            ("w", "no team, at 20:01", false),
        ] {
            assert_eq!(gist(name, words) == of, expected, "{name} {words}");
        }
    }

    /// Permissions, namespaces that are being deleted, and values of the object.
    #[test]
    fn nothing_else_is_quoted() {
        for message in [
            "secrets is forbidden: User \"system:serviceaccount:a:b\" cannot create resource \"secrets\" in API group \"\" in the namespace \"c\"",
            "secrets \"a\" is forbidden: unable to create new content in namespace b because it is being terminated",
            "Secret \"a\" is invalid: metadata.labels: Invalid value: \"admission webhook \\\"w\\\" denied the request: c2VjcmV0\": too long",
            "Secret \"a\" is invalid: data: Invalid value: \"\" is forbidden: exceeded quota: few, c2VjcmV0\"",
        ] {
            assert_eq!(said(message), None, "{message}");
        }
    }
}
