//! One pass of the engine against a scripted Kubernetes API, for replies that a real API gives only at rare moments.
//! The resource is a Scope on a Hydra server, because it sends nothing to the server.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::{Request, Response};
use k8s_openapi::api::core::v1::Namespace;
use kube::client::Body;
use kube::core::PartialObjectMeta;
use kube::runtime::events::Reporter;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use oidc_operator::api::{AuthorizationServer, FINALIZER, OAuth2Client, Scope};
use oidc_operator::cluster::Cluster;
use oidc_operator::controller::engine::cache::{Writer, cache};
use oidc_operator::controller::engine::children::Children;
use oidc_operator::controller::engine::context::{Context, Settings, Stores};
use oidc_operator::controller::engine::departures::Departures;
use oidc_operator::controller::engine::kinds::{Kinds, Writers};
use oidc_operator::controller::engine::links::Links;
use oidc_operator::controller::engine::publisher::Events;
use oidc_operator::controller::engine::queue::Ended;
use oidc_operator::controller::engine::reconcile::reconcile;
use oidc_operator::controller::engine::spacing::Spacing;
use oidc_operator::controller::engine::unwatched::Unwatched;
use oidc_operator::leader::Fence;
use oidc_operator::metrics::Metrics;
use oidc_operator::proxies::Proxies;
use oidc_operator::reach::Reach;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

const SCOPE: &str = "/apis/oidc-operator.dev/v1alpha1/namespaces/team/scopes/orders";
const STATUS: &str = "/apis/oidc-operator.dev/v1alpha1/namespaces/team/scopes/orders/status";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/team/events";

/// An answer of the Kubernetes API.
enum Answer {
    /// This object.
    Object(Value),
    /// This object with the status that was applied.
    Applied(Value),
    /// A failure with this code.
    Failure(u16),
    /// No answer until the caller gives up.
    Silence,
}

/// A request that a pass must make, and its answer.
type Exchange = (&'static str, &'static str, Answer);

/// A request to the Kubernetes API, and the channel for its answer.
type Asked = (Request<Body>, oneshot::Sender<Response<Body>>);

struct Stage {
    ctx: Arc<Context>,
    kinds: Writers,
    api: mpsc::UnboundedReceiver<Asked>,
    namespaces: Writer<PartialObjectMeta<Namespace>>,
}

impl Stage {
    /// An operator whose caches hold a namespace and a Hydra server that admits it.
    fn new(fence: Fence) -> Self {
        let (ask, api) = mpsc::unbounded_channel::<Asked>();
        let service = tower::service_fn(move |request| {
            let (answer, answered) = oneshot::channel();
            let asked = ask.send((request, answer)).is_ok();
            async move {
                assert!(asked, "a request after the end of the script");
                answered.await
            }
        });
        let client = kube::Client::new(service, "default");
        let (queue, _) = mpsc::unbounded_channel();
        let (kinds, writers) = Kinds::new(&queue);
        let (namespaces, namespace_writer) = cache();
        let (secrets, _) = cache();
        let reporter = Reporter {
            controller: "oidc-operator".to_owned(),
            instance: None,
        };
        let ctx = Arc::new(Context {
            cluster: Cluster::new(client.clone(), fence.clone()),
            settings: Settings {
                manual: oidc_operator::manual::Manual::default(),
                namespace: "operator".to_owned(),
                cluster: "cluster-1".to_owned(),
                former_clusters: Vec::new(),
                reach: Reach::default(),
                proxies: Proxies::default(),
                output_labels: Default::default(),
            },
            kinds,
            stores: Stores {
                namespaces,
                secrets,
                unwatched: Unwatched::default(),
            },
            queue: Mutex::default(),
            children: Children::default(),
            links: Links::default(),
            departures: Departures::default(),
            spacing: Spacing::default(),
            events: Events::new(client, reporter),
            metrics: Arc::new(Metrics::default()),
            fence,
        });
        let mut stage = Stage {
            ctx,
            kinds: writers,
            api,
            namespaces: namespace_writer,
        };
        let server: AuthorizationServer = read(json!({
            "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "AuthorizationServer",
            "metadata": { "name": "default", "uid": "server-1", "resourceVersion": "1", "generation": 1 },
            "spec": {
                "hydra": { "adminUrl": "http://hydra:4445" },
                "access": [{ "namespaces": { "from": "All" }, "kinds": ["Scope"] }],
            },
        }));
        stage.kinds.servers.apply(Event::Apply(server));
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "team", "resourceVersion": "1" },
        });
        stage.namespaces.apply(Event::Apply(read(namespace)));
        stage
    }

    fn shows(&mut self, scope: Value) {
        self.kinds.scopes.apply(Event::Apply(read(scope)));
    }

    /// One pass over the cached Scope, which must make exactly these requests.
    async fn pass(&mut self, script: Vec<Exchange>) -> Ended {
        let reference = ObjectRef::<Scope>::new("orders").within("team");
        let cached = self.ctx.kinds.scopes.store.get(&reference).expect("the Scope");
        let pass = reconcile(cached, self.ctx.clone());
        let (ended, ()) = tokio::join!(pass, serve(&mut self.api, script));
        assert!(self.api.try_recv().is_err(), "an unexpected request");
        ended
    }
}

async fn serve(api: &mut mpsc::UnboundedReceiver<Asked>, script: Vec<Exchange>) {
    for (number, (method, path, answer)) in script.into_iter().enumerate() {
        let asked = tokio::time::timeout(Duration::from_secs(5), api.recv()).await;
        assert!(asked.is_ok(), "request {number}, {method} {path}, never came");
        let (request, respond) = asked.ok().flatten().expect("a request");
        assert_eq!(
            (request.method().as_str(), request.uri().path()),
            (method, path),
            "request {number}"
        );
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        match answer {
            Answer::Object(object) => respond.send(reply(200, &object)).expect("a waiting caller"),
            Answer::Applied(mut stored) => {
                stored["status"] = body["status"].clone();
                respond.send(reply(200, &stored)).expect("a waiting caller");
            }
            Answer::Failure(code) => {
                let reason = match code {
                    404 => "NotFound",
                    409 => "Conflict",
                    422 => "Invalid",
                    403 => "Forbidden",
                    _ => "InternalError",
                };
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason, "code": code,
                });
                respond.send(reply(code, &status)).expect("a waiting caller");
            }
            // Until the caller gives up.
            Answer::Silence => {
                let mut respond = respond;
                respond.closed().await;
            }
        }
    }
}

fn reply(code: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(code)
        .body(Body::from(body.to_string().into_bytes()))
        .expect("a reply")
}

fn read<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).expect("an object")
}

/// The Scope as its user created it.
fn made() -> Value {
    json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "Scope",
        "metadata": { "name": "orders", "namespace": "team", "uid": "scope-1", "resourceVersion": "1", "generation": 1 },
        "spec": {},
    })
}

/// The Scope with our finalizer, in this version.
fn held(version: &str) -> Value {
    let mut scope = made();
    scope["metadata"]["resourceVersion"] = version.into();
    scope["metadata"]["finalizers"] = json!([FINALIZER]);
    scope
}

/// The Scope after its deletion was requested.
fn going(version: &str) -> Value {
    let mut scope = held(version);
    scope["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    scope
}

fn hold() -> Exchange {
    ("PATCH", SCOPE, Answer::Object(held("2")))
}

fn apply(version: &'static str) -> Exchange {
    ("PATCH", STATUS, Answer::Applied(held(version)))
}

fn told() -> Exchange {
    ("POST", EVENTS, Answer::Object(json!({ "metadata": {} })))
}

/// A stage on which the Scope is ready, but the watch has not shown that yet.
async fn ready() -> Stage {
    let mut stage = Stage::new(Fence::open());
    stage.shows(made());
    stage.pass(vec![hold(), apply("3")]).await;
    stage
}

fn is_done(ended: Ended) -> bool {
    ended == Ended::default()
}

#[tokio::test]
async fn a_new_resource_gets_its_finalizer_first_and_then_its_status() {
    let mut stage = Stage::new(Fence::open());
    stage.shows(made());
    assert!(is_done(stage.pass(vec![hold(), apply("3")]).await));
}

#[tokio::test]
async fn a_second_pass_writes_nothing_even_while_the_watch_lags_behind() {
    let mut stage = ready().await;
    assert!(
        is_done(stage.pass(vec![]).await),
        "the cache still shows it without finalizer and status"
    );
    stage.shows(held("2"));
    assert!(
        is_done(stage.pass(vec![]).await),
        "the cache still shows it without status"
    );
}

#[tokio::test]
async fn a_finalizer_conflict_is_retried_without_an_event() {
    let mut stage = Stage::new(Fence::open());
    stage.shows(made());
    let ended = stage.pass(vec![("PATCH", SCOPE, Answer::Failure(422))]).await;
    assert!(
        ended.again.is_some_and(|after| after < Duration::from_secs(1)),
        "{ended:?}"
    );
    assert!(is_done(stage.pass(vec![hold(), apply("3")]).await));
}

#[tokio::test]
async fn a_status_conflict_is_retried_on_the_current_object() {
    let mut stage = Stage::new(Fence::open());
    stage.shows(made());
    let script = vec![
        hold(),
        ("PATCH", STATUS, Answer::Failure(409)),
        ("GET", SCOPE, Answer::Object(held("7"))),
        apply("8"),
    ];
    assert!(is_done(stage.pass(script).await));
    assert!(is_done(stage.pass(vec![]).await));
}

#[tokio::test]
async fn repeated_status_conflicts_are_retried_later_without_an_event() {
    let mut stage = Stage::new(Fence::open());
    stage.shows(made());
    let mut script = vec![hold()];
    for version in ["7", "8", "9"] {
        script.push(("PATCH", STATUS, Answer::Failure(409)));
        script.push(("GET", SCOPE, Answer::Object(held(version))));
    }
    let ended = stage.pass(script).await;
    assert!(ended.again.is_some(), "{ended:?}");
}

#[tokio::test]
async fn the_status_of_a_new_resource_with_the_same_name_is_not_written() {
    let mut stage = Stage::new(Fence::open());
    stage.shows(made());
    let mut namesake = made();
    namesake["metadata"]["uid"] = "scope-2".into();
    let script = vec![
        hold(),
        ("PATCH", STATUS, Answer::Failure(409)),
        ("GET", SCOPE, Answer::Object(namesake)),
    ];
    assert!(is_done(stage.pass(script).await));
}

#[tokio::test]
async fn a_resource_that_is_deleted_during_its_pass_is_cleaned_up() {
    let mut stage = Stage::new(Fence::open());
    stage.shows(made());
    // A Scope on a Hydra server has nothing to clean up. The pass must end and write nothing for the missing object.
    assert!(is_done(
        stage.pass(vec![hold(), ("PATCH", STATUS, Answer::Failure(404))]).await
    ));
}

#[tokio::test]
async fn without_leadership_no_object_and_no_event_is_written() {
    let mut stage = Stage::new(Fence::closed());
    stage.shows(made());
    let ended = stage.pass(vec![]).await;
    assert!(ended.again.is_some(), "{ended:?}");
}

#[tokio::test]
async fn a_silent_kubernetes_api_ends_the_pass_in_time_and_is_retried() {
    let mut stage = Stage::new(Fence::open());
    stage.shows(made());
    let begun = Instant::now();
    let ended = stage.pass(vec![("PATCH", SCOPE, Answer::Silence)]).await;
    assert!(ended.again.is_some(), "{ended:?}");
    assert!(begun.elapsed() <= Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_missing_right_is_reported() {
    let mut stage = Stage::new(Fence::open());
    stage.shows(made());
    let mut stored = made();
    stored["metadata"]["resourceVersion"] = "2".into();
    let script = vec![
        ("PATCH", SCOPE, Answer::Failure(403)),
        ("PATCH", STATUS, Answer::Applied(stored)),
        told(),
    ];
    let ended = stage.pass(script).await;
    assert!(ended.again.is_some(), "{ended:?}");
}

#[tokio::test]
async fn an_event_that_cannot_be_published_does_not_fail_the_pass() {
    let mut stage = Stage::new(Fence::open());
    let mut elsewhere = made();
    elsewhere["spec"] = json!({ "serverRef": { "name": "none" } });
    stage.shows(elsewhere.clone());
    elsewhere["metadata"]["resourceVersion"] = "2".into();
    let script = vec![
        ("PATCH", STATUS, Answer::Applied(elsewhere)),
        ("POST", EVENTS, Answer::Failure(403)),
    ];
    let ended = stage.pass(script).await;
    assert!(
        ended.again.is_some_and(|after| after >= Duration::from_secs(1)),
        "{ended:?}"
    );
    let again = stage.pass(vec![]).await;
    assert!(again.again > ended.again, "a second failure waits longer: {again:?}");
}

#[tokio::test]
async fn an_unknown_namespace_is_waited_for_silently() {
    let mut stage = Stage::new(Fence::open());
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "team" } });
    stage.namespaces.apply(Event::Delete(read(namespace)));
    stage.shows(made());
    let ended = stage.pass(vec![]).await;
    assert!(
        ended.again.is_some_and(|after| after < Duration::from_secs(1)),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_deleted_resource_is_released_once() {
    let mut stage = ready().await;
    stage.shows(going("4"));
    let mut gone = going("5");
    gone["metadata"]["finalizers"] = json!([]);
    assert!(is_done(stage.pass(vec![("PATCH", SCOPE, Answer::Object(gone))]).await));
    assert!(
        is_done(stage.pass(vec![]).await),
        "the watch still shows it with our finalizer"
    );
}

#[tokio::test]
async fn a_conflict_on_release_is_retried_on_the_current_object() {
    let mut stage = ready().await;
    stage.shows(going("4"));
    let mut gone = going("6");
    gone["metadata"]["finalizers"] = json!([]);
    let script = vec![
        ("PATCH", SCOPE, Answer::Failure(422)),
        ("GET", SCOPE, Answer::Object(going("5"))),
        ("PATCH", SCOPE, Answer::Object(gone)),
    ];
    assert!(is_done(stage.pass(script).await));
}

#[tokio::test]
async fn a_referenced_resource_is_not_released() {
    let mut stage = ready().await;
    let client: OAuth2Client = read(json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": "OAuth2Client",
        "metadata": { "name": "app", "namespace": "team", "uid": "client-1", "resourceVersion": "1", "generation": 1 },
        "spec": { "redirectUris": ["https://app.example.com/cb"], "scopeRefs": [{ "name": "orders" }] },
    }));
    stage.kinds.clients.apply(Event::Apply(client));
    stage.shows(going("4"));
    let ended = stage.pass(vec![apply("5"), told()]).await;
    assert!(ended.again.is_some(), "{ended:?}");
}

#[tokio::test]
async fn a_resource_deleted_since_it_was_queued_gets_no_pass() {
    let mut stage = ready().await;
    let reference = ObjectRef::<Scope>::new("orders").within("team");
    let cached = stage.ctx.kinds.scopes.store.get(&reference).expect("the Scope");
    stage.kinds.scopes.apply(Event::Delete(read(going("4"))));
    assert!(is_done(reconcile(cached, stage.ctx.clone()).await));
    assert!(stage.api.try_recv().is_err());
}
