//! `ccctl resume`: an app is taken care of again.

use ci_warm_runtime::{Root, Suspension};
use clap::Args;

use super::failure::{Exit, Failure};
use super::switch;
use super::terminal::Terminal;

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The apps: `warmapp/NAME…`, or `warmapp NAME…`
    #[arg(required = true, value_name = "WARMAPP/NAME")]
    target: Vec<String>,
}

pub(super) fn run(verb: &Resume, root: &Root, terminal: &mut Terminal) -> Result<Exit, Failure> {
    switch::run(&verb.target, Suspension::Active, root, terminal)
}
