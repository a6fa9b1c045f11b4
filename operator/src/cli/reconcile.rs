//! `ccctl reconcile`: an app is looked at now.

use ci_warm_runtime::Root;
use clap::Args;

use super::ask;
use super::failure::{Exit, Failure};
use super::terminal::Terminal;

/// Arguments of `reconcile`.
#[derive(Debug, Args)]
pub(super) struct Reconcile {
    /// The apps: `warmapp/NAME…`, or `warmapp NAME…`
    #[arg(required = true, value_name = "WARMAPP/NAME")]
    target: Vec<String>,
}

pub(super) fn run(verb: &Reconcile, root: &Root, terminal: &mut Terminal) -> Result<Exit, Failure> {
    ask::for_each(
        &verb.target,
        "reconcile",
        "will be reconciled",
        root,
        terminal,
    )
}
