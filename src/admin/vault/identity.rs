//! Entities and groups: assignments hold their ids, people know their names.

use serde_json::{Value, json};

use super::{Vault, found};
use crate::admin::http::Failure;

/// What an assignment can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityType {
    /// A user.
    Entity,
    /// Some users.
    Group,
}

impl IdentityType {
    /// The word in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            IdentityType::Entity => "entity",
            IdentityType::Group => "group",
        }
    }
}

impl Vault {
    /// The id of the entity or group of this name. None if there is none.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn id_by_name(&self, of: IdentityType, name: &str) -> Result<Option<String>, Failure> {
        let operation = match of {
            IdentityType::Entity => "read_entity",
            IdentityType::Group => "read_group",
        };
        Ok(self
            .get(operation, &["identity", of.as_str(), "name", name])
            .await?
            .as_ref()
            .and_then(id))
    }

    /// The id of the entity or group that an auth method has under this name. None if there is none.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn id_by_alias(&self, of: IdentityType, name: &str, accessor: &str) -> Result<Option<String>, Failure> {
        let operation = match of {
            IdentityType::Entity => "lookup_entity",
            IdentityType::Group => "lookup_group",
        };
        let body = json!({ "alias_name": name, "alias_mount_accessor": accessor });
        let path = ["identity", "lookup", of.as_str()];
        let reply = self.post(operation, &path, body.to_string().into_bytes(), true).await;
        Ok(found(reply)?.as_ref().and_then(id))
    }

    /// The accessor of the auth method that is mounted at a path. None if there is none.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn accessor(&self, mount_path: &str) -> Result<Option<String>, Failure> {
        let mounts = self
            .get("list_auth_methods", &["sys", "auth"])
            .await?
            .unwrap_or_default();
        let path = format!("{}/", mount_path.trim_end_matches('/'));
        Ok(mounts.get(path).and_then(|mount| text(mount, "accessor")))
    }
}

fn id(data: &Value) -> Option<String> {
    text(data, "id")
}

fn text(data: &Value, member: &str) -> Option<String> {
    let text = data.get(member)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}
