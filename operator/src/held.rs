//! Deletions that are held back: a person is told, once for each occasion.

use std::path::PathBuf;

use ci_warm_api_types::alert::{Alert, AlertId, AlertReason, AlertTime};
use ci_warm_runtime::{Handle, HeldDeletions, HeldReason};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::alert;

/// Raises an alert whenever deletions begin to be held, until the process ends.
pub(crate) async fn watch(root: PathBuf, handle: Handle, drain: CancellationToken) {
    let mut held = handle.held_deletions();
    loop {
        let now: Vec<HeldDeletions> = held.borrow_and_update().clone();
        for deletions in &now {
            if let Err(error) = raise(&root, deletions) {
                tracing::error!(%error, "an alert could not be written");
            }
        }
        tokio::select! {
            changed = held.changed() => if changed.is_err() { return },
            () = drain.cancelled() => return,
        }
    }
}

fn raise(root: &std::path::Path, held: &HeldDeletions) -> anyhow::Result<()> {
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
    let id = AlertId::of_episode(
        "ci-warm",
        &format!("{}-{}", held.kind, names.join(",")),
        &reason,
    );
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
