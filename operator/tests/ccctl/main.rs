//! `ccctl` as a person meets it: the real binary on real directories, with statuses that the real store writes.
#![allow(clippy::unwrap_used, missing_docs)]

mod ask;
mod host;
mod read;
mod usage;
mod validate;
mod watch;
mod write;
