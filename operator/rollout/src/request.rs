//! What a person can ask for once.

use ci_warm_api_types::journal::{Back, Forward, ForwardOperation, Operation, Resume, Standing};
use ci_warm_api_types::version::Version;

/// A request of a person's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Let exactly this version through its gates.
    Approve(Version),
    /// Try again what failed: leave quarantine, or take up a stuck operation.
    Retry,
    /// Look at the versions on offer now.
    Reconcile,
}

/// The standing after a request. Applying one twice is the same as once.
#[must_use]
pub fn apply(standing: &Standing, request: &Request) -> Standing {
    let mut next = standing.clone();
    next.checked = None;
    match request {
        Request::Approve(version) => {
            next.approved.insert(version.clone());
        }
        Request::Retry => {
            next.quarantine.clear();
            next.unhealthy_since = None;
            if let Some(Operation::Stuck { resume, .. }) = &standing.operation {
                next.operation = Some(resumed(resume));
            }
        }
        Request::Reconcile => {}
    }
    next
}

/// A stuck operation, taken up before the phase whose deadline has passed.
fn resumed(resume: &Resume) -> Operation {
    match resume.clone() {
        Resume::Forward { id, of, to, guard } => Operation::Forward(ForwardOperation {
            id,
            of,
            to,
            covers: None,
            at: Forward::Deploy(guard),
        }),
        Resume::Back(mut op) => {
            if let Back::Prove(_) = op.at {
                op.at = Back::Deploy;
            }
            Operation::Back(op)
        }
    }
}
