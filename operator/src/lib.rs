//! An operator that keeps Co-op Cloud apps warm on Docker Swarm.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod alert;
pub mod cli;
pub mod coverage;
pub mod daemon;
pub mod deploy;
mod held;
pub mod instance;
pub mod manifest;
pub mod probe;
pub mod recipe;
pub mod release;
pub mod settings;
pub mod snapshot;
pub mod warm_app;
