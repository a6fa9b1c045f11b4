//! Probes between one look and the next: how many in a row passed or failed, for what was submitted last.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ci_warm_api_types::warm_app::HealthStatus;
use ci_warm_engine::{ContainerFilter, ContainerId, Engine};
use ci_warm_rollout::Gate;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use crate::probe::{ExecError, ExecInTask, ExecOutcome, ProbeContext, ProbeReport, Prober, Streak, Tasks};
use ci_warm_api_types::health::HealthSpec;

/// The streaks of all apps. They live in memory: after a restart nothing has passed yet, which is the safe side.
#[derive(Debug, Default)]
pub(super) struct Probing {
    streaks: Mutex<HashMap<String, Run>>,
}

#[derive(Clone, Debug)]
struct Run {
    /// What was submitted: another submission starts anew.
    of: String,
    streak: Streak,
    report: Option<ProbeReport>,
    since: Timestamp,
}

/// What is to be probed.
pub(super) struct Round<'a> {
    pub(super) instance: &'a str,
    /// The submission that the probes count for.
    pub(super) of: String,
    pub(super) spec: &'a HealthSpec,
    pub(super) env: &'a std::collections::BTreeMap<String, String>,
    pub(super) engine: &'a Engine,
    pub(super) every: SignedDuration,
    pub(super) now: Timestamp,
}

impl Probing {
    /// One round of probes, unless the last one is younger than the interval: a burst of events is no streak.
    pub(super) async fn round(&self, round: Round<'_>) -> Gate {
        let before = self.run(round.instance).filter(|run| run.of == round.of);
        if let Some(run) = &before
            && let Some(last) = run.streak.last
            && round.now.duration_since(last) < round.every
        {
            return gate(run, last);
        }
        let exec = InTask { engine: round.engine, stack: round.instance };
        let context = ProbeContext { env: round.env, exec: Some(&exec) };
        let report = Prober::default().probe(round.spec, &context).await;
        let streak = before.as_ref().map(|run| run.streak).unwrap_or_default();
        let same = before.as_ref().is_some_and(|run| {
            run.report.as_ref().is_some_and(|old| old.code == report.code && old.error == report.error)
        });
        let at = Timestamp::now();
        let since = before.filter(|_| same).map_or(at, |run| run.since);
        let run = Run {
            of: round.of,
            streak: streak.after(report.verdict, Tasks::AllSubmitted, at),
            report: Some(report),
            since,
        };
        let answer = gate(&run, at);
        self.streaks.lock().unwrap_or_else(PoisonError::into_inner).insert(round.instance.to_owned(), run);
        answer
    }

    /// Tasks are not all of the submitted spec: what was counted counts no more.
    pub(super) fn reset(&self, instance: &str) {
        if let Some(run) = self.streaks.lock().unwrap_or_else(PoisonError::into_inner).get_mut(instance) {
            run.streak = Streak::default();
        }
    }

    /// What the last round saw.
    pub(super) fn health(&self, instance: &str) -> Option<HealthStatus> {
        let run = self.run(instance)?;
        let report = run.report?;
        Some(HealthStatus { probe: report.what, code: report.code, error: report.error, since: run.since })
    }

    fn run(&self, instance: &str) -> Option<Run> {
        self.streaks.lock().unwrap_or_else(PoisonError::into_inner).get(instance).cloned()
    }
}

fn gate(run: &Run, at: Timestamp) -> Gate {
    let message = run.report.as_ref().map_or_else(String::new, |report| match &report.error {
        Some(error) => format!("{}: code {}: {error}", report.what, report.code),
        None => format!("{}: code {}", report.what, report.code),
    });
    Gate { passes: run.streak.passes, failures: run.streak.failures, at, message }
}

/// Runs commands in a stack's containers on this node.
struct InTask<'a> {
    engine: &'a Engine,
    stack: &'a str,
}

impl ExecInTask for InTask<'_> {
    fn exec<'a>(
        &'a self,
        service: &'a str,
        command: &'a [String],
    ) -> BoxFuture<'a, Result<ExecOutcome, ExecError>> {
        async move {
            let container = self.container(service).await?;
            let argv: Vec<&str> = command.iter().map(String::as_str).collect();
            // The probe's own time limit is shorter and drops this.
            let limit = std::time::Duration::from_mins(5);
            let output = self.engine.exec(&container, &argv, limit).await;
            let output = output.map_err(|error| ExecError::Engine(error.to_string()))?;
            let text = [output.stdout.text(), output.stderr.text()].concat();
            Ok(ExecOutcome { exit_code: output.exit_code, output: text })
        }
        .boxed()
    }
}

impl InTask<'_> {
    async fn container(&self, service: &str) -> Result<ContainerId, ExecError> {
        let containers = self.engine.containers(ContainerFilter::Stack(self.stack)).await;
        let containers = containers.map_err(|error| ExecError::Engine(error.to_string()))?;
        let wanted = format!("{}_{service}", self.stack);
        containers
            .into_iter()
            .find(|container| {
                container.state == "running"
                    && container.labels.get("com.docker.swarm.service.name") == Some(&wanted)
            })
            .map(|container| container.id)
            .ok_or_else(|| ExecError::NoContainer(format!("service {service} has no running container on this node")))
    }
}
