//! The kinds of ci-warm: data, defaults, validation and schema, without I/O.

pub mod version;
