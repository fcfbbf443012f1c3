//! A Git repository, served over http by Git's own program for web servers.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::process;
use crate::run_dir::RunDir;

/// The branch with all commits.
pub const BRANCH: &str = "main";
/// Largest request: what a client has, when it asks for the rest.
const MAX_REQUEST: usize = 1 << 20;

/// A repository with one branch. The server stops when this value is dropped.
pub struct Repository {
    url: String,
    server: JoinHandle<()>,
    run: RunDir,
}

impl Repository {
    /// Makes an empty repository and serves it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When Git is missing, or no port is free.
    pub async fn start() -> Result<Self> {
        let run = RunDir::new()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/.git", listener.local_addr()?);
        let root = Arc::new(run.path().to_owned());
        let routes = Router::new().fallback(answer).with_state(root);
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, routes).await; // never ends
        });
        let repository = Self { url, server, run };
        repository.git(&["init", "--quiet", "--initial-branch", BRANCH]).await?;
        Ok(repository)
    }

    /// URL to clone it from.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Commits these files (path, text) in place of all that the last commit had, and returns the commit's id.
    ///
    /// # Errors
    /// When Git refuses, for example because nothing has changed.
    pub async fn commit(&self, message: &str, files: &[(&str, String)]) -> Result<String> {
        self.git(&["rm", "-r", "--quiet", "--ignore-unmatch", "."]).await?;
        for (name, text) in files {
            let path = self.run.path().join(name);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--message", message]).await?;
        Ok(self.git(&["rev-parse", "HEAD"]).await?.trim().to_owned())
    }

    async fn git(&self, arguments: &[&str]) -> Result<String> {
        let mut git = git(self.run.path());
        git.args(["-c", "user.name=Test", "-c", "user.email=test@example.com"]);
        git.args(arguments);
        process::output("git", git).await
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Git in a folder, without the configuration of this machine.
fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .kill_on_drop(true);
    git
}

async fn answer(State(root): State<Arc<PathBuf>>, request: Request) -> Response<axum::body::Body> {
    match backend(&root, request).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = Response::new(format!("{error:#}").into());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// Passes a request to `git http-backend` (RFC 3875) and returns what it answers.
async fn backend(root: &Path, request: Request) -> Result<Response<axum::body::Body>> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_REQUEST).await?;
    let header = |name: &str| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut git = git(root);
    git.arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut git = git.spawn().context("running git")?;
    let mut stdin = git.stdin.take().context("stdin is piped")?;
    // A program that refuses early closes its side; its answer counts, not the broken pipe.
    let _ = stdin.write_all(&body).await;
    drop(stdin);
    let output = git.wait_with_output().await?.stdout;
    parse(&output)
}

/// The answer of a program for web servers: headers, an empty line, and the body.
fn parse(output: &[u8]) -> Result<Response<axum::body::Body>> {
    let end = output.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.context("git http-backend answered without headers")?;
    let mut response = Response::new(output[end + 4..].to_vec().into());
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(':').context("a header without a value")?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            *response.status_mut() = code.parse()?;
        } else {
            let (name, value) = (HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clone_has_the_files_of_the_last_commit_only() -> Result<()> {
        let repository = Repository::start().await?;
        repository.commit("one", &[("a", "1".to_owned())]).await?;
        let id = repository.commit("two", &[("b/c", "2".to_owned())]).await?;
        let clone = RunDir::new()?;
        let mut command = git(clone.path());
        command.args(["clone", "--quiet", "--branch", BRANCH, repository.url(), "."]);
        process::output("git clone", command).await?;
        assert_eq!(std::fs::read_to_string(clone.path().join("b/c"))?, "2");
        assert!(!clone.path().join("a").exists());
        let mut command = git(clone.path());
        command.args(["rev-parse", "HEAD"]);
        assert_eq!(process::output("git rev-parse", command).await?.trim(), id);
        Ok(())
    }

    #[test]
    fn the_answer_of_the_program_has_a_status_and_headers() -> Result<()> {
        let answer = parse(b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno\r\n\r\nway")?;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.headers()["content-type"], "text/plain");
        assert!(parse(b"no headers").is_err());
        Ok(())
    }
}
