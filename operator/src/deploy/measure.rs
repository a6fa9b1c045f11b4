//! How the Swarm stands to a release.

use ci_warm_engine::judge::{self, Condition, Failure, Rules, Submission};
use ci_warm_engine::{Engine, EngineError, Remains, StackView};
use ci_warm_rollout::Deployment;
use ci_warm_stack::difference;
use jiff::Timestamp;
use serde_json::Value;

use super::Known;
use crate::release::Frozen;

/// How the stack stands when no release matters: there, draining, or gone.
///
/// # Errors
/// The engine did not answer. That is never "gone".
pub async fn left_of(engine: &Engine, stack: &str) -> Result<Deployment, EngineError> {
    let remains = engine.remains(stack).await?;
    if remains.services.is_empty() && !remains.forgotten.is_empty() {
        return Ok(Deployment::Differs(format!("{} containers of removed jobs are there", remains.forgotten.len())));
    }
    Ok(match (remains.services.is_empty(), remains.is_empty()) {
        (_, true) => Deployment::Absent,
        (true, false) => Deployment::Draining(drain_text(&remains)),
        (false, false) => Deployment::Differs(format!("services {} are there", remains.services.join(", "))),
    })
}

fn drain_text(remains: &Remains) -> String {
    format!("{} tasks and {} containers are not gone yet", remains.tasks.len(), remains.containers.len())
}

/// How the stack stands, measured against a release that was submitted no earlier than `since` (by the engine's clock).
///
/// # Errors
/// The engine did not answer.
pub async fn measure(
    engine: &Engine,
    frozen: &Frozen,
    nonce: Option<u64>,
    since: Timestamp,
) -> Result<Deployment, EngineError> {
    let stack = frozen.stack.name.as_str();
    let view = engine.view(stack).await?;
    if view.services.is_empty() {
        return left_of(engine, stack).await;
    }
    let known = Known::of(engine, frozen).await?;
    if let Some(name) = known.missing.first() {
        return Ok(Deployment::Differs(format!("`{name}` is gone")));
    }
    let mut submissions = Vec::new();
    for service in &frozen.stack.services {
        match service.spec_with_ids(&known.ids) {
            Ok(spec) => submissions.push(Submission { spec, since }),
            Err(error) => return Ok(Deployment::Differs(error.to_string())),
        }
    }
    let verdict = judge::stack(&view, &submissions, engine.info().await?.time, &Rules::default());
    // The Swarm's own rollback shows as another spec; it has to be seen as what it is.
    if let Condition::Failed { why: Failure::RolledBackBySwarm { message } } = &verdict.condition {
        return Ok(Deployment::GivenUp(said(verdict.service.as_deref(), message)));
    }
    if let Some(differs) = differs(&view, &submissions, &known, nonce) {
        return Ok(Deployment::Differs(differs));
    }
    Ok(deployment(&view, verdict.service.as_deref(), verdict.condition, since))
}

fn differs(view: &StackView, submissions: &[Submission], known: &Known, nonce: Option<u64>) -> Option<String> {
    for submission in submissions {
        let name = submission.spec["Name"].as_str().unwrap_or_default();
        let Some(service) = view.services.iter().find(|service| service.name == name) else {
            return Some(format!("service {name} is missing"));
        };
        if let Some(first) = difference(&submission.spec, &service.spec, &known.view).first() {
            return Some(format!("service {name}: {}", first.path));
        }
        let counter = service.spec.pointer("/TaskTemplate/ForceUpdate").and_then(Value::as_u64);
        if nonce.is_some() && counter != nonce {
            return Some(format!("service {name} is to be restarted"));
        }
    }
    let extra = view.services.iter().find(|service| {
        !submissions.iter().any(|submission| submission.spec["Name"].as_str() == Some(&service.name))
    });
    extra.map(|service| format!("service {} is not part of the release", service.name))
}

fn deployment(view: &StackView, service: Option<&str>, condition: Condition, since: Timestamp) -> Deployment {
    let changed = service
        .and_then(|name| view.services.iter().find(|service| service.name == name))
        .map_or(since, |service| service.updated_at.max(since));
    match condition {
        Condition::Converged => Deployment::Converged,
        Condition::Converging { why } => Deployment::Converging { why: said(service, &why), since: changed },
        Condition::Unschedulable { message } => {
            Deployment::Converging { why: said(service, &message), since: changed }
        }
        Condition::CrashLooping { failures, last_error } => {
            Deployment::TasksFailing(said(service, &format!("{failures} tasks failed: {last_error}")))
        }
        Condition::Failed { why } => match why {
            Failure::NothingSubmitted => Deployment::Differs("the release has no service".to_owned()),
            Failure::Missing => Deployment::Differs(said(service, "is missing")),
            Failure::SpecReplaced { at } => Deployment::Differs(said(service, &format!("{at} was changed"))),
            Failure::UpdatePaused { message }
            | Failure::RolledBackBySwarm { message }
            | Failure::ImageRejected { message }
            | Failure::Rejected { message }
            | Failure::GaveUp { message } => Deployment::GivenUp(said(service, &message)),
        },
    }
}

fn said(service: Option<&str>, message: &str) -> String {
    service.map_or_else(|| message.to_owned(), |service| format!("{service}: {message}"))
}
