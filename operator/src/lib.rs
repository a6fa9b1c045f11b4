//! An operator that keeps Co-op Cloud apps warm on Docker Swarm.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod alert;
pub mod cli;
pub mod files;
pub mod probe;
