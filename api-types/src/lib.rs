//! The kinds of ci-warm: data, defaults, validation and schema, without I/O.
//!
//! A kind is a `spec` (a person's) and a `status` (the operator's). Beside the kinds stands the [`journal`]: what the
//! operator durably knows of one instance, whichever kind asked for it.
//!
//! *Architecture invariant*: nothing here reads a file, asks a clock or talks to an engine.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod alert;
pub mod conditions;
pub mod health;
pub mod journal;
pub mod manifest;
pub mod outcome;
pub mod problem;
pub mod relations;
pub mod schema;
pub mod settings;
pub mod snapshot;
pub mod span;
pub mod version;
pub mod warm_app;
pub mod window;
pub mod yaml;

/// The group and version that every manifest names.
pub const API_VERSION: &str = "ci-warm/v1alpha1";
