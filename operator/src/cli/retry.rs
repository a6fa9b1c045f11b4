//! `ccctl retry`: what failed is tried again.

use ci_warm_runtime::Root;
use clap::Args;

use super::ask;
use super::failure::{Exit, Failure};
use super::terminal::Terminal;

/// Arguments of `retry`.
#[derive(Debug, Args)]
pub(super) struct Retry {
    /// The apps: `warmapp/NAME…`, or `warmapp NAME…`
    #[arg(required = true, value_name = "WARMAPP/NAME")]
    target: Vec<String>,
}

pub(super) fn run(verb: &Retry, root: &Root, terminal: &mut Terminal) -> Result<Exit, Failure> {
    ask::for_each(&verb.target, "retry", "will be retried", root, terminal)
}
