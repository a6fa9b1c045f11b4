//! One round of an app's health probes, and what a run of rounds means.
//!
//! A round never panics and never outlasts the spec's time limit. Counting rounds is [`Streak`]'s, and whether a gate may ask
//! its host at all is [`gate_host`]'s; both are pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use ci_warm_api_types::health::{ExpandError, HealthSpec, expand};
use futures_util::future::{BoxFuture, OptionFuture, join3};

mod explain;
mod gate_host;
mod http;
mod plain;
mod rule;
mod streak;

pub use gate_host::{GateHost, GateHostError, gate_host, router_hosts};
pub use streak::{Streak, Tasks};

/// What a round of probes says about the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every probe passed.
    Passed,
    /// A probe asked the app and did not get the answer that passes.
    Failed,
    /// A probe could not be made, for a reason that is not the app's: a variable without a value, an unreadable CA
    /// file, an engine that does not answer. It says nothing about the app, neither way.
    Unknown,
}

/// One round of probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// What was asked, such as `GET https://a.example.org/health`: all probes of a round that passed, else those that
    /// did not. Without the user, password and query of a URL.
    pub what: String,
    /// What it says.
    pub verdict: Verdict,
    /// The HTTP status code; 0 when there was no HTTP answer, or no HTTP probe.
    pub code: u16,
    /// Why the round did not pass, in words for a person. Never the body of an answer or the query of a
    /// URL, but it may quote the last line that a command wrote: redact it before it goes into an alert.
    pub error: Option<String>,
    /// How long the round took. Probes of a round run side by side.
    pub latency: Duration,
}

/// What a round of probes needs beside the spec.
#[derive(Clone, Copy)]
pub struct ProbeContext<'a> {
    /// The app's environment, for `${NAME}` in the spec.
    pub env: &'a BTreeMap<String, String>,
    /// How to run a command in the app's containers; without it an `exec` probe is [`Verdict::Unknown`].
    pub exec: Option<&'a dyn ExecInTask>,
}

impl fmt::Debug for ProbeContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment may hold secrets.
        f.debug_struct("ProbeContext")
            .field("exec", &self.exec.is_some())
            .finish_non_exhaustive()
    }
}

/// Runs commands in the running containers of one instance.
pub trait ExecInTask: Send + Sync {
    /// Runs a command in a running container of a service (by its name in the recipe) and waits for its end.
    ///
    /// The future is dropped when the probe's time is over.
    fn exec<'a>(
        &'a self,
        service: &'a str,
        command: &'a [String],
    ) -> BoxFuture<'a, Result<ExecOutcome, ExecError>>;
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutcome {
    /// Its exit code; 0 passes.
    pub exit_code: i64,
    /// The end of what it wrote; the last line is quoted when it fails.
    pub output: String,
}

/// Why a command did not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// The service has no running container: the app is not healthy.
    #[error("{0}")]
    NoContainer(String),
    /// The engine refused or did not answer: nothing is known about the app.
    #[error("{0}")]
    Engine(String),
}

/// Makes rounds of probes.
///
/// HTTPS is spoken through rustls with aws-lc-rs; certificates are checked against the authorities this host trusts (on Linux
/// those in `/etc/ssl` or `SSL_CERT_FILE`), which are read anew for every round. Connections are never kept: each round shows that a new
/// one can be made. No proxy of the environment is used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prober {}

impl Prober {
    /// One round: each probe of the spec once, side by side, each within `timeout`.
    pub async fn probe(&self, spec: &HealthSpec, context: &ProbeContext<'_>) -> ProbeReport {
        let begun = Instant::now();
        let timeout = spec.timeout.duration();
        let (http, tcp, exec) = join3(
            OptionFuture::from(
                spec.http
                    .as_ref()
                    .map(|http| http::ask(http, timeout, context)),
            ),
            OptionFuture::from(
                spec.tcp
                    .as_ref()
                    .map(|tcp| plain::connect(tcp, timeout, context)),
            ),
            OptionFuture::from(
                spec.exec
                    .as_ref()
                    .map(|exec| plain::run(exec, timeout, context)),
            ),
        )
        .await;
        let answers = [http, tcp, exec].into_iter().flatten().collect();
        together(answers, begun.elapsed())
    }
}

/// What came of one probe of a round.
#[derive(Debug, Clone)]
struct Answer {
    what: String,
    /// 0 without an HTTP answer.
    code: u16,
    result: Result<(), Fault>,
}

/// Why one probe did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// The app's.
    Failed(String),
    /// Not the app's.
    Unknown(String),
}

impl Answer {
    fn new(what: impl Into<String>, result: Result<(), Fault>) -> Self {
        Self {
            what: what.into(),
            code: 0,
            result,
        }
    }
}

/// The answers of a round as its report. A failure outweighs an unknown: the app was asked and did not pass.
fn together(answers: Vec<Answer>, latency: Duration) -> ProbeReport {
    let code = answers.iter().map(|answer| answer.code).max().unwrap_or(0);
    let (mut passed, mut faulty, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut verdict = if answers.is_empty() {
        Verdict::Unknown
    } else {
        Verdict::Passed
    };
    for answer in answers {
        match answer.result {
            Ok(()) => {
                passed.push(answer.what);
                continue;
            }
            Err(Fault::Failed(error)) => {
                verdict = Verdict::Failed;
                errors.push(error);
            }
            Err(Fault::Unknown(error)) => {
                if verdict == Verdict::Passed {
                    verdict = Verdict::Unknown;
                }
                errors.push(error);
            }
        }
        faulty.push(answer.what);
    }
    if passed.is_empty() && faulty.is_empty() {
        errors.push("no probe is given, so nothing was asked; add one under `health`".to_owned());
    }
    let asked = if faulty.is_empty() { passed } else { faulty };
    ProbeReport {
        what: asked.join(", "),
        verdict,
        code,
        error: (!errors.is_empty()).then(|| errors.join("; ")),
        latency,
    }
}

/// A text of the spec with the app's environment filled in.
fn fill(text: &str, context: &ProbeContext<'_>) -> Result<String, ExpandError> {
    expand(text, |name| context.env.get(name).cloned())
}

#[cfg(test)]
mod tests;
