//! The admin API of a Foulkon worker: the OpenID Connect providers whose tokens it accepts
//! (`/api/v1/admin/auth/oidc/providers`), and what it reports about itself (`/about`).
//!
//! The worker looks up names with SQL's `LIKE`, so `_` in a name matches any character. A writer must therefore first
//! read the provider and compare name and id. The worker reads its providers once, at startup.

use std::collections::BTreeSet;
use std::sync::Arc;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::bounded::{Bounded, ID, WORD};
use super::http::{Body, Expects, Failure, Http, Request};

mod provider;
pub mod worker;

pub use provider::{Fields, Provider, is_client_id, is_name, is_path};

/// Path of providers.
const PROVIDERS: [&str; 6] = ["api", "v1", "admin", "auth", "oidc", "providers"];
/// Maximum number of names on a page of a listing; the worker refuses more.
pub const PAGE: u32 = 1000;
/// Maximum number of names of one listing, in case the server never ends it.
const MAX_NAMES: u32 = 100_000;
/// Error code if there is no provider of a name.
const NOT_FOUND: &str = "AuthOidcProviderWithNameNotFound";
/// Error code if there is already a provider of a name.
const EXISTS: &str = "AuthOidcProviderAlreadyExist";

/// One Foulkon, through one of its workers.
#[derive(Clone)]
pub struct Foulkon {
    http: Arc<Http>,
}

/// What a worker reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its version, for example `v0.5.0`.
    pub version: Bounded<WORD>,
    /// The providers whose tokens it accepts: those that existed when it started. None if it accepts no tokens, or if
    /// the list cannot be parsed.
    pub loaded: Option<Vec<Provider>>,
}

/// Which providers a listing shows, and in which order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listing<'a> {
    /// `PathPrefix`: only those whose path begins with it. It has to be a path itself; `_` in it matches any character.
    pub path_prefix: Option<&'a str>,
    /// `Offset`: how many to skip.
    pub offset: u32,
    /// `Limit`: how many to show at most, up to [`PAGE`]. None or 0 means 20.
    pub limit: Option<u32>,
    /// `OrderBy`: column and direction. Without it there is no order.
    pub order_by: Option<(Column, Order)>,
}

/// Column that a listing can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// `name`
    Name,
    /// `path`
    Path,
    /// `create_at`
    CreateAt,
    /// `update_at`
    UpdateAt,
    /// `urn`
    Urn,
}

/// Direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Page {
    /// Names.
    #[serde(default)]
    pub providers: Vec<Bounded<ID>>,
    /// Number of names on all pages.
    pub total: u32,
}

impl Foulkon {
    /// Client for a worker.
    pub fn new(http: Arc<Http>) -> Self {
        Foulkon { http }
    }

    /// Reads what the worker reports about itself, which only its admin may read. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn about(&self) -> Result<About, Failure> {
        let request = Request {
            expects: Expects::Many,
            probe: true,
            ..Request::new("about", Method::GET, &["about"])
        };
        match self.http.send(request).await {
            // Anyone who may create providers can make the reply too large.
            Err(Failure::TooLarge(_)) => Ok(About::default()),
            reply => about(&reply?.body),
        }
    }

    /// Lists names of providers. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn list(&self, listing: Listing<'_>) -> Result<Page, Failure> {
        let query = listing.query();
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = Request {
            query: &query,
            probe: true,
            ..Request::new("list_oidc_providers", Method::GET, &PROVIDERS)
        };
        let page: Page = parsed(self.http.send(request).await?.body)?;
        match page.providers.len() <= PAGE as usize {
            true => Ok(page),
            false => Err(Failure::Reply("has more entries than requested")),
        }
    }

    /// Names of all providers whose path begins with this prefix. Pages may shift while other clients write; names that
    /// are missed are found the next time.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn names(&self, path_prefix: &str) -> Result<BTreeSet<String>, Failure> {
        let mut names = BTreeSet::new();
        let mut offset = 0;
        loop {
            let listing = Listing {
                path_prefix: Some(path_prefix),
                offset,
                limit: Some(PAGE),
                order_by: Some((Column::Name, Order::Ascending)),
            };
            let page = self.list(listing).await?;
            let (before, is_empty) = (names.len(), page.providers.is_empty());
            names.extend(page.providers.into_iter().map(String::from));
            offset += PAGE;
            if is_empty || offset >= page.total {
                return Ok(names);
            }
            if names.len() == before || offset >= MAX_NAMES {
                return Err(Failure::Reply("does not end"));
            }
        }
    }

    /// Reads a provider. None if it does not exist. The provider that is found may have another name, since `_` matches
    /// any character.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get(&self, name: &str) -> Result<Option<Provider>, Failure> {
        let path = path_of(name);
        let request = Request::new("get_oidc_provider", Method::GET, &path);
        match self.http.send(request).await {
            Err(failure) if is_absent(&failure) => Ok(None),
            reply => parsed(reply?.body).map(Some),
        }
    }

    /// Creates a provider.
    ///
    /// # Errors
    /// [`Failure`]; [`is_conflict`] if the name is taken.
    pub async fn create(&self, fields: &Fields) -> Result<Provider, Failure> {
        let request = Request {
            body: Some(body(fields)?),
            ..Request::new("create_oidc_provider", Method::POST, &PROVIDERS)
        };
        parsed(self.http.send(request).await?.body)
    }

    /// Overwrites all fields of a provider, including name and path. It keeps its id.
    ///
    /// # Errors
    /// [`Failure`]; [`is_conflict`] if the new name is taken, [`is_absent`] if there is no provider of the old name.
    pub async fn update(&self, name: &str, fields: &Fields) -> Result<Provider, Failure> {
        let path = path_of(name);
        let request = Request {
            body: Some(body(fields)?),
            ..Request::new("update_oidc_provider", Method::PUT, &path)
        };
        parsed(self.http.send(request).await?.body)
    }

    /// Deletes a provider. Returns whether it existed.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete(&self, name: &str) -> Result<bool, Failure> {
        let path = path_of(name);
        match self
            .http
            .send(Request::new("delete_oidc_provider", Method::DELETE, &path))
            .await
        {
            Err(failure) if is_absent(&failure) => Ok(false),
            reply => reply.map(|_| true),
        }
    }
}

impl Listing<'_> {
    fn query(&self) -> Vec<(&'static str, String)> {
        let prefix = self.path_prefix.map(|prefix| ("PathPrefix", prefix.to_owned()));
        let offset = (self.offset > 0).then(|| ("Offset", self.offset.to_string()));
        let limit = self.limit.map(|limit| ("Limit", limit.to_string()));
        let order = self.order_by.map(|(column, order)| {
            let column = match column {
                Column::Name => "name",
                Column::Path => "path",
                Column::CreateAt => "create_at",
                Column::UpdateAt => "update_at",
                Column::Urn => "urn",
            };
            let order = match order {
                Order::Ascending => "asc",
                Order::Descending => "desc",
            };
            ("OrderBy", format!("{column}-{order}"))
        });
        [prefix, offset, limit, order].into_iter().flatten().collect()
    }
}

/// Whether the worker itself reports that there is no provider of a name.
pub fn is_absent(failure: &Failure) -> bool {
    is(failure, 404, NOT_FOUND)
}

/// Whether the worker itself reports that there is already a provider of a name.
pub fn is_conflict(failure: &Failure) -> bool {
    is(failure, 409, EXISTS)
}

fn is(failure: &Failure, status: u16, wanted: &str) -> bool {
    matches!(failure, Failure::Status { code, error: Some(error), .. } if *code == status && error == wanted)
}

fn path_of(name: &str) -> Vec<&str> {
    PROVIDERS.into_iter().chain([name]).collect()
}

fn body(fields: &Fields) -> Result<Body, Failure> {
    let body = serde_json::to_vec(fields).map_err(|_| Failure::Reply("cannot be requested: a field cannot be sent"))?;
    Ok(Body::Json(body))
}

fn parsed<T: DeserializeOwned>(body: Value) -> Result<T, Failure> {
    serde_json::from_value(body).map_err(|_| Failure::Reply("lacks a field or has one of the wrong type"))
}

/// Parses what a worker reports about itself. With the authenticator `oidc` it lists its providers, if it has any.
fn about(body: &Value) -> Result<About, Failure> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let (Some(version), Some(authenticator)) = (text("/version"), text("/authenticator/type")) else {
        return Err(Failure::Reply("is not what a Foulkon worker reports about itself"));
    };
    let loaded = match (authenticator, body.pointer("/authenticator/oidcProviders")) {
        ("oidc", None | Some(Value::Null)) => Some(Vec::new()),
        ("oidc", Some(listed)) => parsed(listed.clone()).ok(),
        _ => None,
    };
    let version = version.parse().map_err(|_| Failure::Reply("holds no version"))?;
    Ok(About { version, loaded })
}

/// Whether a worker has loaded a provider with these fields.
pub fn is_loaded(loaded: &[Provider], fields: &Fields) -> bool {
    loaded.iter().any(|provider| fields.differences(provider).is_empty())
}
