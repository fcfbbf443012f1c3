//! The key set on the server. It is changed key by key, so that keys of other owners are never touched.

use serde_json::Value;

use crate::admin::http::Failure;
use crate::admin::hydra::key::{JsonWebKey, JsonWebKeySet as Keys, PublicKey};
use crate::admin::hydra::keys::GenerateKey;
use crate::api::JsonWebKeySet;
use crate::api::json_web_key_set::{JsonWebKeySetStatus, is_reserved};
use crate::controller::common::admission::may_create;
use crate::controller::common::drift::{is_drift, note_drift};
use crate::controller::common::failure::unread;
use crate::controller::engine::context::Context;
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::failure::failure;
use crate::controller::hydra::key_set::kid;
use crate::controller::hydra::key_set::ledger::{Entry, Ledger};
use crate::controller::hydra::key_set::plan::RemoteSet;
use crate::controller::hydra::key_set::rotation::Stage;
use crate::controller::hydra::server::confirm_issuer;
use crate::error::{Error, Result};
use crate::key_material;

/// One resource's keys on one server, within one pass.
pub(crate) struct Remote<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) target: &'a RemoteSet,
    pub(crate) link: &'a Link,
}

impl Remote<'_> {
    /// Asks the server to make the ordered keys of the ledger, and fetches them. Returns whether there were any.
    pub(crate) async fn fetch(&self, status: &JsonWebKeySetStatus, ledger: &mut Ledger) -> Result<bool> {
        if !ledger.entries.iter().any(Entry::is_ordered) {
            return Ok(false);
        }
        let observed = self.observe(status, ledger).await?;
        for entry in ledger.entries.iter_mut().filter(|entry| entry.is_ordered()) {
            let kid = entry.key.public.kid.clone();
            // If the reply to an earlier request was lost, the key already exists.
            entry.key = match private_of(&observed, &kid) {
                Some(found) => found,
                None => self.make(&kid, &entry.key.public.alg).await?,
            };
        }
        Ok(true)
    }

    async fn make(&self, kid: &str, alg: &str) -> Result<JsonWebKey> {
        let order = GenerateKey {
            alg: alg.to_owned(),
            kid: kid.to_owned(),
            usage: "sig".to_owned(),
        };
        let made = self.link.hydra()?.create_key_set(&self.target.set_name, &order);
        let made = self.writing(made).await;
        let made = made.map_err(|failed| failure("create_json_web_key_set", failed))?;
        let made = match made {
            Some(made) => made,
            None => self.get().await?, // an earlier request had succeeded without a reply
        };
        private_of(&made, kid).ok_or(Error::Reply {
            operation: "create_json_web_key_set",
            problem: "holds no private key with the requested id",
        })
    }

    /// The set, if it has no keys of other owners. Before it is created (again), server and issuer are checked once
    /// more, so that private keys do not go to another server.
    async fn observe(&self, status: &JsonWebKeySetStatus, ledger: &Ledger) -> Result<Keys> {
        let RemoteSet { server, set_name, .. } = self.target;
        let observed = self.get().await?;
        let ours = |key: &&JsonWebKey| self.is_ours(status, &ledger.entries, key);
        let count = observed.keys.iter().filter(ours).count();
        if !is_reserved(set_name) && status.adopted != Some(true) && count < observed.keys.len() {
            return Err(not_owned(self.target));
        }
        if count == 0 {
            may_create(self.ctx, server).await?;
            if status.set_name.is_some() {
                confirm_issuer(server, self.link).await?;
            }
        }
        Ok(observed)
    }

    /// Makes our keys on the server match the ledger. `settled`: whether only another writer can have caused a
    /// difference.
    pub(crate) async fn sync(
        &self,
        set: &JsonWebKeySet,
        pass: &mut Pass<JsonWebKeySetStatus>,
        ledger: &Ledger,
        settled: bool,
    ) -> Result<()> {
        let observed = self.observe(&pass.status, ledger).await;
        let observed = observed.map_err(|error| unread(error, settled))?;
        let lacking = self.lacking(&pass.status, &observed, ledger)?;
        let surplus = self.surplus(&pass.status, &observed, ledger);
        if lacking.is_empty() && surplus.is_empty() {
            self.ctx.kinds.key_sets.memory.confirmed(&self.target.uid); // even if the reply to the last write was lost
            return Ok(());
        }
        let is_drift = is_drift(set, self.ctx, settled, "its keys")?;
        for key in &lacking {
            self.write(key).await?;
        }
        for key in surplus {
            self.delete(key).await?;
        }
        if is_drift {
            let note = "The key set was changed on the server and has been corrected.";
            note_drift(set, self.ctx, pass, note.to_owned());
        }
        Ok(())
    }

    /// Whether the keys of a set are those of the ledger.
    ///
    /// # Errors
    /// [`Error::KeySetNotOwned`], [`Error::ObjectNotOwned`].
    pub(super) fn is_as_left(&self, status: &JsonWebKeySetStatus, observed: &Keys, ledger: &Ledger) -> Result<bool> {
        let lacks = !self.lacking(status, observed, ledger)?.is_empty();
        Ok(!lacks && self.surplus(status, observed, ledger).is_empty())
    }

    /// The keys that are missing or different on the server, in the order in which they are written.
    fn lacking(&self, status: &JsonWebKeySetStatus, observed: &Keys, ledger: &Ledger) -> Result<Vec<JsonWebKey>> {
        let mut lacking = Vec::new();
        // The current key first: a signer uses the private key that was written last, and ignores public keys.
        for stage in [Stage::Current, Stage::Next, Stage::Previous] {
            for entry in ledger.entries.iter().filter(|entry| entry.stage == stage) {
                let wanted = on_server(entry);
                let found = observed.keys.iter().find(|key| key.public.kid == wanted.public.kid);
                // The server's own sets can also have keys of other owners.
                if found.is_some_and(|found| !self.is_ours(status, &ledger.entries, found)) {
                    return Err(not_owned(self.target));
                }
                if found.is_none_or(|found| !one(found).same_as(&one(&wanted))) {
                    lacking.push(wanted);
                }
            }
        }
        Ok(lacking)
    }

    /// Our keys that are not in the ledger (any more).
    fn surplus<'k>(&self, status: &JsonWebKeySetStatus, observed: &'k Keys, ledger: &Ledger) -> Vec<&'k JsonWebKey> {
        let entries = &ledger.entries;
        let kept = |key: &JsonWebKey| entries.iter().any(|entry| entry.key.public.kid == key.public.kid);
        let is_surplus = |key: &&JsonWebKey| self.is_ours(status, entries, key) && !kept(key);
        observed.keys.iter().filter(is_surplus).collect()
    }

    /// Deletes our keys. A set without keys does not exist.
    pub(crate) async fn remove(&self, status: &JsonWebKeySetStatus, entries: &[Entry]) -> Result<()> {
        let RemoteSet { set_name, uid, .. } = self.target;
        if set_name == uid && !self.is_of_another_cluster(status).await? {
            // The whole set is ours, even if it cannot be read.
            let deleted = self.link.hydra()?.delete_key_set(set_name).await;
            return deleted.map_err(|failed| failure("delete_json_web_key_set", failed));
        }
        for key in &self.get().await?.keys {
            if self.is_ours(status, entries, key) {
                self.delete(key).await?;
            }
        }
        Ok(())
    }

    /// Makes sure that the set has no keys that another cluster keeps for this resource.
    ///
    /// # Errors
    /// [`Error::OtherCluster`], and why the server cannot be asked.
    pub(crate) async fn check_cluster(
        &self,
        status: &JsonWebKeySetStatus,
        ledger: &Ledger,
        cluster: String,
    ) -> Result<()> {
        let found = self.get().await?;
        match found.keys.iter().any(|key| self.is_ours(status, &ledger.entries, key)) {
            false => Ok(()),
            true => Err(Error::OtherCluster {
                type_: "key set",
                name: self.target.set_name.clone(),
                cluster,
            }),
        }
    }

    /// Whether another cluster has keys in a set with our UID as its name. If the status has claimed the set, the
    /// server is not asked.
    async fn is_of_another_cluster(&self, status: &JsonWebKeySetStatus) -> Result<bool> {
        if status.set_name.is_some() {
            return Ok(false);
        }
        match self.get().await {
            Ok(found) => Ok(found.keys.iter().any(|key| self.is_foreign(status, key))),
            Err(Error::Reply { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a key has our UID and the marker of another cluster. This counts only until the status claims the set,
    /// because ids stay when a key set is taken over.
    fn is_foreign(&self, status: &JsonWebKeySetStatus, key: &JsonWebKey) -> bool {
        let settings = &self.ctx.settings;
        let ours = settings.former_clusters.iter().chain([&settings.cluster]);
        status.set_name.is_none() && kid::is_of_another_cluster(own_kid(key), &self.target.uid, ours)
    }

    /// Ours are: all keys of a set with our UID as its name, keys with our UID in their id, keys that the status
    /// published in the same form, and keys whose private half is in our ledger. Any other id proves nothing: users
    /// choose the ids of imported keys.
    pub(super) fn is_ours(&self, status: &JsonWebKeySetStatus, entries: &[Entry], key: &JsonWebKey) -> bool {
        let RemoteSet { set_name, uid, .. } = self.target;
        let is_ours = set_name == uid
            || kid::is_marked(own_kid(key), uid)
            || is_published(status, key)
            || key.is_private() && entries.iter().any(|entry| one(&entry.key).same_as(&one(key)));
        is_ours && !self.is_foreign(status, key)
    }

    /// The set on the server. A set that does not exist has no keys.
    pub(crate) async fn get(&self) -> Result<Keys> {
        let found = self.link.hydra()?.get_key_set(&self.target.set_name).await;
        let found = found.map_err(|failed| failure("get_json_web_key_set", failed))?;
        Ok(found.unwrap_or_default())
    }

    async fn delete(&self, key: &JsonWebKey) -> Result<()> {
        let hydra = self.link.hydra()?;
        let deleted = hydra.delete_key(&self.target.set_name, &key.public.kid).await;
        deleted.map_err(|failed| failure("delete_json_web_key", failed))
    }

    async fn write(&self, key: &JsonWebKey) -> Result<()> {
        let written = self
            .writing(self.link.hydra()?.update_key(&self.target.set_name, key))
            .await;
        let written = written.map_err(|failed| match failed {
            // Hydra's library cannot read the key. It can read the operator's own keys.
            Failure::Status { code: 400, .. } => Error::MetadataRefused(vec!["import"]),
            other => failure("update_json_web_key", other),
        })?;
        match written.public.kid == key.public.kid {
            true => Ok(()),
            false => Err(Error::Reply {
                operation: "update_json_web_key",
                problem: "does not repeat what was sent",
            }),
        }
    }

    /// Remembers a write until its result is known.
    async fn writing<T>(&self, write: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let memory = &self.ctx.kinds.key_sets.memory;
        memory.writing(&self.target.uid);
        let written = write.await;
        memory.ended(&self.target.uid, written.as_ref().err().is_none_or(Failure::is_certain));
        written
    }
}

/// Only a set with a chosen name can be adopted.
pub(super) fn not_owned(target: &RemoteSet) -> Error {
    let name = target.set_name.clone();
    match name == target.uid {
        true => Error::KeySetNotOwned(name),
        false => Error::ObjectNotOwned { type_: "key set", name },
    }
}

/// The private key with an id. Version 1 puts a prefix before the id.
fn private_of(keys: &Keys, kid: &str) -> Option<JsonWebKey> {
    let found = keys.keys.iter().find(|key| key.is_private() && own_kid(key) == kid)?;
    let mut key = key_material::complete(found).ok()?;
    key.public.kid = kid.to_owned();
    Some(key)
}

/// The id of a key as it was requested, without the prefix of version 1.
fn own_kid(key: &JsonWebKey) -> &str {
    let kid = key.public.kid.as_str();
    let prefixes = ["private:", "public:"];
    prefixes
        .into_iter()
        .find_map(|prefix| kid.strip_prefix(prefix))
        .unwrap_or(kid)
}

/// The part of a key that the server holds: the private half only while the key signs.
fn on_server(entry: &Entry) -> JsonWebKey {
    match entry.stage {
        Stage::Current => entry.key.clone(),
        Stage::Next | Stage::Previous => JsonWebKey::from(entry.key.public.clone()),
    }
}

fn is_published(status: &JsonWebKeySetStatus, key: &JsonWebKey) -> bool {
    let published = status.keys.iter().cloned();
    let mut published = published.filter_map(|key| serde_json::from_value::<PublicKey>(Value::Object(key)).ok());
    published.any(|published| alike(&published, &key.public))
}

pub(super) fn one(key: &JsonWebKey) -> Keys {
    Keys {
        keys: vec![key.clone()],
    }
}

/// Whether two public keys are the same, in any form.
pub(crate) fn alike(one: &PublicKey, other: &PublicKey) -> bool {
    let alone = |key: &PublicKey| Keys {
        keys: vec![JsonWebKey::from(key.clone())],
    };
    alone(one).same_as(&alone(other))
}
