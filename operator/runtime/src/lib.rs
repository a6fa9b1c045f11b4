//! The store, the watch, the queue and the loop, generic over kinds.
//!
//! ```text
//!  files ── watch ──> store ──> queue ──> reconcile(key) ──> status files
//!             │          │         ^            │
//!          debounce   snapshots    └── timers, wakes, owners, requests
//! ```
//!
//! **Guarantees.** Nothing runs before the first complete list. One run per object at a time, a bounded number overall.
//! What a reconcile is handed (uid, generation, finalizers, accepted spec) is on disk before it is called. Absence counts
//! only after a complete list of a root that carries its marker.
//!
//! **Deliberately absent.** A reconcile never learns what woke it. There is no channel between the triggers and the runner
//! that could fill up: triggers change slots of one keyed queue. Files are never watched, only directories.
//!
//! **Caveats.** File and status writes are blocking calls moved off the async threads; one store has one writer lock.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod backoff;
pub mod conditions;
pub mod context;
pub mod controller;
pub mod durable;
pub mod events;
pub mod handle;
pub mod ids;
pub mod kind;
pub mod metrics;
pub mod operator;
pub mod queue;
pub mod requests;
pub mod root;
mod runner;
pub mod shutdown;
pub mod store;
mod watch;

pub use backoff::Backoff;
pub use ci_warm_api_types::problem::Problem;
pub use conditions::{Condition, ConditionStatus, Conditions, Reason};
pub use context::Context;
pub use controller::{Action, Reconcile, ReconcileError};
pub use events::{Event, EventType};
pub use handle::Handle;
pub use ids::{Generation, Key, ObjectName, OwnerReference, Uid};
pub use kind::{Kind, Manifest, Meta, Object, Status, Suspension, Verdict};
pub use metrics::MetricsSnapshot;
pub use operator::{Operator, OperatorError, Settings};
pub use queue::{Debounce, Queue};
pub use requests::{Request, write_request};
pub use root::{Root, RootError, RootLock};
pub use shutdown::Shutdown;
pub use store::{HeldDeletions, HeldReason, Record, Snapshot, Store, StoreError};
