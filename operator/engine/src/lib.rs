//! The Docker Engine API over one transport seam, and the judgement of what a Swarm makes of a deployment.
//!
//! ```text
//! Engine ── services, tasks, networks, volumes, containers, images, events
//!   │         (raw JSON where bollard's types lose a field, bollard for the rest)
//!   ▼
//! Transport ── Recorder, a fault injector, … wrap here, for both kinds of call
//!   ▼
//! Dial ── one connection per call: unix socket or tcp
//! ```
//!
//! # Guarantees
//! - Every call goes through [`Transport::call`]. There is no other way to the engine.
//! - *Nothing there* (`Ok(None)`, an empty list) is only ever the engine's own, whole answer. A refused connection, a reply
//!   that was cut, a 5xx, a page that does not parse and a time limit are errors.
//! - A name is matched whole. The engine also resolves ID prefixes and name prefixes; such answers are dropped.
//! - Every call ends: a hung engine is [`ErrorClass::TimedOut`]. A pull may take as long as it makes progress.
//! - [`judge`] does no I/O and reads no clock.
//!
//! # Architecture invariant
//! This crate knows nothing of recipes, releases or compose files, and decides nothing: it reports. There is no trait that
//! mirrors the Engine API; a test that needs another engine puts another [`Transport`] underneath.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod client;
mod container;
mod error;
mod events;
mod exec;
mod image;
mod info;
pub mod judge;
mod lines;
mod network;
mod object;
mod query;
mod recorder;
mod service;
mod task;
mod transport;
mod undeploy;
mod view;
mod volume;

pub use client::{Engine, Limits, Removed};
pub use container::{ContainerFilter, ContainerId, ContainerInfo, ContainerSummary, Mount};
pub use error::{EngineError, ErrorClass, Happened};
pub use events::{Event, EventKind, EventStream, Notice};
pub use exec::{ExecOutput, Tail};
pub use image::{ImageInfo, RegistryAuth};
pub use info::{EngineInfo, SwarmRole, SwarmState};
pub use network::Network;
pub use object::{Object, ObjectKind};
pub use recorder::{Outcome, Recorded, Recorder};
pub use service::{RawService, ServiceId, UpdateState, UpdateStatus};
pub use task::{Task, TaskFilter, TaskId, TaskState};
pub use transport::{
    Dial, Request, Response, Transport, TransportError, TransportFuture, scripted,
};
pub use undeploy::Remains;
pub use view::StackView;
pub use volume::Volume;

/// The label that says which stack a service, container, network, volume, secret or config belongs to.
pub const STACK_LABEL: &str = "com.docker.stack.namespace";
