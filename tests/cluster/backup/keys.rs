//! Key sets and issuers that come back.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use oidc_operator::api::{JsonWebKeySet, OidcProvider};
use serde_json::Value;
use testbed::HydraMajor;

use super::Backup;
use crate::bed::{Bed, Space, uid_of};

const KEYS: &str = "{ generate: { algorithm: ES256 }, privateKey: {}, publish: {} }";

/// Which Secrets of a key set come back: the ledger, and the one with the private key; and whether the keys stay.
const ROWS: [(&str, bool, bool, bool); 4] = [
    ("keys-back", true, true, true),
    ("keys-ledger-back", true, false, true),
    ("keys-secret-back", false, true, true),
    ("keys-lost", false, false, false),
];

/// Key sets and a provider with what they had before the disaster.
pub struct Keys<'a> {
    space: &'a Space<'a>,
    sets: Vec<(JsonWebKeySet, Backup)>,
    provider: Backup,
}

impl<'a> Keys<'a> {
    /// Makes the resources and their backups.
    pub async fn prepared(space: &'a Space<'a>) -> Result<Self> {
        let mut sets = Vec::new();
        for (name, ..) in ROWS {
            let set = space.ready::<JsonWebKeySet>(name, KEYS).await?;
            let backup = Backup::of(space, &set).await?;
            sets.push((set, backup));
        }
        let slash = if space.bed().major() == HydraMajor::V1 { "/" } else { "" };
        let issuer = format!("{{ issuer: {}{slash}, publish: {{}} }}", space.bed().public_url());
        let provider = space.ready::<OidcProvider>("issuer", &issuer).await?;
        Ok(Keys {
            space,
            sets,
            provider: Backup::of(space, &provider).await?,
        })
    }

    /// Takes everything away and restores it. The operator does not run.
    pub async fn befall(&self) -> Result<()> {
        for ((set, backup), (name, ledger, secret, _)) in self.sets.iter().zip(ROWS) {
            backup.erase::<JsonWebKeySet>(self.space).await?;
            let mut backup = backup.clone();
            if !ledger {
                backup.without_secret(&format!("jwks-{}", uid_of(set)));
            }
            if !secret {
                backup.without_secret(name);
            }
            if !ledger && !secret {
                backup.without_config_maps();
            }
            backup.restore::<JsonWebKeySet>(self.space, false).await?;
        }
        self.provider.erase::<OidcProvider>(self.space).await?;
        self.provider.restore::<OidcProvider>(self.space, false).await?;
        Ok(())
    }

    /// Checks the keys, on the server and in the cluster.
    pub async fn check(&self, bed: &Bed) -> Result<()> {
        for ((before, _), (name, _, _, is_kept)) in self.sets.iter().zip(ROWS) {
            let checked = self.check_one(bed, before, is_kept).await;
            checked.with_context(|| format!("row {name}"))?;
        }
        self.space.until_ready::<OidcProvider>("issuer").await?;
        Ok(())
    }

    async fn check_one(&self, bed: &Bed, before: &JsonWebKeySet, is_kept: bool) -> Result<()> {
        let (space, name) = (self.space, before.name_any());
        let set = space.until_ready::<JsonWebKeySet>(&name).await?;
        let keys = |set: &JsonWebKeySet| {
            set.status
                .as_ref()
                .map(|status| status.keys.clone())
                .unwrap_or_default()
        };
        ensure!((keys(&set) == keys(before)) == is_kept, "{:?}", keys(&set));
        let kid = set.status.as_ref().and_then(|status| status.current_key_id.clone());
        let kid = kid.context("no current key")?;
        ensure!(
            space.secret_data(&name).await?.get("kid") == Some(&kid),
            "the Secret has another key"
        );
        let published = space.config_maps().get(&name).await?;
        ensure!(
            published
                .owner_references()
                .iter()
                .any(|owner| owner.uid == uid_of(&set)),
            "no owner"
        );
        let published = published.data.unwrap_or_default();
        let public: Value = serde_json::from_str(published.get("jwks.json").context("no jwks.json")?)?;
        ensure!(public["keys"][0]["kid"] == kid.as_str(), "{public}");
        let found = bed.admin().await?.get_key_set(&uid_of(&set)).await;
        let found = found.ok().flatten().context("the set is not on the server")?;
        ensure!(
            found.keys.iter().any(|key| key.public.kid.ends_with(&kid)),
            "the key is not on the server"
        );
        ensure!(
            space.secret(&format!("jwks-{}", uid_of(before))).await?.is_none(),
            "the earlier ledger is left"
        );
        if is_kept {
            space.wait_event(&name, "Restored", |_| true).await?;
        }
        Ok(())
    }
}
