//! A JSON object that is kept as text, which takes a tenth of the memory of a tree.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

/// A JSON object, as text.
#[derive(Clone, Debug, Default)]
pub struct JsonObject(Option<Box<RawValue>>);

impl JsonObject {
    /// Whether the field was left out.
    pub fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    /// Members of the object. Empty if it is nested deeper than serde_json reads, which [`crate::decode`] prevents.
    pub fn members(&self) -> Map<String, Value> {
        let text = self.0.as_ref().map(|text| text.get());
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }
}

impl From<Map<String, Value>> for JsonObject {
    fn from(members: Map<String, Value>) -> Self {
        JsonObject(to_raw_value(&members).ok())
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        match text.get().starts_with('{') {
            true => Ok(JsonObject(Some(text))),
            false => Err(serde::de::Error::custom("not an object")),
        }
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
