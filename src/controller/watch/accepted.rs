//! Reports that the Kubernetes API has accepted a watch. kube's watcher does not report it: after an interruption it
//! resumes where it was and is silent until something changes. This silence must not count as a lasting failure.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use hyper::{Request, Response, Uri};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Resource;
use tower::{Layer, Service};

use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::controller::watch::feed::kind_of;
use crate::health::{Health, Part};

/// Reports each watch that the Kubernetes API accepts to [`Health`].
#[derive(Clone)]
pub(crate) struct Accepted(pub Arc<Health>);

/// The service that sends requests and reports accepted watches.
#[derive(Clone)]
pub(crate) struct Listened<S> {
    inner: S,
    health: Arc<Health>,
}

impl<S> Layer<S> for Accepted {
    type Service = Listened<S>;

    fn layer(&self, inner: S) -> Listened<S> {
        Listened {
            inner,
            health: self.0.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for Listened<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let part = watched(request.uri());
        let health = self.health.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if let (Some(part), Ok(answer)) = (part, &answer)
                && answer.status().is_success()
            {
                health.accepted(&part);
            }
            answer
        })
    }
}

/// Returns what a request resumes a watch of, if it does. A request that asks for a list first does not count, because
/// its acceptance says nothing about the list.
fn watched(uri: &Uri) -> Option<Part> {
    let has = |wanted: &str| {
        uri.query()
            .is_some_and(|query| query.split('&').any(|found| found == wanted))
    };
    if !has("watch=true") || has("sendInitialEvents=true") {
        return None;
    }
    fn of<K: Resource<DynamicType = ()>>(uri: &Uri) -> Option<Part> {
        let is_of = |namespace: Option<&str>| uri.path() == K::url_path(&(), namespace);
        let namespace = uri.path().split('/').skip_while(|part| *part != "namespaces").nth(1);
        let namespaces = [None, namespace];
        let found = namespaces.into_iter().find(|namespace| is_of(*namespace));
        found.map(|namespace| Part::of(kind_of::<K>(), namespace))
    }
    let kinds = [
        of::<AuthorizationServer>,
        of::<OAuth2Client>,
        of::<Scope>,
        of::<Assignment>,
        of::<JsonWebKeySet>,
        of::<OidcProvider>,
        of::<Namespace>,
        of::<Secret>,
    ];
    kinds.into_iter().find_map(|of| of(uri))
}

#[cfg(test)]
mod tests {
    use super::watched;
    use crate::health::Part;

    #[test]
    fn a_watch_is_known_by_its_path() {
        let group = "/apis/oidc-operator.dev/v1alpha1";
        for (uri, expected) in [
            (
                format!("{group}/scopes?&watch=true&timeoutSeconds=290"),
                Some(Part::of("Scope", None)),
            ),
            (
                format!("{group}/authorizationservers?watch=true"),
                Some(Part::of("AuthorizationServer", None)),
            ),
            (
                "/api/v1/secrets?watch=true&labelSelector=a".to_owned(),
                Some(Part::of("Secret", None)),
            ),
            (
                "/api/v1/namespaces/a/secrets?watch=true".to_owned(),
                Some(Part::of("Secret", Some("a"))),
            ),
            (
                "/api/v1/namespaces?watch=true".to_owned(),
                Some(Part::of("Namespace", None)),
            ),
            (format!("{group}/scopes?watch=true&sendInitialEvents=true"), None),
            (format!("{group}/scopes?limit=25"), None),
            (format!("{group}/scopes"), None),
            ("/api/v1/pods?watch=true".to_owned(), None),
        ] {
            assert_eq!(watched(&uri.parse().expect("a URI")), expected, "{uri}");
        }
    }
}
