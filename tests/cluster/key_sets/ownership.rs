//! Key sets of other owners, and the server's own key sets.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use oidc_operator::api::JsonWebKeySet;
use oidc_operator::api::json_web_key_set::KeyAlgorithm;
use oidc_operator::controller::engine::lifecycle::is_held;
use oidc_operator::key_material;
use serde_json::json;
use sha2::{Digest, Sha256};
use testbed::HydraMajor;

use super::import::import;
use super::{on_server, status_of};
use crate::bed::{Bed, ServerOptions, settled, uid_of};
use crate::conditions::Tone::{Reconciling, Stalled};

pub(super) async fn a_foreign_set_is_not_touched(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let name = format!("{}-keys", space.name());
    let admin = bed.admin().await?;
    let foreign = key_material::generate(KeyAlgorithm::ES256, "theirs").map_err(anyhow::Error::msg)?;
    settled("a foreign key", async || admin.update_key(&name, &foreign).await).await?;
    let before = on_server(bed, &name).await?.context("no set")?;
    let spec = json!({ "setName": name, "generate": { "algorithm": "ES256" } });
    space.make::<JsonWebKeySet>("keys", &spec.to_string()).await?;
    let message = format!(
        "The key set `{name}` already exists on the server and does not belong to this resource; nothing was changed. Adopt it with adoption: Allow and a grant of the server's admin (adopt.objectNames), or create a new resource with another name."
    );
    space
        .says::<JsonWebKeySet>("keys", Stalled, "NotOwned", &message)
        .await?;
    ensure!(
        on_server(bed, &name).await?.is_some_and(|found| found.same_as(&before)),
        "it was changed"
    );
    let set = space.remove::<JsonWebKeySet>("keys").await?;
    space.until_gone(&set).await?;
    ensure!(
        on_server(bed, &name).await?.is_some_and(|found| found.same_as(&before)),
        "it was changed"
    );

    // Of two resources with the same setName, the older one owns the set.
    let name = format!("{}-shared", space.name());
    let spec = json!({ "setName": name, "generate": { "algorithm": "ES256" } }).to_string();
    space.ready::<JsonWebKeySet>("older", &spec).await?;
    let before = on_server(bed, &name).await?.context("no set")?;
    space.make::<JsonWebKeySet>("younger", &spec).await?;
    let message = format!(
        "Another resource has the key set `{name}` on this server, or asked for it first. Create a new resource with another name."
    );
    space
        .says::<JsonWebKeySet>("younger", Stalled, "NotOwned", &message)
        .await?;
    ensure!(
        on_server(bed, &name).await?.is_some_and(|found| found.same_as(&before)),
        "it was changed"
    );
    Ok(())
}

/// A tenant can choose any key id and write any ledger, so neither proves that it owns a key.
pub(super) async fn neither_a_key_id_nor_a_ledger_proves_ownership(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let name = format!("{}-billing", space.name());
    let admin = bed.admin().await?;
    let foreign = key_material::generate(KeyAlgorithm::ES256, "k1").map_err(anyhow::Error::msg)?;
    settled("a foreign key", async || admin.update_key(&name, &foreign).await).await?;
    let before = on_server(bed, &name).await?.context("no set")?;
    let untouched = async |when: &str| {
        let now = on_server(bed, &name).await?;
        ensure!(
            now.is_some_and(|now| now.same_as(&before)),
            "the foreign set was changed {when}"
        );
        ensure!(
            space.secret("out").await?.is_none(),
            "a foreign key was written to a Secret {when}"
        );
        Ok(())
    };
    let message = format!(
        "The key set `{name}` already exists on the server and does not belong to this resource; nothing was changed. Adopt it with adoption: Allow and a grant of the server's admin (adopt.objectNames), or create a new resource with another name."
    );

    let own = key_material::generate(KeyAlgorithm::ES256, "k1").map_err(anyhow::Error::msg)?;
    import(&space, "mine", &String::from_utf8(own.body())?).await?;
    let output = json!({ "secretName": "out" });
    let importing = json!({
        "setName": name, "import": { "secretRef": { "name": "mine", "key": "key" } }, "privateKey": output,
    });
    space.make::<JsonWebKeySet>("keys", &importing.to_string()).await?;
    let set = space
        .says::<JsonWebKeySet>("keys", Stalled, "NotOwned", &message)
        .await?;
    untouched("by an import of its id").await?;
    let set = space.remove::<JsonWebKeySet>(&set.name_any()).await?;
    space.until_gone(&set).await?;
    untouched("by a deletion").await?;

    let generating =
        json!({ "setName": name, "generate": { "algorithm": "ES256", "by": "Server" }, "privateKey": output });
    space.make::<JsonWebKeySet>("keys", &generating.to_string()).await?;
    let set = space
        .says::<JsonWebKeySet>("keys", Stalled, "NotOwned", &message)
        .await?;
    let keys = json!([{ "jwk": { "kid": "k1", "alg": "ES256" }, "stage": "Current", "since": jiff::Timestamp::now().to_string() }]);
    let digest = Sha256::digest(keys.to_string());
    let checksum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let ledger = format!("jwks-{}", uid_of(&set));
    let forged = space
        .edit_secret(&ledger, json!({ "keys": keys.to_string(), "checksum": checksum }))
        .await?;
    space
        .wait_secret("the ledger without the forged key", &ledger, |now: &Secret| {
            now.metadata.resource_version != forged.metadata.resource_version
        })
        .await?;
    space
        .says::<JsonWebKeySet>("keys", Stalled, "NotOwned", &message)
        .await?;
    untouched("by a forged ledger").await
}

const ID_TOKEN: &str = "hydra.openid.id-token";

pub(super) async fn the_servers_own_sets_need_a_grant(bed: &Bed) -> Result<()> {
    let lab = bed.lab(&[], ServerOptions::default()).await?;
    let (server, space) = (&lab.server, bed.space().await?);
    let spec = |algorithm: &str| {
        json!({
            "serverRef": { "name": server.name }, "setName": ID_TOKEN, "generate": { "algorithm": algorithm },
            "rotation": { "period": "1000h", "prePublish": "2s" },
        })
        .to_string()
    };
    space.make::<JsonWebKeySet>("keys", &spec("ES256")).await?;
    let message = format!(
        "AuthorizationServer `{}`: access[0].reservedKeySets does not allow setName `{ID_TOKEN}`, a key set of the server itself; choose another name or ask the server's admin.",
        server.name
    );
    let refused = space
        .says::<JsonWebKeySet>("keys", Reconciling, "NotAllowed", &message)
        .await?;
    ensure!(!is_held(&refused), "it has a finalizer");
    // Some databases ignore case when they compare names.
    let other = json!({
        "serverRef": { "name": server.name }, "setName": "Hydra.OpenID.id-token", "generate": { "algorithm": "ES256" },
    });
    space.make::<JsonWebKeySet>("other", &other.to_string()).await?;
    let message = message.replace(ID_TOKEN, "Hydra.OpenID.id-token");
    space
        .says::<JsonWebKeySet>("other", Reconciling, "NotAllowed", &message)
        .await?;
    let other = space.remove::<JsonWebKeySet>("other").await?;
    space.until_gone(&other).await?;
    let rules = json!([{ "namespaces": { "from": "All" }, "kinds": ["JsonWebKeySet"], "reservedKeySets": "Allow" }]);
    bed.change_server(&server.name, json!({ "access": rules })).await?;
    match bed.major() {
        HydraMajor::V1 => {
            let message = format!(
                "AuthorizationServer `{}` (version `v1.11.10`) does not support what this resource sets in setName; nothing was changed. Remove it, or use a server or version that supports it.",
                server.name
            );
            space
                .says::<JsonWebKeySet>("keys", Stalled, "UnsupportedByServer", &message)
                .await?;
        }
        HydraMajor::V2 => {
            // A key is published before the server signs with it.
            let first = |set: &JsonWebKeySet| set.status.as_ref().is_some_and(|status| !status.keys.is_empty());
            let set = space.until("a published key", "keys", first).await?;
            ensure!(
                status_of(&set).get("currentKeyId").is_none(),
                "it signs at once: {}",
                status_of(&set)
            );
            let signs = |set: &JsonWebKeySet| {
                set.status
                    .as_ref()
                    .is_some_and(|status| status.current_key_id.is_some())
            };
            let set = space.until("a key to sign", "keys", signs).await?;
            let kid = status_of(&set)["currentKeyId"].as_str().unwrap_or_default().to_owned();
            let import = json!({
                "serverRef": { "name": server.name }, "setName": "hydra.jwt.access-token",
                "import": { "secretRef": { "name": "mine", "key": "key" } },
            });
            space.make::<JsonWebKeySet>("mine", &import.to_string()).await?;
            let message = "import: the server would sign with the imported key before verifiers know it; let the operator make the keys of the server's own sets.";
            space
                .says::<JsonWebKeySet>("mine", Stalled, "InvalidSpec", message)
                .await?;
            let published = lab.jwks().await?;
            let ids: Vec<_> = published["keys"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|key| key["kid"].clone())
                .collect();
            ensure!(ids.contains(&json!(kid)) && ids.len() > 1, "{ids:?}");
            space
                .respecify::<JsonWebKeySet>("keys", json!({ "generate": { "algorithm": "EdDSA" } }))
                .await?;
            let message = "generate.algorithm: the server signs with EdDSA but cannot verify it; choose another algorithm for its own sets.";
            space
                .says::<JsonWebKeySet>("keys", Stalled, "InvalidSpec", message)
                .await?;
            let set = space.remove::<JsonWebKeySet>("keys").await?;
            space.until_gone(&set).await?;
            let published = lab.jwks().await?;
            let left: Vec<_> = published["keys"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|key| key["kid"].clone())
                .collect();
            ensure!(!left.contains(&json!(kid)) && !left.is_empty(), "{left:?}");
        }
    }
    Ok(())
}
