//! Adoption of a key set that others made: the key that signs becomes the current one, as it is. All other keys of the
//! set stay with their owners.

use k8s_openapi::jiff::Timestamp;

use crate::admin::hydra::key::{JsonWebKey, JsonWebKeySet as Keys};
use crate::api::JsonWebKeySet;
use crate::api::json_web_key_set::JsonWebKeySetStatus;
use crate::controller::common::adoption::preview_in_words;
use crate::controller::common::claim::Claiming;
use crate::controller::common::observe::observed;
use crate::controller::engine::context::Context;
use crate::controller::engine::hold::record;
use crate::controller::engine::managed::Pass;
use crate::controller::engine::verdict::Done;
use crate::controller::hydra::key_set::ledger::{Entry, Ledger};
use crate::controller::hydra::key_set::plan::KeySetPlan;
use crate::controller::hydra::key_set::remote::{Remote, not_owned, one};
use crate::controller::hydra::key_set::rotation::Stage;
use crate::error::{Error, Result};
use crate::key_material;

/// Takes over the set, if the spec asks for it and others made it. The ledger then has the key that signs. Returns
/// whether it did.
///
/// # Errors
/// [`Error::InvalidField`] if none of its keys can be taken over, and why the server cannot be asked.
pub(crate) async fn adopt(
    set: &JsonWebKeySet,
    remote: &Remote<'_>,
    pass: &mut Pass<JsonWebKeySetStatus>,
    ledger: &mut Ledger,
) -> Result<bool> {
    let has_keys = !ledger.entries.is_empty();
    if !is_wanted(set, &pass.status, has_keys) {
        if pass.status.set_name.is_none() && !has_keys {
            pass.status.adopted = None; // an adoption that was not finished and is not asked for any more
        }
        return Ok(false);
    }
    let found = remote.get().await?;
    let is_foreign = |key: &JsonWebKey| !remote.is_ours(&pass.status, &ledger.entries, key);
    if !found.keys.iter().any(is_foreign) {
        pass.status.adopted = None; // others may have deleted their keys since
        return Ok(false);
    }
    let signer = signer(set, &found)?;
    pass.status.adopted = Some(true);
    record(set, remote.ctx, pass).await?;
    if let Some(key) = signer {
        ledger.entries = vec![Entry {
            key,
            stage: Stage::Current,
            since: Timestamp::now(),
        }];
    }
    Ok(true)
}

/// The result for a resource that is suspended: nothing is written, and the message tells what an adoption would do.
pub(crate) async fn suspended(
    set: &JsonWebKeySet,
    ctx: &Context,
    plan: &KeySetPlan,
    status: &JsonWebKeySetStatus,
) -> Done {
    let mut done = Done::suspended();
    if let Ok(link) = ctx.links.usable(&plan.target.server)
        && is_wanted(set, status, true)
    {
        let remote = Remote {
            ctx,
            target: &plan.target,
            link: &link,
        };
        let preview = remote.get().await.map(|found| match found.keys.is_empty() {
            true => preview_in_words("key set", None),
            false => match signer(set, &found) {
                Ok(_) => preview_in_words("key set", Some(changes(set))),
                Err(error) => error.to_string(),
            },
        });
        done.message += &preview.map(|preview| format!(" {preview}")).unwrap_or_default();
    }
    done
}

/// The result for a resource that the operator only observes: nothing is written. A set of others is compared only if it
/// may be adopted.
///
/// # Errors
/// [`Error::KeySetNotOwned`], [`Error::ObjectNotOwned`], [`Error::InvalidField`] if it could not be adopted, and why the
/// server cannot be asked.
pub(crate) async fn observe(
    set: &JsonWebKeySet,
    ctx: &Context,
    plan: &KeySetPlan,
    status: &JsonWebKeySetStatus,
) -> Result<Done> {
    const TYPE: &str = "key set";
    let link = ctx.links.usable(&plan.target.server)?;
    let remote = Remote {
        ctx,
        target: &plan.target,
        link: &link,
    };
    let again = plan.target.server.spec.resync_interval();
    let ledger = Ledger::read(set, ctx).await?;
    let found = remote.get().await?;
    if found.keys.is_empty() {
        return Ok(observed(TYPE, None, again));
    }
    if !ledger.entries.is_empty() {
        let differences: &[&str] = match remote.is_as_left(status, &found, &ledger)? {
            true => &[],
            false => &["keys"],
        };
        return Ok(observed(TYPE, Some(differences), again));
    }
    match is_wanted(set, status, false) {
        true => {
            signer(set, &found)?;
            Ok(observed(TYPE, Some(changes(set)), again))
        }
        false => Err(not_owned(&plan.target)),
    }
}

/// What an adoption changes on the server: a key of the spec's own joins the set.
pub(crate) fn changes(set: &JsonWebKeySet) -> &'static [&'static str] {
    match set.spec.import {
        Some(_) => &["keys"],
        None => &[],
    }
}

/// Whether the spec asks for an adoption and the resource has no keys on the server yet. `has_keys`: whether the ledger
/// has any. The status records an adoption before the ledger has its key, so one without a key is done again.
fn is_wanted(set: &JsonWebKeySet, status: &JsonWebKeySetStatus, has_keys: bool) -> bool {
    let is_done = status.set_name.is_some() || status.adopted == Some(true) && has_keys;
    set.consent().adopts() && set.spec.set_name.is_some() && !is_done
}

/// The private key that the server made last. With it, whoever uses the set signs. None if the spec brings its own key.
fn signer(set: &JsonWebKeySet, found: &Keys) -> Result<Option<JsonWebKey>> {
    let Some(generate) = &set.spec.generate else {
        return Ok(None);
    };
    let algorithm = generate.algorithm.as_str();
    let last = found.keys.iter().find(|key| key.is_private());
    let usable = last.filter(|key| key.public.alg == algorithm).and_then(|key| {
        let complete = key_material::complete(key).ok()?;
        one(&complete).same_as(&one(key)).then_some(complete)
    });
    match usable {
        Some(key) => Ok(Some(key)),
        None => Err(Error::InvalidField {
            field: "generate.algorithm",
            problem: format!(
                "the last private key of the set on the server is not one of {algorithm}, so it cannot be adopted; set the algorithm that it has, or choose another setName"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::json_web_key_set::KeyAlgorithm;

    fn key(algorithm: KeyAlgorithm, kid: &str) -> JsonWebKey {
        key_material::generate(algorithm, kid).expect("a key")
    }

    fn public(kid: &str) -> JsonWebKey {
        JsonWebKey::from(key(KeyAlgorithm::ES256, kid).public)
    }

    #[test]
    fn an_adoption_is_done_until_the_ledger_has_its_key() {
        let set = |adopts: bool, name: Option<&str>| -> JsonWebKeySet {
            serde_json::from_value(json!({
                "metadata": { "name": "keys" },
                "spec": { "setName": name, "adoption": adopts.then_some("Allow"),
                    "generate": { "algorithm": "ES256" } },
            }))
            .expect("a key set")
        };
        let theirs = set(true, Some("theirs"));
        for (what, set, adopted, set_name, has_keys, expected) in [
            ("new", &theirs, None, None, false, true),
            ("with keys of an earlier resource", &theirs, None, None, true, true),
            (
                "recorded, the ledger not written",
                &theirs,
                Some(true),
                None,
                false,
                true,
            ),
            ("ledger written", &theirs, Some(true), None, true, false),
            ("ledger lost later", &theirs, Some(true), Some("theirs"), false, false),
            (
                "not asked for",
                &set(false, Some("theirs")),
                Some(true),
                None,
                false,
                false,
            ),
            ("a set of its own", &set(true, None), None, None, false, false),
        ] {
            let status = JsonWebKeySetStatus {
                adopted,
                set_name: set_name.map(str::to_owned),
                ..JsonWebKeySetStatus::default()
            };
            assert_eq!(is_wanted(set, &status, has_keys), expected, "{what}");
        }
    }

    #[test]
    fn the_last_private_key_is_taken_over_if_it_has_the_algorithm() {
        let generating: JsonWebKeySet = serde_json::from_value(json!({
            "metadata": { "name": "keys" }, "spec": { "setName": "theirs", "generate": { "algorithm": "ES256" } },
        }))
        .expect("a key set");
        for (what, keys, expected) in [
            ("one", vec![key(KeyAlgorithm::ES256, "a")], Some("a")),
            (
                "the newest",
                vec![key(KeyAlgorithm::ES256, "b"), key(KeyAlgorithm::ES256, "a")],
                Some("b"),
            ),
            (
                "behind a public one",
                vec![public("b"), key(KeyAlgorithm::ES256, "a")],
                Some("a"),
            ),
            (
                "another algorithm",
                vec![key(KeyAlgorithm::EdDSA, "b"), key(KeyAlgorithm::ES256, "a")],
                None,
            ),
            ("public ones only", vec![public("a")], None),
        ] {
            let found = signer(&generating, &Keys { keys });
            let kid = found.ok().flatten().map(|key| key.public.kid);
            assert_eq!(kid.as_deref(), expected, "{what}");
        }
        let importing: JsonWebKeySet = serde_json::from_value(json!({
            "metadata": { "name": "keys" },
            "spec": { "setName": "theirs", "import": { "secretRef": { "name": "mine", "key": "key" } } },
        }))
        .expect("a key set");
        assert!(
            signer(
                &importing,
                &Keys {
                    keys: vec![public("a")]
                }
            )
            .is_ok_and(|key| key.is_none())
        );
    }
}
