//! The web server under abusive clients: probes are answered, and every client gets a bounded share.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use oidc_operator::health::{Prerequisites, Stage};
use oidc_operator::server::{self, AGE, HEAD, MOST, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Connections of an attacker.
const THOUSAND: usize = 1000;
/// Far longer than an answer takes, and less than a probe waits for it.
const PROMPT: Duration = Duration::from_secs(3);
/// How long clients send requests in a loop.
const ATTACK: Duration = Duration::from_secs(4);
/// A request head that never ends.
const HALF: &str = "GET /metrics HTTP/1.1\r\nHost: operator\r\nX-Slow: ";
const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nHost: operator\r\n\r\n";

/// The real web server on a separate runtime, as in the process.
struct Web {
    address: SocketAddr,
    state: Arc<State>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Web {
    async fn start() -> Web {
        Web::start_at("127.0.0.1:0").await
    }

    async fn start_at(address: &str) -> Web {
        let listener = server::listen(address.parse().expect("an address")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (state, stop) = (Arc::new(State::default()), CancellationToken::new());
        let listener = listener.into_std().expect("a listener");
        let thread = server::start(listener, state.clone(), stop.clone()).expect("a thread");
        Web {
            address,
            state,
            stop,
            thread: Some(thread),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Status and body of an answer on a new connection, as for the kubelet.
    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.try_get(path).await;
        answer.expect(path)
    }

    async fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let asking = async {
            let mut stream = self.connect().await;
            let request = format!("GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = tokio::time::timeout(PROMPT, asking).await.ok()?.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    async fn probes_are_answered(&self) {
        assert_eq!(self.get("/livez").await, (200, "ok".to_owned()));
        assert_eq!(self.get("/readyz").await, (200, "ok".to_owned()));
    }

    async fn renderings(&self) -> u64 {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("oidc_operator_metrics_renderings_total "));
        line.and_then(|count| count.parse().ok())
            .expect("the count of renderings")
    }

    fn is_ready(&self) {
        self.state.health.enter(Stage::Working);
        self.state.health.found(Prerequisites::Met);
    }

    /// A thousand connections that have sent this much and no more.
    async fn held(&self, sent: &str) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for _ in 0..THOUSAND {
            let mut stream = self.connect().await;
            let _ = stream.write_all(sent.as_bytes()).await; // fails on a displaced connection
            streams.push(stream);
        }
        streams
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Number of these connections that the server has not closed.
fn open(streams: &[TcpStream]) -> usize {
    let is_open = |stream: &&TcpStream| {
        let mut buffer = [0; 65536];
        loop {
            match stream.try_read(&mut buffer) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    };
    streams.iter().filter(is_open).count()
}

/// Asserts that the server soon closes all but this many of these connections.
async fn open_at_most(streams: &[TcpStream], most: usize) {
    let begun = Instant::now();
    while open(streams) > most {
        assert!(begun.elapsed() < PROMPT, "{} connections are open", open(streams));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_slow_connections_do_not_block_probes() {
    let web = Web::start().await;
    web.is_ready();
    let slow = web.held(HALF).await;
    web.probes_are_answered().await;
    open_at_most(&slow, MOST).await;
    // The remaining ones are cut off without any further request.
    tokio::time::sleep(HEAD).await;
    open_at_most(&slow, 0).await;
    web.probes_are_answered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_that_never_read_do_not_block_probes() {
    let web = Web::start().await;
    web.is_ready();
    let begun = Instant::now();
    let greedy = web.held(&SCRAPE.repeat(50)).await;
    web.probes_are_answered().await;
    let renderings = web.renderings().await;
    let most = begun.elapsed().as_secs() / AGE.as_secs() + 2;
    assert!(renderings <= most, "{renderings} renderings");
    open_at_most(&greedy, MOST).await;
}

#[test]
fn a_thousand_clients_in_a_loop_cause_one_rendering_a_second() {
    let attackers = tokio::runtime::Runtime::new().expect("a runtime");
    let kubelet = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let kubelet = kubelet.expect("a runtime");
    let web = attackers.block_on(Web::start());
    web.is_ready();
    let begun = Instant::now();
    let asking: Vec<JoinHandle<u64>> = (0..THOUSAND)
        .map(|_| attackers.spawn(in_a_loop(web.address, begun)))
        .collect();
    let (mut probes, mut failed) = (0, 0);
    while begun.elapsed() < ATTACK {
        let answer = kubelet.block_on(web.try_get("/livez"));
        probes += 1;
        failed = if answer == Some((200, "ok".to_owned())) {
            0
        } else {
            failed + 1
        };
        assert!(failed < 3, "{failed} probes in a row failed after {probes}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let asked: u64 = attackers
        .block_on(join_all(asking))
        .into_iter()
        .filter_map(Result::ok)
        .sum();
    let renderings = kubelet.block_on(web.renderings());
    let most = begun.elapsed().as_secs() / AGE.as_secs() + 2;
    eprintln!("{asked} answers, {renderings} renderings, {probes} probes");
    assert!(asked > 10 * most, "only {asked} answers");
    assert!(renderings <= most, "{renderings} renderings for {asked} answers");
}

/// Sends requests while the attack lasts, on a new connection when one is cut off. Returns how many answers began.
async fn in_a_loop(address: SocketAddr, begun: Instant) -> u64 {
    let mut answers = 0;
    let mut buffer = vec![0; 65536];
    let over = || begun.elapsed() > ATTACK;
    while !over() {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            continue;
        };
        while !over() && stream.write_all(SCRAPE.as_bytes()).await.is_ok() {
            match tokio::time::timeout(PROMPT, stream.read(&mut buffer)).await {
                Ok(Ok(read)) if read > 0 => answers += 1,
                _ => break,
            }
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_connections_do_not_delay_the_shutdown() {
    let mut web = Web::start().await;
    let slow = web.held(HALF).await;
    web.stop.cancel();
    let thread = web.thread.take().expect("it runs");
    let ended = tokio::task::spawn_blocking(|| thread.join());
    let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
    assert!(matches!(ended, Ok(Ok(Ok(Ok(()))))), "{ended:?}");
    open_at_most(&slow, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_probes_name_the_problem() {
    let web = Web::start().await;
    let (status, reason) = web.get("/readyz").await;
    assert_eq!((status, reason.lines().count()), (503, 1), "{reason}");
    assert_eq!(web.get("/livez").await.0, 200);
    web.is_ready();
    web.probes_are_answered().await;
    let watched = web.state.health.watch("OAuth2Client");
    web.probes_are_answered().await;
    drop(watched);
    for path in ["/livez", "/readyz"] {
        let (status, reason) = web.get(path).await;
        assert_eq!(status, 503);
        assert!(reason.contains("OAuth2Client"), "{reason}");
    }
}

/// Neither the client nor the web server is on the runtime that hangs.
#[test]
fn probes_are_answered_while_the_runtime_hangs() {
    let hung = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let hung = hung.expect("a runtime");
    let web = hung.block_on(Web::start());
    let (began, begun) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(std::sync::Mutex::new(released));
    for _ in 0..2 {
        let (began, released) = (began.clone(), released.clone());
        hung.spawn(async move {
            let _ = began.send(());
            let _ = released.lock().map(|released| released.recv());
        });
    }
    begun.iter().take(2).for_each(drop);
    let asking = tokio::runtime::Runtime::new().expect("a runtime");
    assert_eq!(asking.block_on(web.get("/livez")).0, 200);
    drop(release);
}

#[tokio::test]
async fn all_addresses_are_those_of_both_families() {
    let mut web = Web::start_at("[::]:0").await;
    let port = web.address.port();
    let mut hosts = vec!["127.0.0.1"];
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        assert!(web.address.is_ipv6());
        hosts.push("[::1]");
    }
    for host in hosts {
        web.address = format!("{host}:{port}").parse().expect("an address");
        assert_eq!(web.get("/livez").await, (200, "ok".to_owned()), "{host}");
    }
}

#[tokio::test]
async fn a_taken_address_is_an_error() {
    let first = server::listen("[::]:0".parse().expect("an address")).expect("a port");
    let taken = server::listen(first.local_addr().expect("an address"));
    assert_eq!(taken.err().map(|error| error.kind()), Some(ErrorKind::AddrInUse));
}
