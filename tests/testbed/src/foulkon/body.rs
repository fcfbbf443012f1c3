//! Bodies of requests, read as Go's `encoding/json` reads them: the first JSON value counts, whatever follows it;
//! letter case of names, unknown members and nulls do not matter.

use serde_json::{Map, Value};

/// The wanted fields of a provider.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) issuer_url: String,
    pub(super) clients: Vec<String>,
}

/// Reads a body. `kind` is the name of Go's type, which its error messages mention.
///
/// # Errors
/// Go's error message. The messages for empty and cut-off bodies and for a list instead of an object are recorded. The
/// others have Go's form, but may name another character or member if several are wrong.
pub(super) fn read(body: &[u8], kind: &str) -> Result<Wanted, String> {
    let text = String::from_utf8_lossy(body); // as Go does: without an error
    let value = match serde_json::Deserializer::from_str(&text).into_iter::<Value>().next() {
        None => return Err("EOF".to_owned()),
        Some(Ok(value)) => value,
        Some(Err(error)) if error.is_eof() => return Err("unexpected EOF".to_owned()),
        Some(Err(error)) => {
            let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
            let wrong = line.chars().nth(error.column().saturating_sub(1)).unwrap_or(' ');
            return Err(format!("invalid character '{wrong}' looking for beginning of value"));
        }
    };
    match value {
        Value::Null => Ok(Wanted::default()),
        Value::Object(members) => Wanted::of(&members, kind),
        other => Err(format!(
            "json: cannot unmarshal {} into Go value of type http.{kind}",
            type_name(&other)
        )),
    }
}

impl Wanted {
    fn of(members: &Map<String, Value>, kind: &str) -> Result<Self, String> {
        let mismatch = |field: &str, found: &Value, go_type: &str| {
            let found = type_name(found);
            format!("json: cannot unmarshal {found} into Go struct field {kind}.{field} of type {go_type}")
        };
        let string = |field: &str, value: &Value| match value {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            other => Err(mismatch(field, other, "string")),
        };
        let mut wanted = Self::default();
        for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            let is = |field: &str| name.eq_ignore_ascii_case(field);
            if is("name") {
                wanted.name = string("name", value)?;
            } else if is("path") {
                wanted.path = string("path", value)?;
            } else if is("issuerUrl") {
                wanted.issuer_url = string("issuerUrl", value)?;
            } else if is("clients") {
                let clients = value.as_array().ok_or_else(|| mismatch("clients", value, "[]string"))?;
                let clients = clients.iter().map(|client| string("clients", client));
                wanted.clients = clients.collect::<Result<_, _>>()?;
            }
        }
        Ok(wanted)
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_go_reads_them() {
        let named = |name: &str| Wanted {
            name: name.to_owned(),
            ..Wanted::default()
        };
        let table = [
            ("null", Ok(Wanted::default())),
            (r#"{"NAME": "a"} trailing"#, Ok(named("a"))),
            (r#"{"name": null, "clients": null, "other": 1}"#, Ok(Wanted::default())),
            ("  \n", Err("EOF")),
            (r#"{"name": "a""#, Err("unexpected EOF")),
            ("{x", Err("invalid character 'x' looking for beginning of value")),
            (
                "1",
                Err("json: cannot unmarshal number into Go value of type http.CreateOidcProviderRequest"),
            ),
            (
                r#"{"name": 1}"#,
                Err("json: cannot unmarshal number into Go struct field CreateOidcProviderRequest.name of type string"),
            ),
            (
                r#"{"clients": "a"}"#,
                Err(
                    "json: cannot unmarshal string into Go struct field CreateOidcProviderRequest.clients of type []string",
                ),
            ),
        ];
        for (body, expected) in table {
            let found = read(body.as_bytes(), "CreateOidcProviderRequest");
            assert_eq!(found, expected.map_err(ToOwned::to_owned), "{body}");
        }
        let clients = read(br#"{"clients": ["a", null]}"#, "")
            .expect("both can be read")
            .clients;
        assert_eq!(clients, ["a", ""]);
    }
}
