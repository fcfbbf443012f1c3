//! A forward proxy, as companies have them: https through `CONNECT` (RFC 9110, section 9.3.6), http through URLs in the
//! request line. It resolves names of its own, so a server behind it need not be resolvable elsewhere.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longest head of a request, in bytes.
const HEAD: usize = 64 * 1024;

/// What a forward proxy does.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Authorities (host and port) and where they are. The proxy answers 502 for others.
    pub hosts: Vec<(String, SocketAddr)>,
    /// The value of `Proxy-Authorization` that it requires; it answers 407 without.
    pub login: Option<String>,
    /// The status that it answers everything with.
    pub refuses: Option<u16>,
}

/// A request to a forward proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Method and target, as `CONNECT hydra.test:443`.
    pub request: String,
    /// The value of `Proxy-Authorization`.
    pub login: Option<String>,
    /// The value of `Host`.
    pub host: Option<String>,
}

/// A running forward proxy on loopback. It stops when dropped.
#[derive(Debug)]
pub struct ForwardProxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _stop: DropGuard,
}

impl ForwardProxy {
    /// Starts a proxy on a free port, as tasks of the current runtime.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(rules: Rules) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let address = listener.local_addr()?;
        let (seen, stop) = (Arc::default(), CancellationToken::new());
        let (log, stopped, rules) = (Arc::clone(&seen), stop.clone(), Arc::new(rules));
        tokio::spawn(stopped.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serve(stream, Arc::clone(&rules), Arc::clone(&log));
                tokio::spawn(stopped.clone().run_until_cancelled_owned(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!("connection of a forward proxy closed: {error:#}");
                    }
                }));
            }
        }));
        Ok(Self {
            address,
            seen,
            _stop: stop.drop_guard(),
        })
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The head of a request: its first line, and its other lines.
struct Head {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let first = lines.next().context("no request line")?;
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            bail!("not a request line: {first}");
        };
        let headers = lines.filter_map(|line| line.split_once(':'));
        Ok(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The authority and, for a URL, the rest of it.
    fn place(&self) -> Option<(String, String)> {
        if self.method == "CONNECT" {
            return Some((self.target.clone(), String::new()));
        }
        let rest = self.target.strip_prefix("http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Some((authority.to_owned(), format!("/{path}")))
    }

    /// The request as the server expects it. One request per connection, so that each is seen.
    fn forwarded(&self, path: &str) -> String {
        let mut text = format!("{} {path} HTTP/1.1\r\nConnection: close\r\n", self.method);
        for (name, value) in &self.headers {
            if !["proxy-authorization", "connection"].contains(&name.to_lowercase().as_str()) {
                text += &format!("{name}: {value}\r\n");
            }
        }
        text + "\r\n"
    }
}

async fn serve(mut stream: TcpStream, rules: Arc<Rules>, log: Arc<Mutex<Vec<Seen>>>) -> Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(found) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break found + 4;
        }
        if bytes.len() > HEAD || stream.read_buf(&mut bytes).await? == 0 {
            bail!("no head of a request");
        }
    };
    let head = Head::parse(&String::from_utf8_lossy(&bytes[..end]))?;
    log.lock().unwrap_or_else(PoisonError::into_inner).push(Seen {
        request: format!("{} {}", head.method, head.target),
        login: head.header("proxy-authorization").map(str::to_owned),
        host: head.header("host").map(str::to_owned),
    });
    if let Some(status) = rules.refuses {
        return answer(&mut stream, status).await;
    }
    if rules.login.is_some() && rules.login.as_deref() != head.header("proxy-authorization") {
        return answer(&mut stream, 407).await;
    }
    let Some((authority, path)) = head.place() else {
        return answer(&mut stream, 400).await;
    };
    let Some((_, address)) = rules.hosts.iter().find(|(known, _)| *known == authority) else {
        return answer(&mut stream, 502).await;
    };
    let mut server = TcpStream::connect(address)
        .await
        .context("no connection to the server")?;
    if head.method == "CONNECT" {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    } else {
        server.write_all(head.forwarded(&path).as_bytes()).await?;
        server.write_all(&bytes[end..]).await?;
    }
    copy_bidirectional(&mut stream, &mut server).await?;
    Ok(())
}

async fn answer(stream: &mut TcpStream, status: u16) -> Result<()> {
    let text = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}
