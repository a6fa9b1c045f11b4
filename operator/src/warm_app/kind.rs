//! What the runtime has to know of the kind.

use ci_warm_api_types::warm_app::{WarmAppSpec, WarmAppStatus};
use ci_warm_runtime::{ConditionStatus, Kind, Manifest, Object, Problem, Reason, Verdict};

use crate::manifest;

/// The kind.
#[derive(Debug)]
pub struct WarmApp;

impl Kind for WarmApp {
    const KIND: &'static str = "WarmApp";
    const PLURAL: &'static str = "warmapps";
    type Spec = WarmAppSpec;
    type Status = WarmAppStatus;

    fn parse(path: &std::path::Path, stem: &str, text: &str) -> Result<Manifest<WarmAppSpec>, Problem> {
        manifest::read(path, stem, text)
    }

    fn ready(object: &Object<Self>) -> Verdict {
        if object.deleting() {
            return Verdict::new(ConditionStatus::False, Reason::of("Deleting"), "being deleted");
        }
        match &object.status.own.readiness {
            Some(readiness) => {
                let status = match readiness.ready {
                    Some(true) => ConditionStatus::True,
                    Some(false) => ConditionStatus::False,
                    None => ConditionStatus::Unknown,
                };
                let reason = Reason::new(&readiness.reason).unwrap_or(Reason::of("Unknown"));
                Verdict::new(status, reason, readiness.message.clone())
            }
            None => Verdict::new(ConditionStatus::Unknown, Reason::of("Reconciling"), "not looked at yet"),
        }
    }

    fn says_the_same(old: &WarmAppStatus, new: &WarmAppStatus) -> bool {
        // When the gate was last in this state is a time; that it is, is not.
        let timeless = |status: &WarmAppStatus| {
            let mut status = status.clone();
            if let Some(health) = &mut status.health {
                health.since = jiff::Timestamp::UNIX_EPOCH;
            }
            status
        };
        old == new || timeless(old) == timeless(new)
    }
}
