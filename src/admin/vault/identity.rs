//! Entities and groups: assignments hold their ids, people use their names.

use serde_json::{Value, json};

use super::{Vault, found};
use crate::admin::bounded::{ID, fits};
use crate::admin::http::Failure;

/// Type of a member of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityType {
    /// A user.
    Entity,
    /// A group of users.
    Group,
}

impl IdentityType {
    /// Its name in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            IdentityType::Entity => "entity",
            IdentityType::Group => "group",
        }
    }
}

impl Vault {
    /// The id of the entity or group with this name. None if it does not exist.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn id_by_name(&self, of: IdentityType, name: &str) -> Result<Option<String>, Failure> {
        let operation = match of {
            IdentityType::Entity => "read_entity",
            IdentityType::Group => "read_group",
        };
        let found = self.get(operation, &["identity", of.as_str(), "name", name]).await?;
        text(found.as_ref(), "id")
    }

    /// The id of the entity or group with this alias in an auth method. None if it does not exist.
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
        text(found(reply)?.as_ref(), "id")
    }

    /// The accessor of the auth method that is mounted at a path. None if it does not exist.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn accessor(&self, mount_path: &str) -> Result<Option<String>, Failure> {
        let mounts = self
            .get("list_auth_methods", &["sys", "auth"])
            .await?
            .unwrap_or_default();
        let path = format!("{}/", mount_path.trim_end_matches('/'));
        text(mounts.get(path), "accessor")
    }
}

/// A member that holds an id. None if it is missing or empty.
fn text(data: Option<&Value>, member: &str) -> Result<Option<String>, Failure> {
    match data.and_then(|data| data.get(member)?.as_str()) {
        None | Some("") => Ok(None),
        Some(text) if fits(text, ID) => Ok(Some(text.to_owned())),
        Some(_) => Err(Failure::Reply("has an invalid id")),
    }
}
