//! Small web sites of applications.

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The header in which OAuth2 Proxy tells the application who is signed in.
const PERSON: &str = "x-forwarded-email";

/// A running site. It ends when this value is dropped.
pub struct Site {
    url: String,
    server: JoinHandle<()>,
}

impl Site {
    /// An application that shows who is signed in, as the proxy in front of it says.
    pub async fn greeting() -> Result<Self> {
        let page = |headers: HeaderMap| async move {
            let person = headers.get(PERSON).and_then(|value| value.to_str().ok());
            Html(format!("<p>Welcome, {}.</p>", person.unwrap_or("stranger")))
        };
        Self::serve(Router::new().fallback(page)).await
    }

    /// An application that shows the query of the request.
    pub async fn echo() -> Result<Self> {
        let page = |uri: Uri| async move { format!("Back with {}", uri.query().unwrap_or("nothing")) };
        Self::serve(Router::new().route("/callback", get(page))).await
    }

    /// A site of one page, which is empty until it is written.
    pub async fn page() -> Result<(Self, Arc<OnceLock<String>>)> {
        let html = Arc::new(OnceLock::new());
        let written = Arc::clone(&html);
        let page = move || {
            let html = written.get().cloned().unwrap_or_default();
            async move { Html(html) }
        };
        Ok((Self::serve(Router::new().route("/", get(page))).await?, html))
    }

    async fn serve(routes: Router) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, routes).await; // never ends
        });
        Ok(Self { url, server })
    }

    /// URL of the site, without a trailing slash; its origin.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}
