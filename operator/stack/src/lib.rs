//! Compose files to a Swarm stack, to Engine JSON, to the difference from what runs.
//!
//! The way: [`load`] → [`Loaded::stack`] → [`Service::spec_with_ids`] → [`difference`]. The outcome is that of
//! `docker stack deploy`, quirks included: what a recipe deploys elsewhere, it deploys here.
//!
//! It differs from the CLI on purpose in a few places, all refusals or cleanups of what an engine would refuse later or
//! nobody can have meant: names the engine does not take, empty or oversized configs and secrets, two objects of one
//! name that differ, a negative count of restart attempts, numbers as addresses in `extra_hosts`. Objects mounted twice
//! are sorted by target, which the CLI leaves to chance.
//!
//! *Architecture invariant*: nothing here reads a file, a variable or a clock. Files come in through [`ReadFile`], the
//! environment as a map, what runs as JSON.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod convert;
mod decode;
mod difference;
mod env_file;
mod error;
mod go_sort;
mod image;
mod interpolate;
mod load;
mod merge;
mod model;
mod mount_spec;
mod ports;
mod quantity;
mod scalar;
mod schema;
mod shell;
mod stack;
mod yaml;

pub use difference::{EngineView, PathDiff, difference};
pub use error::{LoadError, Position, Problem, Warning};
pub use load::{ComposeFile, Loaded, ReadFile, load};
pub use stack::{
    FileObject, IMAGE_LABEL, Ids, MissingId, NAMESPACE_LABEL, Network, PinError, Service, Stack,
    StackName, StackNameError, VolumeKind, VolumeUse, canonical_json,
};
