//! What follows from spec and server before anything is read or written, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::access::{Grant, KeySetRequest};
use crate::api::authorization_server::Capability;
use crate::api::json_web_key_set::{JsonWebKeySetStatus, KeyAlgorithm, KeyMaker, is_reserved};
use crate::api::{AuthorizationServer, JsonWebKeySet};
use crate::controller::common::admission::admitted;
use crate::controller::common::adoption::neighbours;
use crate::controller::common::claim::{Claiming, asked_first};
use crate::controller::common::key_set::check_access;
use crate::controller::common::refuse::refuse_by_version;
use crate::controller::common::schedule::Schedule;
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_held;
use crate::controller::engine::managed::OnServer;
use crate::controller::hydra::key_set::rotation::Terms;
use crate::error::{Error, Result};

/// How long a public key is published before its private half signs, unless the spec says otherwise.
const PRE_PUBLISH: Duration = Duration::from_secs(60);

/// How long a public key stays published after its private half last signed, unless the spec says otherwise.
const OVERLAP: Duration = Duration::from_secs(3600);

/// Location of a resource's keys.
pub(crate) struct RemoteSet {
    /// The server with the keys.
    pub(crate) server: Arc<AuthorizationServer>,
    /// Name of the set on the server: the requested one, or the UID.
    pub(crate) set_name: String,
    /// Namespace of the resource.
    pub(crate) namespace: String,
    /// UID of the resource.
    pub(crate) uid: String,
}

/// Everything that follows from spec and server.
pub(crate) struct KeySetPlan {
    pub(crate) target: RemoteSet,
    /// Name of the Secret with the private key, if the spec asks for one.
    pub(crate) secret_name: Option<String>,
    /// Name of the Secret with the public keys, if the spec asks for one.
    pub(crate) public_secret_name: Option<String>,
    pub(crate) terms: Terms,
}

impl RemoteSet {
    pub(crate) fn of(set: &JsonWebKeySet, server: Arc<AuthorizationServer>) -> Self {
        let uid = set.uid().unwrap_or_default();
        RemoteSet {
            server,
            set_name: set.spec.set_name.clone().unwrap_or_else(|| uid.clone()),
            namespace: set.namespace().unwrap_or_default(),
            uid,
        }
    }
}

impl KeySetPlan {
    /// # Errors
    /// What is wrong with the spec, or what blocks it.
    pub(crate) fn of(set: &JsonWebKeySet, ctx: &Context, status: &JsonWebKeySetStatus) -> Result<Self> {
        let target = RemoteSet::of(set, admitted(set, ctx)?);
        let grant = granted(set, ctx, &target)?;
        let published = set.spec.publish.as_ref();
        let plan = KeySetPlan {
            target,
            secret_name: set.private_key_secret_name(),
            public_secret_name: published.and_then(|publish| publish.secret_name.clone()),
            terms: terms(set, grant, status)?,
        };
        check_consent(set)?;
        plan.check_reserved(set)?;
        check_maker(set)?;
        plan.check_claim(set, ctx)?;
        Ok(plan)
    }

    /// The server's own sets are allowed only if a key can be published before it signs.
    pub(crate) fn check_reserved(&self, set: &JsonWebKeySet) -> Result<()> {
        let RemoteSet { server, set_name, .. } = &self.target;
        if !is_reserved(set_name) {
            return Ok(());
        }
        let status = server.status.as_ref();
        let can = status.is_some_and(|status| status.capabilities.contains(&Capability::KeyPrePublication));
        refuse_by_version(server, if can { Vec::new() } else { vec!["setName".into()] })?;
        match unfit_for_reserved(set, &self.terms) {
            Some((field, problem)) => Err(Error::InvalidField {
                field,
                problem: problem.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// If two resources name the same set, the one with the claim in its status has it, otherwise the older one.
    pub(crate) fn check_claim(&self, set: &JsonWebKeySet, ctx: &Context) -> Result<()> {
        let has_claimed = |set: &JsonWebKeySet| set.status.as_ref().is_some_and(|status| status.set_name.is_some());
        let same_name = |other: &JsonWebKeySet| {
            let name = other.spec.set_name.as_deref();
            // Some databases ignore case in comparisons.
            name.is_some_and(|name| name.eq_ignore_ascii_case(&self.target.set_name))
        };
        let neighbours = neighbours(ctx, &self.target.server);
        // Through another AuthorizationServer of the same Hydra, a resource may have the set as well.
        let has_it_beside = |other: &JsonWebKeySet| {
            let mut beside = neighbours.iter();
            has_claimed(other) && beside.any(|neighbour| neighbour.name_any() == other.server_name())
        };
        let claims = |other: &JsonWebKeySet| {
            let is_first = match (has_claimed(other), has_claimed(set)) {
                (true, false) => true,
                (false, true) => false,
                _ => asked_first(other, set),
            };
            same_name(other)
                && other.uid() != set.uid()
                && is_held(other)
                && is_first
                && (other.server_name() == set.server_name() || has_it_beside(other))
        };
        match ctx.kinds.key_sets.store.find(claims) {
            Some(_) => Err(Error::NameClaimed {
                type_: "key set",
                name: self.target.set_name.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// Only a set with a name of its own can exist before its resource. The server's own sets have keys of the server, beside
/// which the operator puts its own.
fn check_consent(set: &JsonWebKeySet) -> Result<()> {
    let problem = match set.spec.set_name.as_deref() {
        _ if !set.consent().adopts() => return Ok(()),
        None => "needs the name of the key set to adopt; set setName",
        Some(name) if is_reserved(name) => {
            "a key set of the server itself cannot be adopted, because its keys stay with the server; leave it out, and the operator adds keys of its own"
        }
        Some(_) => return Ok(()),
    };
    Err(Error::InvalidField {
        field: "adoption",
        problem: problem.to_owned(),
    })
}

fn granted(set: &JsonWebKeySet, ctx: &Context, target: &RemoteSet) -> Result<Grant> {
    let name = set.spec.set_name.as_deref();
    let rotation = set.spec.rotation.as_ref();
    let asked = KeySetRequest {
        name,
        is_reserved: name.is_some_and(is_reserved),
        adopts: set.consent().adopts() && name.is_some(),
        period: rotation.map(|rotation| rotation.period.as_str()),
        stays: set.consent().asks_to_stay(),
    };
    check_access(ctx, &target.server, &target.namespace, asked)
}

fn terms(set: &JsonWebKeySet, grant: Grant, status: &JsonWebKeySetStatus) -> Result<Terms> {
    let rotation = set.spec.rotation.as_ref();
    let parsed = |text: &Option<String>| text.as_ref().and_then(|text| crate::duration::parse(text));
    let algorithm = set.spec.generate.as_ref().map(|generate| generate.algorithm);
    // The user replaces an imported key.
    let schedule = match algorithm {
        Some(_) => {
            let schedule = Schedule::of(set, rotation.map(|rotation| rotation.period.as_str()));
            schedule.bounded(
                grant.min_rotation_period,
                status.rotated_at.as_deref(),
                Timestamp::now(),
            )
        }
        None => Schedule::default(),
    };
    Ok(Terms {
        alg: algorithm.map(KeyAlgorithm::as_str).unwrap_or_default().to_owned(),
        schedule,
        reserved: is_reserved(set.spec.set_name.as_deref().unwrap_or_default()),
        pre_publish: rotation.and_then(|r| parsed(&r.pre_publish)).unwrap_or(PRE_PUBLISH),
        overlap: rotation.and_then(|r| parsed(&r.overlap)).unwrap_or(OVERLAP),
    })
}

/// Why the server cannot sign with such keys: the field, and what is wrong with it.
fn unfit_for_reserved(set: &JsonWebKeySet, terms: &Terms) -> Option<(&'static str, &'static str)> {
    if terms.alg == KeyAlgorithm::EdDSA.as_str() {
        let problem = "the server signs with EdDSA but cannot verify it; choose another algorithm for its own sets";
        return Some(("generate.algorithm", problem));
    }
    if set.spec.import.is_some() {
        let problem = "the server would sign with the imported key before verifiers know it; let the operator make the keys of the server's own sets";
        return Some(("import", problem));
    }
    if maker(set) == KeyMaker::Server {
        let problem = "the server would sign with its new key before verifiers know it; let the operator make the keys of the server's own sets";
        return Some(("generate.by", problem));
    }
    None
}

fn maker(set: &JsonWebKeySet) -> KeyMaker {
    let generate = set.spec.generate.as_ref();
    generate.and_then(|generate| generate.by).unwrap_or_default()
}

/// Hydra generates keys only for some algorithms.
fn check_maker(set: &JsonWebKeySet) -> Result<()> {
    let by_operator_only = [KeyAlgorithm::PS256, KeyAlgorithm::ES384];
    let algorithm = set.spec.generate.as_ref().map(|generate| generate.algorithm);
    if maker(set) == KeyMaker::Operator || algorithm.is_none_or(|algorithm| !by_operator_only.contains(&algorithm)) {
        return Ok(());
    }
    let problem =
        "the server cannot make keys for this algorithm; choose another one, or let the operator make the keys";
    Err(Error::InvalidField {
        field: "generate.algorithm",
        problem: problem.to_owned(),
    })
}
