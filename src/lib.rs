//! A Kubernetes operator that keeps OAuth 2.0 and OpenID Connect resources in step with an authorization server.
//!
//! Data flows one way:
//!
//! ```text
//! watch → queue → engine → kind → admin → outputs → status
//! ```
//!
//! - [`api`]: the custom resources: types, documentation, validation rules. No I/O.
//! - [`access`]: evaluates the access rules of a server. Pure.
//! - [`controller`]: the engine, which handles finalizer, deadline, status, event and retry for every kind; and each kind on each server.
//! - [`admin`]: the servers' admin APIs. [`admin::http`] is the only user of reqwest; [`admin::hydra::sync`] decides what to write. No Kubernetes.
//! - [`cluster`]: requests to the Kubernetes API, each with a deadline, each write fenced.
//! - [`decode`]: decodes each object of the Kubernetes API separately.
//! - [`origin`]: which cluster a marker or a claim belongs to. Pure.
//! - [`reach`]: which resources this operator works on. Pure.
//! - [`proxies`]: which HTTP proxy leads to a server. Pure. [`kubernetes`]: the client of the Kubernetes API.
//! - [`leader`]: election, and the fence that keeps a former leader from writing.
//! - [`login`]: which values may be sent to a server. Pure.
//! - [`manual`]: the published documentation, to which messages refer. Pure.
//! - [`duration`]: durations in Go's notation. [`labels`]: labels of the operator's Secrets and ConfigMaps.
//! - [`key_material`]: generates, reads and writes private keys.
//! - [`secret`]: secret values, which cannot be printed.
//! - [`error`]: everything that can go wrong; each error has one treatment, which decides condition, event and retry.
//! - [`check`]: the verbs that check an installation. [`plugin`]: the verbs of `kubectl oidc`.
//! - [`spans`]: the spans of traces. They hold no secret.
//! - [`app`], [`cli`], [`server`], [`telemetry`], [`metrics`]: the process. [`clock`]: a clock that counts sleep, and the deadline of requests.
//! - [`health`], [`prerequisites`]: whether the process and its watches run, and whether the cluster has what the operator needs.

pub mod access;
pub mod admin;
pub mod api;
pub mod app;
pub mod check;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod controller;
pub mod decode;
pub mod duration;
pub mod error;
pub mod health;
pub mod key_material;
pub mod kubernetes;
pub mod labels;
pub mod leader;
pub mod login;
pub mod manual;
pub mod metrics;
pub mod origin;
pub mod plugin;
pub mod prerequisites;
pub mod proxies;
pub mod reach;
pub mod secret;
pub mod server;
pub mod spans;
pub mod telemetry;
