//! Arranges resources as a tree: server, providers, clients, and what they use. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::api::AuthorizationServer;
use crate::controller::engine::managed::Managed;
use crate::plugin::census::{Entry, Key, State};

/// A resource within the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The resource.
    pub entry: Entry,
    /// What is on it, or what it uses.
    pub children: Vec<Node>,
}

/// The resources, below the server that each of them is on. A resource that others use is below each of these instead.
/// A server that is named but not among the entries is added.
pub fn forest(entries: Vec<Entry>) -> Vec<Node> {
    let servers = entries.iter().filter(|entry| entry.server.is_none());
    let mut roots: BTreeMap<&str, Entry> = servers.map(|entry| (entry.key.name.as_str(), entry.clone())).collect();
    for name in entries.iter().filter_map(|entry| entry.server.as_deref()) {
        roots.entry(name).or_insert_with(|| unknown(name));
    }
    let below = Below::of(&entries);
    let mut shown = HashSet::new();
    let trees = roots.into_iter().map(|(name, entry)| {
        let top = below.on.get(name).into_iter().flatten();
        Node {
            entry,
            children: top.map(|entry| below.node(entry, &mut shown)).collect(),
        }
    });
    trees.collect()
}

/// The nodes of resources that are not well, and those that lead to them.
pub fn unwell(nodes: Vec<Node>) -> Vec<Node> {
    let kept = nodes.into_iter().filter_map(|node| {
        let children = unwell(node.children);
        let is_kept = !node.entry.state.is_well() || !children.is_empty();
        is_kept.then_some(Node {
            entry: node.entry,
            children,
        })
    });
    kept.collect()
}

fn unknown(name: &str) -> Entry {
    Entry {
        key: Key {
            kind: AuthorizationServer::KIND,
            namespace: None,
            name: name.to_owned(),
        },
        state: State::Unknown,
        reason: String::new(),
        message: "It does not exist, or you may not read it.".to_owned(),
        server: None,
        uses: Vec::new(),
        used_by: Vec::new(),
    }
}

/// Which resources are below a server or another resource.
struct Below<'a> {
    on: HashMap<&'a str, Vec<&'a Entry>>,
    used: HashMap<&'a Key, Vec<&'a Entry>>,
}

impl<'a> Below<'a> {
    fn of(entries: &'a [Entry]) -> Self {
        let by_key: HashMap<&Key, &Entry> = entries.iter().map(|entry| (&entry.key, entry)).collect();
        let mut used: HashMap<&Key, Vec<&Entry>> = HashMap::new();
        let (mut links, mut has_user) = (HashSet::new(), HashSet::new());
        let forward = entries
            .iter()
            .flat_map(|entry| entry.uses.iter().map(move |key| (&entry.key, key)));
        let back = entries
            .iter()
            .flat_map(|entry| entry.used_by.iter().map(move |key| (key, &entry.key)));
        for (user, key) in forward.chain(back) {
            let (Some(user), Some(found)) = (by_key.get(user), by_key.get(key)) else {
                continue;
            };
            if links.insert((&user.key, &found.key)) {
                used.entry(&user.key).or_default().push(found);
                has_user.insert(&found.key);
            }
        }
        let mut on: HashMap<&str, Vec<&Entry>> = HashMap::new();
        for entry in entries.iter().filter(|entry| !has_user.contains(&entry.key)) {
            if let Some(server) = &entry.server {
                on.entry(server).or_default().push(entry);
            }
        }
        for list in on.values_mut().chain(used.values_mut()) {
            list.sort_by_key(|entry| (rank(entry.key.kind), &entry.key));
        }
        Self { on, used }
    }

    /// A resource with what it uses; without, if it has been shown already.
    fn node(&self, entry: &'a Entry, shown: &mut HashSet<&'a Key>) -> Node {
        let is_first = shown.insert(&entry.key);
        let used = self.used.get(&entry.key).filter(|_| is_first);
        Node {
            entry: entry.clone(),
            children: used.into_iter().flatten().map(|used| self.node(used, shown)).collect(),
        }
    }
}

/// Providers first, then clients, then what they use.
fn rank(kind: &str) -> u8 {
    match kind {
        "OidcProvider" => 0,
        "OAuth2Client" => 1,
        "JsonWebKeySet" => 2,
        "Scope" => 3,
        _ => 4,
    }
}
