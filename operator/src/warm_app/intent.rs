//! What a WarmApp's spec wants of its instance.

use ci_warm_api_types::journal::{Generation, InstanceName};
use ci_warm_api_types::span::Span;
use ci_warm_rollout::{GateTerms, Intent, Want};
use ci_warm_runtime::Object;
use jiff::SignedDuration;

use super::WarmApp;

/// An app that is well is looked at at least this often; the engine's events come in between.
const IDLE: SignedDuration = SignedDuration::from_secs(60);

/// The spec as the planner takes it.
pub(super) fn intent(app: &Object<WarmApp>) -> Intent {
    let spec = &app.spec;
    let want = if app.deleting() {
        Want::Gone(spec.deletion_policy)
    } else if spec.suspend {
        Want::Suspended
    } else {
        Want::Run
    };
    Intent {
        instance: InstanceName(spec.stack_name()),
        generation: Generation { uid: app.meta.uid.to_string(), number: app.meta.generation.0 },
        want,
        policy: spec.version.clone(),
        hold: spec.hold,
        snapshot: spec.data.snapshot,
        rollback: spec.rollback.clone(),
        window: spec.upgrade.window.clone(),
        interval: signed(spec.interval),
        gate: GateTerms {
            passes: spec.health.success_threshold,
            failures: spec.health.failure_threshold,
            every: signed(spec.health.interval),
            deadline: signed(spec.health.deadline),
            idle: IDLE.min(signed(spec.interval)),
        },
    }
}

fn signed(span: Span) -> SignedDuration {
    SignedDuration::try_from(span.duration()).unwrap_or(SignedDuration::MAX)
}
