//! Single decisions, one line each.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod case;
mod choosing;
