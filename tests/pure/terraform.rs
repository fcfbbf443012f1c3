//! What becomes of the objects in a state of Terraform.

use oidc_operator::plugin::import::named::{Imported, Place};
use oidc_operator::plugin::migrate::terraform::{Selection, imported};
use serde_json::{Value, json};

const PLACE: Place<'_> = Place {
    server: "vault",
    namespace: "shop",
};

fn resource(type_: &str, name: &str, attributes: Value) -> Value {
    let mut attributes = attributes;
    attributes["name"] = json!(name);
    json!({
        "mode": "managed", "type": type_, "name": name, "provider": provider(""),
        "instances": [{ "attributes": attributes }],
    })
}

fn provider(alias: &str) -> String {
    format!("provider[\"registry.terraform.io/hashicorp/vault\"]{alias}")
}

fn scope(name: &str, alias: &str, namespace: Value) -> Value {
    let mut scope = resource("vault_identity_oidc_scope", name, json!({ "namespace": namespace }));
    scope["provider"] = json!(provider(alias));
    scope
}

fn read(resources: Vec<Value>, selection: Selection<'_>) -> Result<Imported, String> {
    imported(&json!({ "version": 4, "resources": resources }), &PLACE, selection)
}

fn removed(found: &Imported) -> Vec<&str> {
    let commands = found
        .notes
        .iter()
        .filter_map(|note| note.strip_prefix("terraform state rm "));
    commands.map(|address| address.trim_matches('\'')).collect()
}

#[test]
fn what_has_no_resource_stays_in_the_state() {
    let client = |name: &str, assignments: Value| {
        resource(
            "vault_identity_oidc_client",
            name,
            json!({ "client_id": format!("id-of-{name}"), "assignments": assignments, "redirect_uris": [], "key": "main" }),
        )
    };
    let allowed = |name: &str, key: &str| {
        let attributes = json!({ "key_name": key, "allowed_client_id": "id-of-web" });
        let mut allowed = resource("vault_identity_oidc_key_allowed_client_id", name, attributes);
        allowed["instances"][0]["attributes"]
            .as_object_mut()
            .map(|found| found.remove("name"));
        allowed
    };
    let mut going = client("gone", json!(["allow_all"]));
    going["instances"][0]["deposed"] = json!("0a1b2c3d");
    let found = read(
        vec![
            resource("vault_identity_oidc_key", "main", json!({ "algorithm": "RS256" })),
            client("web", json!(["allow_all"])),
            client("nobodys", json!([])),
            going,
            allowed("ours", "main"),
            allowed("theirs", "elsewhere"),
            resource(
                "vault_identity_oidc_provider",
                "login",
                json!({ "allowed_client_ids": ["id-of-web", "id-of-nobodys"] }),
            ),
        ],
        Selection::default(),
    )
    .expect("resources");
    assert_eq!(
        removed(&found),
        [
            "vault_identity_oidc_key.main",
            "vault_identity_oidc_client.web",
            "vault_identity_oidc_key_allowed_client_id.ours",
            "vault_identity_oidc_provider.login",
        ]
    );
    let kinds: Vec<&Value> = found.manifests.iter().map(|manifest| &manifest["kind"]).collect();
    assert_eq!(kinds, ["JsonWebKeySet", "OAuth2Client", "OidcProvider"]);
    assert_eq!(found.manifests[2]["spec"]["allowedClients"], json!([{ "name": "web" }]));
    for part in [
        "Client nobodys is left out",
        "vault_identity_oidc_key_allowed_client_id.theirs is left out",
    ] {
        assert!(found.notes.iter().any(|note| note.contains(part)), "{:?}", found.notes);
    }
}

#[test]
fn objects_of_one_place_move_at_a_time() {
    let of = |namespace, alias| Selection { namespace, alias };
    let all = of(None, None);
    let twice = |first: Value, second: Value| {
        let mut second = second;
        second["name"] = json!("second");
        vec![first, second]
    };
    let namespaces = || vec![scope("a", "", Value::Null), scope("a", "", json!("team/"))];
    let aliases = || vec![scope("a", "", Value::Null), scope("a", ".eu", Value::Null)];
    for (resources, selection, expected) in [
        (
            namespaces(),
            all,
            Err("the Vault namespaces ``, `team`; name one with --vault-namespace"),
        ),
        (namespaces(), of(Some("team"), None), Ok(1)),
        (namespaces(), of(Some(""), None), Ok(1)),
        (namespaces(), of(Some("other"), None), Ok(0)),
        (
            aliases(),
            all,
            Err("the aliases ``, `eu`; name one with --provider-alias"),
        ),
        (aliases(), of(None, Some("eu")), Ok(1)),
        (
            twice(scope("a", "", Value::Null), scope("a", "", Value::Null)),
            all,
            Err("vault_identity_oidc_scope.a and vault_identity_oidc_scope.second are the same object"),
        ),
        (vec![scope("a", "", Value::Null), scope("b", "", json!(""))], all, Ok(2)),
    ] {
        let found = read(resources, selection).map(|found| found.manifests.len());
        match (&found, expected) {
            (Ok(count), Ok(expected)) => assert_eq!(*count, expected),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            _ => panic!("{found:?}, and not {expected:?}"),
        }
    }
    let found = read(vec![scope("a", "", json!("team"))], all).expect("resources");
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.contains("in the Vault namespace team")),
        "{:?}",
        found.notes
    );
}
