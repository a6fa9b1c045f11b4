//! The kinds of ci-warm: data, defaults, validation and schema, without I/O.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod alert;
pub mod health;
pub mod span;
