//! `ccctl suspend`: nothing is done for an app until it is resumed.

use ci_warm_runtime::{Root, Suspension};
use clap::Args;

use super::failure::{Exit, Failure};
use super::switch;
use super::terminal::Terminal;

/// Arguments of `suspend`.
#[derive(Debug, Args)]
pub(super) struct Suspend {
    /// The apps: `warmapp/NAME…`, or `warmapp NAME…`
    #[arg(required = true, value_name = "WARMAPP/NAME")]
    target: Vec<String>,
}

pub(super) fn run(verb: &Suspend, root: &Root, terminal: &mut Terminal) -> Result<Exit, Failure> {
    switch::run(&verb.target, Suspension::Suspended, root, terminal)
}
