//! How a client on the server is related to a resource. Pure.

use crate::admin::hydra::client::{Client, Marker};
use crate::origin::Origin;

/// How a client on the server is related to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kin {
    /// It does not exist.
    Gone,
    /// It has no mark.
    Unmarked,
    /// It has another mark.
    Other,
    /// It has the mark of this namespace and name in another cluster.
    OtherCluster(String),
    /// It has the mark of this resource.
    Ours,
    /// It has the mark of a resource with this namespace and name that does not exist any more.
    Earlier {
        mark: Marker,
        /// Whether the client has neither secret nor keys, and was not adopted.
        is_public: bool,
    },
}

impl Kin {
    /// `ours`: the mark of the resource. `lives`: whether a resource has this UID.
    pub(crate) fn of(
        ours: &Marker,
        found: Option<&Client>,
        origin: impl Fn(&str) -> Origin,
        lives: impl Fn(&str) -> bool,
    ) -> Self {
        let Some(found) = found else { return Kin::Gone };
        let Some(mark) = found.marker() else {
            let is_free = found.is_unmarked() && found.owning_cluster().is_none();
            return if is_free { Kin::Unmarked } else { Kin::Other };
        };
        let is_namesakes = mark.namespace == ours.namespace && mark.name == ours.name;
        match origin(&mark.cluster) {
            Origin::Other if is_namesakes => Kin::OtherCluster(mark.cluster),
            Origin::Other => Kin::Other,
            Origin::Own | Origin::Former if mark.uid == ours.uid => Kin::Ours,
            Origin::Own | Origin::Former if is_namesakes && !lives(&mark.uid) => Kin::Earlier {
                is_public: found.token_endpoint_auth_method == "none" && !mark.adopted,
                mark,
            },
            Origin::Own | Origin::Former => Kin::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::GROUP;

    /// A generated id.
    const ID: &str = "0a1b2c3d-0000-4000-8000-0123456789ab";

    fn ours() -> Marker {
        Marker {
            cluster: "here".to_owned(),
            namespace: "team".to_owned(),
            name: "shop".to_owned(),
            uid: "new".to_owned(),
            ..Marker::default()
        }
    }

    fn client(change: Value) -> Client {
        let mut mark = json!({ "cluster": "here", "namespace": "team", "name": "shop", "uid": "old", "revision": "r" });
        for (name, value) in change.as_object().into_iter().flatten() {
            mark[name] = value.clone();
        }
        let method = change["auth"].as_str().unwrap_or("client_secret_basic");
        let parsed = Client::parse(json!({
            "client_id": ID, "token_endpoint_auth_method": method, "metadata": { GROUP: mark },
        }));
        parsed.expect("a client")
    }

    fn kin(found: Option<&Client>) -> Kin {
        let origin = |cluster: &str| Origin::of(cluster, "here", &["before".to_owned()]);
        Kin::of(&ours(), found, origin, |uid| uid == "alive")
    }

    #[test]
    fn only_the_mark_of_this_name_in_this_cluster_makes_a_client_that_of_an_earlier_resource() {
        let earlier = |change: Value| Kin::Earlier {
            is_public: change["auth"] == "none" && change["adopted"] != true,
            mark: client(change).marker().expect("a mark"),
        };
        let table = [
            (json!({ "auth": "none" }), earlier(json!({ "auth": "none" }))),
            (json!({ "auth": "private_key_jwt" }), earlier(json!({}))),
            (
                json!({ "auth": "none", "adopted": true }),
                earlier(json!({ "auth": "none", "adopted": true })),
            ),
            (json!({}), earlier(json!({}))),
            (json!({ "cluster": "before" }), earlier(json!({ "cluster": "before" }))),
            (json!({ "uid": "new" }), Kin::Ours),
            (json!({ "uid": "new", "cluster": "before" }), Kin::Ours),
            (json!({ "uid": "alive" }), Kin::Other),
            (json!({ "name": "other" }), Kin::Other),
            (json!({ "namespace": "others" }), Kin::Other),
            (
                json!({ "namespace": "others", "uid": "new", "cluster": "there" }),
                Kin::Other,
            ),
            (json!({ "cluster": "there" }), Kin::OtherCluster("there".to_owned())),
            (json!({ "cluster": "there", "name": "other" }), Kin::Other),
            (json!({ "name": null }), Kin::Other),
        ];
        for (change, expected) in table {
            assert_eq!(kin(Some(&client(change.clone()))), expected, "{change}");
        }
        let bare = |members: Value| Client::parse(members).expect("a client");
        assert_eq!(kin(None), Kin::Gone);
        assert_eq!(kin(Some(&bare(json!({ "client_id": "old" })))), Kin::Unmarked);
        let owned = bare(json!({ "client_id": "old", "owner": format!("{GROUP}/here") }));
        assert_eq!(kin(Some(&owned)), Kin::Other);
    }
}
