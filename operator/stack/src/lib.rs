//! Compose files to a Swarm stack, to Engine JSON, to the difference from what runs.
//!
//! The way: [`load`] → [`Loaded::stack`] → [`Service::spec_with_ids`] → [`difference`]. The outcome is that of
//! `docker stack deploy`, quirks included: what a recipe deploys elsewhere, it deploys here.
//!
//! *Architecture invariant*: nothing here reads a file, a variable or a clock. Files come in through [`ReadFile`], the
//! environment as a map, what runs as JSON.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod base64;
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
