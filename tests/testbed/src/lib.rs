//! Real servers on loopback, for tests and for the demo: tests use a mock only where no real server can be used. Foulkon
//! alone is no longer available: a stand-in, tested against recordings of a real worker, replaces it.
//!
//! Every server runs on free ports with its data in a temporary folder, every wait has a deadline, and no process
//! outlives the one that started it. The programs are built from source or fetched once, into a cache folder.

pub mod bao;
pub mod bench;
pub mod browser;
pub mod control_plane;
pub mod demo;
mod fetched;
pub mod flux;
pub mod forward;
pub mod foulkon;
pub mod git;
mod go_build;
mod go_modules;
pub mod http;
pub mod hydra;
pub mod install;
pub mod kubeconfig;
pub mod login_app;
pub mod login_consent;
pub mod maester;
pub mod node;
pub mod oauth;
pub mod pki;
pub mod ports;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod rotating;
pub mod run_dir;
pub mod servers;
pub mod state;
pub mod tarpit;
pub mod wait;
mod wheel;

pub use bao::Bao;
pub use control_plane::ControlPlane;
pub use foulkon::Foulkon;
pub use hydra::{Hydra, HydraMajor, HydraOptions, Termination};

/// Installs the TLS provider that kube and reqwest share. All code here that needs it calls this; a test that makes its
/// own client calls it first too. Calling it again does nothing.
pub fn init() {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
