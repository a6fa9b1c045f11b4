//! What the tests on a real Swarm stand on.
//!
//! A test makes a [`Scene`]: a recipe repository, a stack name, a port and a root of its own, all removed with it, so
//! that tests can run side by side on one engine. The engine is the one of [`Rig`], which `make test` starts.
//!
//! Everything here is synchronous and reports trouble by panicking with what was run and what it said: that is the
//! failure message of the test. The only place that waits by polling is [`wait_for`].
#![allow(clippy::missing_panics_doc)]

mod command;
mod docker;
mod gatekeeper;
pub mod http;
mod look;
mod operator;
mod ports;
mod recipe;
mod registry;
mod rig;
mod scene;
mod snapshots;
mod variant;
mod volume;
mod wait;

pub use command::Ran;
pub use docker::Docker;
pub use gatekeeper::Gatekeeper;
pub use look::{Condition, Deployed};
pub use operator::{Ccctl, Operator};
pub use ports::free_port;
pub use recipe::{Draft, RecipeRepo};
pub use registry::Registry;
pub use rig::{Ending, Rig};
pub use scene::Scene;
pub use variant::Variant;
pub use volume::VolumeHash;
pub use wait::{LIMIT, wait_for, wait_until};
