//! What to do next with one instance: a pure planner and the model that explores it.
//!
//! ```text
//!   next(intent, standing, observed, now)
//!        ├─ Ask(question)       something has to be known first; the caller answers it and calls again
//!        └─ Decide(decision)    act, wait or settle, with what has to be on disk before that
//! ```
//!
//! Asking and planning are one function: a question is asked exactly where its answer is used, so an idle app asks neither
//! git nor the registry, and no answer can be forgotten. An answer can be unknown, and unknown is never no.
//!
//! *Architecture invariant*: no I/O, no clock, no async, no randomness. Every way an upgrade or its undoing can go is here.
#![cfg_attr(test, allow(clippy::unwrap_used))]
// The error side of an answer is a question to ask, not a failure; it is taken once a turn.
#![allow(clippy::result_large_err)]

mod choose;
mod decision;
mod gates;
mod intent;
mod observed;
mod plan;
mod request;

pub use choose::{Choice, choose};
pub use decision::{Decision, End, Next, Notice, Step, Why};
pub use gates::{Hold, hold};
pub use intent::{GateTerms, Intent, Want};
pub use observed::{
    Catalog, Dependencies, Deployment, Gate, Images, MigrationNotes, Observed, Offer, Preflight,
    Purged, Question, Refresh, Rendering, Restoration, Seal, Seen, Stored, Subject,
};
pub use plan::next;
pub use request::{Request, apply};
