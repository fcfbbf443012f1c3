//! Rules for a resource that asks for one thing after another: one rule must allow all of it.

use std::cmp::Reverse;

use super::denied::{Broken, Denied};
use super::rules::{NameRequest, Namespace, admits, lets_name, name_violation, orphan_violation, selecting};
use crate::api::access::{AccessRule, ManagedKind};

/// The rules each of which allows everything that a resource has asked for until now. What none of them allows is
/// refused, even if other rules allow it: rules do not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates(Vec<usize>);

impl Candidates {
    /// The rules that select this namespace and kind.
    ///
    /// # Errors
    /// [`Denied::NoRule`].
    pub fn of(rules: &[AccessRule], namespace: Namespace<'_>, kind: ManagedKind) -> Result<Self, Denied> {
        admits(rules, namespace, kind)?;
        let selected = selecting(rules, namespace, kind);
        Ok(Candidates(selected.map(|(index, _)| index).collect()))
    }

    /// Asks for a name. `rules`: the same as before, as for all requests.
    ///
    /// # Errors
    /// [`Denied::Limits`] with the first rule that was left.
    pub fn may_name(&mut self, rules: &[AccessRule], asked: NameRequest<'_>) -> Result<(), Denied> {
        self.narrow(rules, |rule| name_violation(rule, asked), |_| 0)
    }

    /// Asks that the object may stay on the server when the resource is deleted.
    ///
    /// # Errors
    /// As [`Candidates::may_name`].
    pub fn may_leave(&mut self, rules: &[AccessRule]) -> Result<(), Denied> {
        self.narrow(rules, orphan_violation, |_| 0)
    }

    /// Asks that an OidcProvider may offer a scope of others. `is_own`: as in [`NameRequest`].
    ///
    /// # Errors
    /// [`Denied::Limits`] with the rule that lists most scopes: it is the one that is meant for providers.
    pub fn may_offer(&mut self, rules: &[AccessRule], scope: &str, is_own: bool) -> Result<(), Denied> {
        let granted = |rule: &AccessRule| rule.providers.clone().unwrap_or_default().scopes;
        let objection = |rule: &AccessRule| {
            let allowed = granted(rule);
            let is_fine = lets_name(rule, is_own) || allowed.iter().any(|name| name == scope);
            (!is_fine).then(|| Broken {
                allowed: Some(allowed).filter(|allowed| !allowed.is_empty()),
                ..Broken::one("providers.scopes", "scopes", scope.to_owned())
            })
        };
        self.narrow(rules, objection, |rule| granted(rule).len())
    }

    /// Keeps the rules without an objection. If none is left, the objection of the rule with the highest rank counts, or
    /// of the first of them.
    fn narrow(
        &mut self,
        rules: &[AccessRule],
        objection: impl Fn(&AccessRule) -> Option<Broken>,
        rank: impl Fn(&AccessRule) -> usize,
    ) -> Result<(), Denied> {
        let (mut left, mut refused) = (Vec::new(), Vec::new());
        for index in &self.0 {
            let Some(rule) = rules.get(*index) else { continue };
            match objection(rule) {
                None => left.push(*index),
                Some(broken) => refused.push((Reverse(rank(rule)), *index, broken)),
            }
        }
        let closest = refused.into_iter().min_by_key(|(rank, ..)| *rank);
        match closest {
            Some((_, rule, broken)) if left.is_empty() => Err(Denied::Limits {
                rule,
                broken: vec![broken],
            }),
            _ => {
                self.0 = left;
                Ok(())
            }
        }
    }
}
