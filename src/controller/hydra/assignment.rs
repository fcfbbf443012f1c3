//! `Assignment` on a Hydra: carried by the clients that refer to it.
