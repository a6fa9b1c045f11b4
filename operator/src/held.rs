//! Deletions that are held back: a person is told, once for each occasion.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ci_warm_api_types::alert::{Alert, AlertId, AlertReason, AlertTime};
use ci_warm_runtime::{Handle, HeldDeletions, HeldReason, Kind, Store, conditions};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::alert;

/// When deletions began to be held, as far as that is on record.
pub(crate) fn since<K: Kind>(store: &Store<K>, held: &HeldDeletions) -> Option<Timestamp> {
    let began = |name| {
        let record = store.get(name)?;
        let condition = record.status.conditions.get(conditions::DELETION_HELD)?;
        Some(condition.last_transition_time)
    };
    held.names.iter().filter_map(began).min()
}

/// Raises an alert whenever deletions begin to be held, until the process ends. `since` says when that was, so that a restart
/// does not tell of the same occasion again; what is not on record is told again, as twice is better than never.
pub(crate) async fn watch(
    root: PathBuf,
    handle: Handle,
    since: impl Fn(&HeldDeletions) -> Option<Timestamp>,
    drain: CancellationToken,
) {
    let mut held = handle.held_deletions();
    let mut begun: BTreeMap<&str, Timestamp> = BTreeMap::new();
    loop {
        let now: Vec<HeldDeletions> = held.borrow_and_update().clone();
        begun.retain(|kind, _| now.iter().any(|held| held.kind == *kind));
        for deletions in &now {
            let moment = *begun
                .entry(deletions.kind)
                .or_insert_with(|| since(deletions).unwrap_or_else(Timestamp::now));
            if let Err(error) = raise(&root, deletions, moment) {
                tracing::error!(%error, "an alert could not be written");
            }
        }
        tokio::select! {
            changed = held.changed() => if changed.is_err() { return },
            () = drain.cancelled() => return,
        }
    }
}

fn raise(root: &std::path::Path, held: &HeldDeletions, began: Timestamp) -> anyhow::Result<()> {
    let names: Vec<&str> = held
        .names
        .iter()
        .map(ci_warm_runtime::ObjectName::as_str)
        .collect();
    let why = match &held.reason {
        HeldReason::Unreadable(why) => format!("its directory cannot be read: {why}"),
        HeldReason::MarkerMissing => {
            "the root has no marker; its disk is probably not mounted".to_owned()
        }
        HeldReason::DirectoryMissing => "its directory is missing".to_owned(),
        HeldReason::AllVanished => "all of its files vanished at once".to_owned(),
    };
    let reason: AlertReason = "deletions-held".parse()?;
    let id = AlertId::of_episode("ci-warm", &format!("{}-{began}", held.kind), &reason);
    let message = format!(
        "{} {}: {why}. Nothing is deleted until the files come back, or `ccctl delete` names the objects",
        held.kind,
        names.join(", ")
    );
    let alert = Alert {
        message: Some(message),
        ..Alert::new("ci-warm", reason, AlertTime::from(Timestamp::now()))
    };
    alert::raise(root, &alert, &id)?;
    Ok(())
}
