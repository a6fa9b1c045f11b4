//! `WarmApp`: an app that always runs, at the newest safe version of its recipe.
//!
//! The way of a change: `intent` says what the spec wants, the planner asks, `observe` answers, the planner decides, the
//! instance's journal records, `act` does one thing, `status` says what came of it.

mod act;
mod intent;
mod kind;
mod observe;
mod patience;
mod probing;
mod reconcile;
mod relations;
mod render;
mod status;
mod stops;

pub use kind::WarmApp;
pub use reconcile::WarmApps;
