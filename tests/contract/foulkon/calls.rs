//! Every operation, with its result as one type.

use std::collections::BTreeMap;

use oidc_operator::admin::foulkon::{About, Column, Fields, Foulkon, Listing, Order, Page, Provider};
use oidc_operator::admin::http::Failure;
use serde_json::{Value, json};

use super::PROVIDERS;
use super::recordings::Asked;

/// The result of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A value, as JSON.
    Value(Value),
    /// Success without a value.
    Done,
    /// No provider has that name.
    None,
    /// A failure.
    Failed(Failure),
}

/// Names of all operations.
pub const OPERATIONS: [&str; 6] = ["about", "list", "get", "create", "update", "delete"];

/// Calls an operation. It ignores arguments that it does not need.
pub async fn call(foulkon: &Foulkon, operation: &str, name: &str, fields: &Fields, listing: Listing<'_>) -> Outcome {
    match operation {
        "about" => value(foulkon.about().await.map(Some), about),
        "list" => value(foulkon.list(listing).await.map(Some), page),
        "get" => value(foulkon.get(name).await, provider),
        "create" => value(foulkon.create(fields).await.map(Some), provider),
        "update" => value(foulkon.update(name, fields).await.map(Some), provider),
        _ => match foulkon.delete(name).await {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::None,
            Err(failure) => Outcome::Failed(failure),
        },
    }
}

/// Calls every operation on one provider.
pub async fn each(foulkon: &Foulkon, name: &str) -> BTreeMap<&'static str, Outcome> {
    let mut outcomes = BTreeMap::new();
    for operation in OPERATIONS {
        let outcome = call(foulkon, operation, name, &super::fields(), Listing::default()).await;
        outcomes.insert(operation, outcome);
    }
    outcomes
}

/// Makes the call for a recorded request. None if no call makes it.
pub async fn play(foulkon: &Foulkon, asked: &Asked) -> Option<(&'static str, Outcome)> {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let below = path.strip_prefix(PROVIDERS);
    let name = below.and_then(|below| below.strip_prefix('/'));
    let operation = match (asked.method.as_str(), below, name) {
        ("GET", None, _) if path == "/about" => "about",
        ("GET", Some(""), _) => "list",
        ("POST", Some(""), _) => "create",
        ("GET", _, Some(name)) if !name.is_empty() => "get",
        ("PUT", _, Some(_)) => "update",
        ("DELETE", _, Some(_)) => "delete",
        _ => return None,
    };
    let writes = matches!(operation, "create" | "update");
    let fields = match writes {
        true => fields(&asked.body)?,
        false => super::fields(),
    };
    let listing = listing(query)?;
    let outcome = call(foulkon, operation, name.unwrap_or_default(), &fields, listing).await;
    Some((operation, outcome))
}

/// The fields of a recorded body; missing ones are empty. None if it is not an object.
pub fn fields(body: &Value) -> Option<Fields> {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let clients = body["clients"].as_array().into_iter().flatten();
    body.as_object()?;
    Some(Fields {
        name: text("name"),
        path: text("path"),
        issuer_url: text("issuerUrl"),
        clients: clients.filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

/// The listing for a recorded query. None if no listing sends it.
fn listing(query: &str) -> Option<Listing<'_>> {
    let mut listing = Listing::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=')? {
            ("PathPrefix", prefix) => listing.path_prefix = Some(prefix),
            ("Offset", offset) => listing.offset = offset.parse().ok()?,
            ("Limit", limit) => listing.limit = Some(limit.parse().ok()?),
            ("OrderBy", order) => listing.order_by = Some(order_by(order)?),
            _ => return None,
        }
    }
    Some(listing)
}

fn order_by(text: &str) -> Option<(Column, Order)> {
    let all = orders().into_iter();
    let mut found = all.filter(|(sent, _)| sent == text);
    found.next().map(|(_, order)| order)
}

/// Every order, each with the text that is sent for it.
pub fn orders() -> Vec<(String, (Column, Order))> {
    let columns = [
        ("name", Column::Name),
        ("path", Column::Path),
        ("create_at", Column::CreateAt),
        ("update_at", Column::UpdateAt),
        ("urn", Column::Urn),
    ];
    let orders = [("asc", Order::Ascending), ("desc", Order::Descending)];
    let pairs = columns
        .into_iter()
        .flat_map(|column| orders.map(|order| (column, order)));
    pairs
        .map(|((column_name, column), (order_name, order))| (format!("{column_name}-{order_name}"), (column, order)))
        .collect()
}

fn value<T>(result: Result<Option<T>, Failure>, shown: impl Fn(T) -> Value) -> Outcome {
    match result {
        Ok(Some(found)) => Outcome::Value(shown(found)),
        Ok(None) => Outcome::None,
        Err(failure) => Outcome::Failed(failure),
    }
}

/// A provider as JSON; its clients as a list of names, sorted.
pub fn provider(provider: Provider) -> Value {
    json!({
        "clients": provider.client_ids(), "id": provider.id, "name": provider.name, "path": provider.path,
        "urn": provider.urn, "issuerUrl": provider.issuer_url,
        "createAt": provider.create_at, "updateAt": provider.update_at,
    })
}

fn page(page: Page) -> Value {
    json!({ "providers": page.providers, "total": page.total })
}

fn about(about: About) -> Value {
    let loaded = about
        .loaded
        .map(|all| all.into_iter().map(provider).collect::<Vec<_>>());
    json!({ "version": about.version, "loaded": loaded })
}

/// The part of a recorded body that a call must return.
pub fn substance(operation: &str, body: &Value) -> Value {
    match operation {
        "list" => {
            let names = body["providers"].as_array().cloned().unwrap_or_default();
            json!({ "providers": names, "total": body["total"] })
        }
        "about" => {
            let loaded = body["authenticator"]["oidcProviders"].as_array().into_iter().flatten();
            let loaded: Vec<Value> = loaded.map(with_client_names).collect();
            json!({ "version": body["version"], "loaded": loaded })
        }
        _ => with_client_names(body),
    }
}

fn with_client_names(body: &Value) -> Value {
    let clients = body["clients"].as_array().into_iter().flatten();
    let mut names: Vec<&str> = clients.map(|c| c["name"].as_str().unwrap_or_default()).collect();
    names.sort_unstable();
    let mut changed = body.clone();
    changed["clients"] = json!(names);
    changed
}
