//! Adoption of a key set that others made.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use oidc_operator::api::JsonWebKeySet;
use oidc_operator::api::json_web_key_set::KeyAlgorithm;
use oidc_operator::key_material;
use serde_json::json;

use super::import::import;
use super::on_server;
use crate::bed::{Bed, ServerOptions, conditions, is_list, settled};
use crate::conditions::Tone::{Reconciling, Stalled};

pub(super) async fn a_key_set_is_adopted_with_its_keys(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let name = format!("{}-billing", space.name());
    let access = json!([{
        "namespaces": { "from": "All" }, "kinds": ["JsonWebKeySet"], "adopt": { "objectNames": [name] },
        "reservedKeySets": "Allow",
    }]);
    let options = ServerOptions {
        resync_interval: "1s".to_owned(),
        spec: json!({ "access": access }),
        ..ServerOptions::default()
    };
    let server = bed.own_server(options).await?;
    let admin = bed.admin().await?;
    for kid in ["old", "new"] {
        let key = key_material::generate(KeyAlgorithm::ES256, kid).map_err(anyhow::Error::msg)?;
        settled("a key", async || admin.update_key(&name, &key).await).await?;
    }
    let before = on_server(bed, &name).await?.context("no set")?;
    let unchanged = async || {
        let now = on_server(bed, &name).await?;
        ensure!(now.is_some_and(|now| now.same_as(&before)), "the set was changed");
        anyhow::Ok(())
    };
    let spec = |algorithm: &str, adopts: bool| {
        json!({
            "serverRef": { "name": server.name }, "setName": name, "generate": { "algorithm": algorithm },
            "privateKey": {}, "adoption": if adopts { "Allow" } else { "Never" },
        })
        .to_string()
    };
    space.make::<JsonWebKeySet>("keys", &spec("ES256", false)).await?;
    let message = format!(
        "AuthorizationServer `{}`: access[0].objectNames does not allow `{name}` in setName; change it or ask the server's admin.",
        server.name
    );
    space
        .says::<JsonWebKeySet>("keys", Reconciling, "NotAllowed", &message)
        .await?;
    space.make::<JsonWebKeySet>("keys", &spec("RS256", true)).await?;
    let message = "generate.algorithm: the last private key of the set on the server is not one of RS256, so it cannot be adopted; set the algorithm that it has, or choose another setName.";
    space
        .says::<JsonWebKeySet>("keys", Stalled, "InvalidSpec", message)
        .await?;
    let reserved = json!({
        "serverRef": { "name": server.name }, "setName": "hydra.openid.id-token", "adoption": "Allow",
        "generate": { "algorithm": "RS256" },
    });
    space.make::<JsonWebKeySet>("reserved", &reserved.to_string()).await?;
    let message = format!(
        "AuthorizationServer `{}`: access[0].adopt.objectNames does not allow `hydra.openid.id-token` in setName; change it or ask the server's admin.",
        server.name
    );
    space
        .says::<JsonWebKeySet>("reserved", Reconciling, "NotAllowed", &message)
        .await?;
    unchanged().await?;

    space
        .respecify::<JsonWebKeySet>("keys", json!({ "suspend": true, "generate": { "algorithm": "ES256" } }))
        .await?;
    let preview = "Reconciliation is suspended by spec.suspend. An adoption would change nothing on the server.";
    let says = |found: &JsonWebKeySet| conditions(found).iter().any(|condition| condition.message == preview);
    space.until("a preview", "keys", says).await?;
    let mark = server.admin.journal().mark();
    space
        .respecify::<JsonWebKeySet>("keys", json!({ "suspend": null }))
        .await?;
    let set = space.until_ready::<JsonWebKeySet>("keys").await?;
    let note = "The key set existed on the server before and now belongs to this resource. Nothing was changed.";
    space
        .wait_event("keys", "Adopted", |event: &Event| event.note.as_deref() == Some(note))
        .await?;
    let status = set.status.unwrap_or_default();
    ensure!(
        status.adopted == Some(true) && status.current_key_id.as_deref() == Some("new"),
        "{status:?}"
    );
    ensure!(
        space.secret_data("keys").await?["kid"] == "new",
        "the Secret holds another key"
    );
    unchanged().await?;
    // Two more sweeps write nothing.
    for _ in 0..2 {
        let from = server.admin.journal().mark();
        let listing = server.admin.journal();
        listing
            .wait_for(|found| found.seq > from && is_list(&found.head), crate::bed::LIMIT)
            .await?;
    }
    let writes: Vec<_> = server
        .admin
        .journal()
        .since(mark)
        .into_iter()
        .filter(|found| found.head.method != "GET")
        .collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    // The keys stay when the resource goes.
    let gone = space.remove::<JsonWebKeySet>("keys").await?;
    space.until_gone(&gone).await?;
    unchanged().await?;

    // A key of one's own joins the set, and leaves it alone.
    let own = key_material::generate(KeyAlgorithm::ES256, "own").map_err(anyhow::Error::msg)?;
    import(&space, "secret", &String::from_utf8(own.body())?).await?;
    let spec = json!({
        "serverRef": { "name": server.name }, "setName": name, "adoption": "Allow", "deletionPolicy": "Delete",
        "import": { "secretRef": { "name": "secret", "key": "key" } },
    });
    space.ready::<JsonWebKeySet>("own", &spec.to_string()).await?;
    let now = on_server(bed, &name).await?.context("no set")?;
    let kids: BTreeSet<&str> = now.keys.iter().map(|key| key.public.kid.as_str()).collect();
    ensure!(kids == ["new", "old", "own"].into(), "{kids:?}");
    let gone = space.remove::<JsonWebKeySet>("own").await?;
    space.until_gone(&gone).await?;
    unchanged().await
}
