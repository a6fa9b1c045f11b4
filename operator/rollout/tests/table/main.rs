//! Single decisions, one line each.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod asking;
mod case;
mod choosing;
mod ending;
mod idling;
mod operating;
