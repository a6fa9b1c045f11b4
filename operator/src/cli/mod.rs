//! `ccctl`: reads and writes the directory that is the API, with no daemon in between.
//!
//! ```text
//!  arguments ── target ──> objects (manifest + status) ──> table, yaml, json, description
//!  -f ── source ──> documents ── relations ──> manifests
//!  a wish for once ──> requests
//! ```
//!
//! One verb, one file. What a verb changes is a manifest (the user's file) or a request; status is only ever read.

mod alerts;
mod apply;
mod approve;
mod ask;
mod delete;
mod describe;
mod document;
mod exported;
mod failure;
mod get;
mod objects;
mod reconcile;
mod resume;
mod retry;
mod row;
mod show;
mod source;
mod suspend;
mod switch;
mod table;
mod target;
mod terminal;
mod validate;
mod watch;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use ci_warm_runtime::Root;
use clap::{Parser, Subcommand};

use failure::{Exit, Failure};
use terminal::Terminal;

/// Where the objects of a host live when nothing else is said.
pub const DEFAULT_ROOT: &str = "/var/lib/ci-warm";

const EXAMPLES: &str = "\
Kinds: warmapps (warmapp, wa), snapshots (snapshot, snap), all

Examples:
  ccctl get warmapps                     every app, its version and whether it is ready
  ccctl get wa/keycloak -o yaml          one app in full, fit for `ccctl apply`
  ccctl get all -w                       everything, and every change from now on
  ccctl describe wa keycloak             one app for a person: what it does and why
  ccctl validate -f manifests/           everything that is wrong, with file, line and column
  ccctl apply -f manifests/ -R           declare what these files say
  ccctl approve wa/keycloak              let the held version through
  ccctl suspend wa/keycloak              leave the app as it is until `ccctl resume`

Exit codes: 0 done, 1 refused or problems found, 2 wrong usage, 3 no such object";

/// Reads and writes the objects of ci-warm.
#[derive(Debug, Parser)]
#[command(name = "ccctl", version = VERSION, about, after_help = EXAMPLES, max_term_width = 110)]
struct Arguments {
    /// The directory that holds the objects
    #[arg(long, global = true, env = "CI_WARM_ROOT", default_value = DEFAULT_ROOT, value_name = "DIR")]
    root: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (ci-warm/v1alpha1)");

#[derive(Debug, Subcommand)]
enum Verb {
    /// List objects, or print them whole
    Get(get::Get),
    /// Tell all about objects, for a person
    Describe(describe::Describe),
    /// Declare what files say
    Apply(apply::Apply),
    /// Delete objects
    Delete(delete::Delete),
    /// Let one held version of an app through
    Approve(approve::Approve),
    /// Try again what failed: leave quarantine, take up what is stuck
    Retry(retry::Retry),
    /// Look at an app now rather than at its next interval
    Reconcile(reconcile::Reconcile),
    /// Leave an app as it is until it is resumed
    Suspend(suspend::Suspend),
    /// Take care of an app again
    Resume(resume::Resume),
    /// List what people were to hear about
    Alerts(alerts::Alerts),
    /// Say everything that is wrong with files, and change nothing
    Validate(validate::Validate),
    /// Print the version
    Version,
}

/// Runs one command line, the program's name first. Prints to the process's own output.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help that nobody reads any more is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut terminal = Terminal::of_process();
    let result = dispatch(arguments, &mut terminal);
    let result = result.and_then(|exit| terminal.flush().map(|()| exit));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => terminal.fail(&failure),
    }
}

fn dispatch(arguments: Arguments, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let path = &arguments.root;
    let root = || Root::open(path).map_err(|error| failure::no_root(&error));
    match arguments.verb {
        Verb::Get(verb) => get::run(&verb, &root()?, terminal),
        Verb::Describe(verb) => describe::run(&verb, &root()?, terminal),
        Verb::Apply(verb) => apply::run(&verb, &root()?, terminal),
        Verb::Delete(verb) => delete::run(&verb, &root()?, terminal),
        Verb::Approve(verb) => approve::run(&verb, &root()?, terminal),
        Verb::Retry(verb) => retry::run(&verb, &root()?, terminal),
        Verb::Reconcile(verb) => reconcile::run(&verb, &root()?, terminal),
        Verb::Suspend(verb) => suspend::run(&verb, &root()?, terminal),
        Verb::Resume(verb) => resume::run(&verb, &root()?, terminal),
        Verb::Alerts(verb) => alerts::run(&verb, &root()?, terminal),
        Verb::Validate(verb) => validate::run(&verb, path, terminal),
        Verb::Version => {
            terminal.line(&format!("ccctl {VERSION}"))?;
            Ok(Exit::Done)
        }
    }
}
