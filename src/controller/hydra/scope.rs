//! `Scope` on a Hydra: an entry of the catalogue that clients carry.
