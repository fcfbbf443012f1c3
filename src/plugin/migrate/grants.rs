//! What an AuthorizationServer has to allow, so that resources can take over clients that exist. Pure.

use std::collections::BTreeMap;

use url::Url;

use crate::access::{self, Broken, Denied, Namespace};
use crate::api::access::{
    AccessRule, Adoptable, ClientLimits, ManagedKind, NamespaceFrom, NamespaceSelection, Permission,
};
use crate::api::oauth2_client::{Effective, OAuth2ClientSpec};

/// Most ids in one list, as the schema has it.
const MOST: usize = 256;

/// Most rules of an AuthorizationServer, as the schema has it.
const MOST_RULES: usize = 64;

/// Makes sure that an AuthorizationServer has room for its rules.
///
/// # Errors
/// A sentence with the number of rules.
pub fn check_room(server: &str, rules: usize) -> Result<(), String> {
    match rules {
        0..=MOST_RULES => Ok(()),
        rules => Err(format!(
            "AuthorizationServer `{server}` would need {rules} access rules, and there is room for {MOST_RULES}; move some namespaces first with --namespace, or write rules yourself that each select several namespaces"
        )),
    }
}

/// A client that is to be adopted.
#[derive(Clone)]
pub struct Wish<'a> {
    /// Its namespace.
    pub namespace: Namespace<'a>,
    /// The spec of its resource.
    pub spec: &'a OAuth2ClientSpec,
}

impl Wish<'_> {
    /// Whether rules allow it.
    ///
    /// # Errors
    /// What they refuse.
    pub fn check(&self, rules: &[AccessRule]) -> Result<(), Denied> {
        let effective = Effective::of(self.spec, &[], &[]);
        access::check(rules, self.namespace, self.spec, &effective).map(drop)
    }

    fn id(&self) -> &str {
        self.spec.client_id.as_deref().unwrap_or_default()
    }
}

/// The rules with what the wishes need: ids in rules that allow everything else, and rules of their own for namespaces
/// that have none. A wish that breaks another limit stays as it is: only a person can decide on that.
pub fn granted(rules: &[AccessRule], wishes: &[Wish<'_>]) -> Vec<AccessRule> {
    let mut more = rules.to_vec();
    let mut own: BTreeMap<String, AccessRule> = BTreeMap::new();
    for wish in wishes {
        if wish.check(&more).is_ok() || add_to(&mut more, wish) {
            continue;
        }
        if !matches!(wish.check(rules), Err(Denied::NoRule { .. })) {
            continue;
        }
        let name = wish.namespace.name;
        let rule = own.entry(name.to_owned()).or_insert_with(|| only(name));
        *rule = with_id(rule, wish.id());
        if let Err(Denied::Limits { broken, .. }) = wish.check(std::slice::from_ref(rule)) {
            widen(rule.clients.get_or_insert_default(), &broken);
        }
        if rule.adopt.as_ref().is_some_and(|adopt| adopt.client_ids.len() == MOST) {
            more.extend(own.remove(name));
        }
    }
    more.extend(own.into_values());
    more
}

/// Adds the id to the rule of its namespace alone that allows everything else, or to a copy of a rule for more namespaces,
/// since each of these could take the client. Returns whether there is such a rule.
fn add_to(rules: &mut Vec<AccessRule>, wish: &Wish<'_>) -> bool {
    let is_own = |rule: &AccessRule| rule.namespaces.names.as_deref() == Some(&[wish.namespace.name.to_owned()][..]);
    let allows = |rule: &AccessRule| wish.check(std::slice::from_ref(rule)).is_ok();
    for rule in rules.iter_mut().filter(|rule| is_own(rule)) {
        let is_full = rule.adopt.as_ref().is_some_and(|adopt| adopt.client_ids.len() >= MOST);
        let more = with_id(rule, wish.id());
        if !is_full && allows(&more) {
            *rule = more;
            return true;
        }
    }
    let narrowed = |rule: &AccessRule| AccessRule {
        namespaces: names(wish.namespace.name),
        adopt: None,
        ..rule.clone()
    };
    // Only a rule that selects the namespace speaks for it.
    let selects = |rule: &&AccessRule| !matches!(wish.check(std::slice::from_ref(*rule)), Err(Denied::NoRule { .. }));
    let mut copies = rules
        .iter()
        .filter(selects)
        .map(|rule| with_id(&narrowed(rule), wish.id()));
    let copy = copies.find(allows);
    let is_there = copy.is_some();
    rules.extend(copy);
    is_there
}

/// Allows what a rule denies by default.
fn widen(limits: &mut ClientLimits, broken: &[Broken]) {
    for Broken { limit, values, .. } in broken {
        match *limit {
            "clients.skipConsent" => limits.skip_consent = Some(Permission::Allow),
            "clients.serverUriHosts" => {
                let hosts = limits.server_uri_hosts.get_or_insert_default();
                let more = values.iter().filter_map(|uri| host(uri));
                let more: Vec<String> = more.filter(|host| !hosts.contains(host)).collect();
                hosts.extend(more);
            }
            _ => {}
        }
    }
}

/// The entry of `serverUriHosts` for a URI.
fn host(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let plain = if url.scheme() == "http" { "http://" } else { "" };
    Some(format!("{plain}{}{port}", url.host_str()?))
}

fn with_id(rule: &AccessRule, id: &str) -> AccessRule {
    let mut rule = rule.clone();
    let adopt = rule.adopt.get_or_insert_with(Adoptable::default);
    adopt.client_ids.push(id.to_owned());
    rule
}

/// A rule without limits for the clients of one namespace.
fn only(namespace: &str) -> AccessRule {
    AccessRule {
        namespaces: names(namespace),
        kinds: vec![ManagedKind::OAuth2Client],
        clients: None::<ClientLimits>,
        providers: None,
        adopt: None,
        object_names: None,
        reserved_key_sets: None,
        min_rotation_period: None,
    }
}

fn names(namespace: &str) -> NamespaceSelection {
    NamespaceSelection {
        from: NamespaceFrom::Names,
        selector: None,
        names: Some(vec![namespace.to_owned()]),
    }
}
