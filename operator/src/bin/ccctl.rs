//! `ccctl`: the command line of ci-warm.

use std::process::ExitCode;

fn main() -> ExitCode {
    ci_warm::cli::run(std::env::args_os())
}
