//! Whether an app stands in another's way, or in its own.

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::relations::{Declared, Weight, relations};
use ci_warm_api_types::yaml;
use ci_warm_runtime::store::Snapshot;
use ci_warm_runtime::{Kind, Object, ObjectName, Store};

use super::WarmApp;

/// Why nothing is done for an object.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    /// For a person, with file, line and column.
    pub(super) message: String,
}

/// Why nothing is done for this app, if something hinders.
pub(super) fn refusal(store: &Store<WarmApp>, app: &Object<WarmApp>) -> Option<Refusal> {
    if let Some(refusal) = moved(app) {
        return Some(placed(store, app, "spec.domain", refusal));
    }
    let snapshot = store.snapshot();
    if let Some(owner) = leaving(&snapshot, app) {
        let message = format!(
            "the stack `{}` belongs to WarmApp {owner}, which is being deleted: this goes on when that is done",
            app.spec.stack_name()
        );
        let refusal = Refusal {
            reason: reasons::NAME_TAKEN,
            message,
        };
        return Some(placed(store, app, "spec.domain", refusal));
    }
    let others: Vec<_> = snapshot
        .iter()
        .filter(|record| {
            record.meta.deletion_timestamp.is_none() || record.meta.uid == app.meta.uid
        })
        .filter_map(|record| record.object())
        .collect();
    let declared: Vec<_> = others
        .iter()
        .map(|other| Declared {
            name: other.meta.name.as_str(),
            created: Some(other.meta.creation_timestamp),
            spec: &other.spec,
        })
        .collect();
    let relation = relations(&declared).into_iter().find(|relation| {
        relation.object == app.meta.name.as_str()
            && relation.weight == Weight::Refused
            // Who has nothing is not in the way of its own deletion.
            && (!app.deleting() || relation.reason == reasons::NAME_TAKEN)
    })?;
    let refusal = Refusal {
        reason: relation.reason,
        message: relation.message,
    };
    Some(placed(store, app, &relation.path, refusal))
}

/// Who has the instance and is being deleted: until it is gone, two would act on one instance. One that was refused never had it.
fn leaving(snapshot: &Snapshot<WarmApp>, app: &Object<WarmApp>) -> Option<ObjectName> {
    let stack = app.spec.stack_name();
    let owner = snapshot.iter().find(|record| {
        record.meta.deletion_timestamp.is_some()
            && record.meta.uid != app.meta.uid
            && record.status.own.stack.as_ref() == Some(&stack)
    })?;
    (!app.deleting()).then(|| owner.meta.name.clone())
}

/// Another stack would be another instance, and the one that runs would belong to nobody.
fn moved(app: &Object<WarmApp>) -> Option<Refusal> {
    let runs = app
        .status
        .own
        .stack
        .as_ref()
        .filter(|stack| **stack != app.spec.stack_name())?;
    (!app.deleting()).then(|| Refusal {
        reason: reasons::STACK_IMMUTABLE,
        message: format!(
            "the app runs as stack `{runs}` and would become `{}`: write `stack: {runs}` under spec to keep it, or delete \
             the object and create it anew",
            app.spec.stack_name()
        ),
    })
}

fn placed(store: &Store<WarmApp>, app: &Object<WarmApp>, path: &str, refusal: Refusal) -> Refusal {
    let file = store.root().manifest(WarmApp::PLURAL, &app.meta.name);
    let (line, column) = match std::fs::read_to_string(&file) {
        Ok(text) => yaml::locate(&text, &yaml::path(path)),
        Err(_) => return refusal,
    };
    Refusal {
        message: format!("{}:{line}:{column}: {}", file.display(), refusal.message),
        ..refusal
    }
}
