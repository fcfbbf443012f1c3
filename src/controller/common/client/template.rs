//! Texts with variables, as in `credentials.data`: `$(name)`, or `$(name|encoding)`. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::api::oauth2_client::VARIABLES;
use crate::error::{Error, Result};
use crate::secret::{Secret, form_encoded};

/// Most bytes of a client secret or private key that the operator hands on. A private key of 8192 bits has 6.4 KiB.
pub const LONGEST_SECRET: usize = 8 << 10;

/// Bytes that the texts of one Secret may still take together. It bounds what a spec can make the operator hold: a value
/// may be long, and stand in a text a hundred times.
#[derive(Debug)]
pub struct Room(usize);

impl Room {
    /// Room for all that a Secret can hold (1 MiB).
    pub fn of_secret() -> Self {
        Room(1 << 20)
    }

    /// # Errors
    /// [`Error::InvalidField`] if there is less room.
    fn take(&mut self, bytes: usize) -> Result<()> {
        let left = self.0.checked_sub(bytes).ok_or_else(|| Error::InvalidField {
            field: "credentials.data",
            problem: "its texts with their values are larger than the 1 MiB that a Secret can hold; use shorter texts, or fewer variables".to_owned(),
        })?;
        self.0 = left;
        Ok(())
    }
}

/// A text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(&'static str, Encoding),
}

/// How the value of a variable is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// As it is.
    Plain,
    /// For `application/x-www-form-urlencoded`, as RFC 6749, section 2.3.1 has it for client id and secret.
    Url,
    /// Base64 with padding (RFC 4648, section 4).
    Base64,
    /// A JSON string with its quotes (RFC 8259, section 7).
    Json,
}

impl Template {
    /// Reads a text. A `$(` that does not start a variable is text.
    pub fn parse(text: &str) -> Self {
        let mut template = Template(Vec::new());
        let mut rest = text;
        while let Some(start) = rest.find("$(") {
            let (before, from) = rest.split_at(start);
            template.push(before);
            match from
                .split_once(')')
                .and_then(|(inner, after)| Some((variable(inner.get(2..)?)?, after)))
            {
                Some((found, after)) => {
                    template.0.push(found);
                    rest = after;
                }
                None => {
                    template.push("$(");
                    rest = from.get(2..).unwrap_or_default();
                }
            }
        }
        template.push(rest);
        template
    }

    /// A text without variables, whatever it looks like.
    pub fn text(text: String) -> Self {
        Template(vec![Part::Text(text)])
    }

    /// Names of the variables.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Variable(name, _) => Some(*name),
        })
    }

    /// Replaces variables by their values. A variable without value stays, and takes the room of the longest value that
    /// it can get later.
    ///
    /// # Errors
    /// Those of `value`; [`Error::InvalidField`] if the text is larger than the room for it.
    pub fn fill(self, room: &mut Room, value: impl Fn(&'static str) -> Result<Option<String>>) -> Result<Self> {
        let mut filled = Template(Vec::new());
        for part in self.0 {
            let text = match part {
                Part::Text(text) => text,
                Part::Variable(name, encoding) => match value(name)? {
                    Some(value) => encoding.applied(&value),
                    None => {
                        room.take(LONGEST_SECRET)?;
                        filled.0.push(part);
                        continue;
                    }
                },
            };
            room.take(text.len())?;
            filled.push(&text);
        }
        Ok(filled)
    }

    /// The text as in a manifest.
    pub fn as_written(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(name, encoding) => match encoding.name() {
                None => format!("$({name})"),
                Some(encoding) => format!("$({name}|{encoding})"),
            },
        });
        parts.collect()
    }

    /// The text with the values of its last variables. A variable that is not among them is empty.
    pub fn with(&self, secrets: &[(&'static str, Secret)]) -> Secret {
        let value = |name: &str| {
            secrets
                .iter()
                .find(|(of, _)| *of == name)
                .map(|(_, value)| value.expose())
        };
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(name, encoding) => encoding.applied(value(name).unwrap_or_default()),
        });
        Secret::new(parts.collect())
    }

    fn push(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.0.push(Part::Text(text.to_owned())),
        }
    }
}

/// The variable that `name` or `name|encoding` stands for.
fn variable(inner: &str) -> Option<Part> {
    let (name, encoding) = match inner.split_once('|') {
        None => (inner, Encoding::Plain),
        Some((name, encoding)) => {
            let mut encodings = [Encoding::Url, Encoding::Base64, Encoding::Json].into_iter();
            (name, encodings.find(|known| known.name() == Some(encoding))?)
        }
    };
    let name = VARIABLES.into_iter().find(|known| *known == name)?;
    Some(Part::Variable(name, encoding))
}

impl Encoding {
    fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Plain => None,
            Encoding::Url => Some("url"),
            Encoding::Base64 => Some("base64"),
            Encoding::Json => Some("json"),
        }
    }

    fn applied(self, value: &str) -> String {
        match self {
            Encoding::Plain => value.to_owned(),
            Encoding::Url => form_encoded(value),
            Encoding::Base64 => STANDARD.encode(value),
            Encoding::Json => serde_json::Value::from(value).to_string(),
        }
    }
}
