//! Asking the operator for things, and looking at what it keeps: snapshots, set-aside data, alerts.

use std::path::PathBuf;

use serde_json::Value;

use crate::scene::Scene;
use crate::variant::Variant;
use crate::wait::{LIMIT, wait_for};

impl Scene {
    /// Asks for something once, such as `reconcile` or `retry`, as `ccctl` does.
    pub fn ask(&self, verb: &str) {
        self.ccctl().run(&[verb, "warmapp", self.app()]);
    }

    /// Publishes a version and has the operator look.
    pub fn offer(&self, version: &str, variant: &Variant) -> String {
        let commit = self.publish(version, variant);
        self.ask("reconcile");
        commit
    }

    /// Waits until the app's status says this anywhere.
    #[track_caller]
    pub fn wait_for_status(&self, text: &str) {
        wait_for(
            &format!("the status to say {text:?}"),
            LIMIT,
            || match self.status() {
                status if status.contains(text) => Ok(()),
                status => Err(format!("{status}\n{}", self.operator_log())),
            },
        );
    }

    /// Waits for the only alert of this reason whose text holds `text`.
    #[track_caller]
    pub fn wait_for_alert(&self, reason: &str, text: &str) -> Value {
        wait_for(
            &format!("an alert {reason} that says {text:?}"),
            LIMIT,
            || {
                let all = self.alerts_for(reason);
                let found: Vec<_> = all
                    .iter()
                    .filter(|alert| alert.to_string().contains(text))
                    .collect();
                match found.as_slice() {
                    [one] => Ok((*one).clone()),
                    _ => Err(format!(
                        "{all:?}\n{}\n{}",
                        self.status(),
                        self.operator_log()
                    )),
                }
            },
        )
    }

    /// The folder of the app's instance.
    pub fn instance(&self) -> PathBuf {
        self.root().join("instances").join(self.stack())
    }

    /// The names of the instance's sealed copies.
    pub fn copies(&self) -> Vec<String> {
        self.list(&format!("instances/{}/snapshots", self.stack()))
    }

    /// The names of the Snapshot objects.
    pub fn snapshot_objects(&self) -> Vec<String> {
        let files = self.list("snapshots");
        let names = files.iter().filter_map(|name| name.strip_suffix(".yaml"));
        names
            .filter(|name| !name.starts_with('.'))
            .map(str::to_owned)
            .collect()
    }

    /// A Snapshot's status file; empty while there is none.
    pub fn snapshot_status(&self, name: &str) -> String {
        self.read(&format!("status/snapshots/{name}.yaml"))
            .unwrap_or_default()
    }

    /// Waits until a Snapshot's status says this anywhere.
    #[track_caller]
    pub fn wait_for_snapshot(&self, name: &str, text: &str) -> String {
        wait_for(
            &format!("snapshot {name} to say {text:?}"),
            LIMIT,
            || match self.snapshot_status(name) {
                status if status.contains(text) => Ok(status),
                status => Err(format!(
                    "{status}\nobjects {:?}, copies {:?}\n{}",
                    self.snapshot_objects(),
                    self.copies(),
                    self.operator_log()
                )),
            },
        )
    }

    /// Declares a Snapshot of the app's instance.
    pub fn declare_snapshot(&self, name: &str, more: &str) {
        let stack = self.stack();
        self.write(
            &format!("snapshots/{name}.yaml"),
            &format!(
                "apiVersion: ci-warm/v1alpha1\nkind: Snapshot\nmetadata:\n  name: {name}\nspec:\n  instance: {stack}\n{more}"
            ),
        );
    }

    /// A label of the stack's service `app`.
    #[track_caller]
    pub fn app_label(&self, label: &str) -> String {
        let template = format!("{{{{index .Spec.Labels {label:?}}}}}");
        self.docker()
            .inspect_service(&format!("{}_app", self.stack()), &template)
    }
}
