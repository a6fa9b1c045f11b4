//! What an app's status, journal and alerts say, read as a person would read the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use ci_warm_api_types::yaml;
use serde_json::Value;

use crate::gatekeeper::Gatekeeper;
use crate::scene::Scene;
use crate::wait::{LIMIT, wait_for};

/// One condition of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Such as `MajorVersion`.
    pub reason: String,
    /// For a person.
    pub message: String,
}

/// What the Swarm runs for a stack. Equal values mean that nothing was sent and nothing was restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The version index of each service, by name.
    pub services: BTreeMap<String, u64>,
    /// The tasks that are meant to run.
    pub tasks: BTreeSet<String>,
}

/// A file of YAML, or nothing while it is missing or half there.
fn document(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_default();
    yaml::read(&path.display().to_string(), &text).unwrap_or(Value::Null)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl Scene {
    /// The status file of an app of this root.
    pub fn status_of(&self, app: &str) -> Value {
        document(&self.root().join(format!("status/warmapps/{app}.yaml")))
    }

    /// The journal of this app's instance.
    pub fn standing(&self) -> Value {
        document(&self.standing_file())
    }

    fn standing_file(&self) -> PathBuf {
        let directory = self.root().join("instances").join(self.stack());
        directory.join("standing.yaml")
    }

    /// A field of this app's status, by a JSON pointer below `status`, such as `/held/version`; empty when it is not there.
    pub fn said(&self, pointer: &str) -> String {
        let status = self.status_of(self.app());
        text(
            status
                .pointer(&format!("/status{pointer}"))
                .unwrap_or(&Value::Null),
        )
    }

    /// A condition of an app of this root.
    pub fn condition_of(&self, app: &str, kind: &str) -> Option<Condition> {
        let status = self.status_of(app);
        let all = status.pointer("/status/conditions")?.as_array()?;
        let found = all.iter().find(|condition| condition["type"] == kind)?;
        Some(Condition {
            status: text(&found["status"]),
            reason: text(&found["reason"]),
            message: text(&found["message"]),
        })
    }

    /// A condition of this app.
    pub fn condition(&self, kind: &str) -> Option<Condition> {
        self.condition_of(self.app(), kind)
    }

    /// Waits until a condition of this app has that status and reason; returns its message.
    #[track_caller]
    pub fn wait_for_condition(&self, kind: &str, status: &str, reason: &str) -> String {
        self.wait_for_condition_of(self.app(), kind, status, reason)
    }

    /// The same of another app of this root.
    #[track_caller]
    pub fn wait_for_condition_of(
        &self,
        app: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> String {
        wait_for(
            &format!("{app}: {kind}={status} {reason}"),
            LIMIT,
            || match self.condition_of(app, kind) {
                Some(seen) if seen.status == status && seen.reason == reason => Ok(seen.message),
                seen => Err(format!("{seen:?}\n{:#}", self.status_of(app))),
            },
        )
    }

    /// Asks for a look at the versions, and returns when that look is over and nothing is under way.
    #[track_caller]
    pub fn reconcile(&self) {
        let looked =
            |standing: &Value| text(standing.pointer("/checked/at").unwrap_or(&Value::Null));
        let before = looked(&self.standing());
        self.ccctl()
            .run(&["reconcile", &format!("warmapp/{}", self.app())]);
        wait_for("a fresh look at the versions", LIMIT, || {
            let standing = self.standing();
            let (now, busy) = (looked(&standing), !standing["operation"].is_null());
            if now != before && !now.is_empty() && !busy {
                Ok(())
            } else {
                Err(format!("{standing:#}"))
            }
        });
    }

    /// The alerts that were raised under this root, oldest first.
    #[track_caller]
    pub fn alerts(&self) -> Vec<Value> {
        let files = self.list("alerts");
        let files = files.iter().filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "json")
        });
        files
            .map(|name| {
                let text = self.read(&format!("alerts/{name}")).unwrap_or_default();
                let read = serde_json::from_str(&text).map_err(io::Error::other);
                read.unwrap_or_else(|error| panic!("alerts/{name}: {error}: {text:?}"))
            })
            .collect()
    }

    /// The alerts with this reason.
    #[track_caller]
    pub fn alerts_for(&self, reason: &str) -> Vec<Value> {
        let mut alerts = self.alerts();
        alerts.retain(|alert| alert["reason"] == reason);
        alerts
    }

    /// What the Swarm runs for this app.
    #[track_caller]
    pub fn deployed(&self) -> Deployed {
        Deployed {
            services: self.docker().service_versions(&self.stack()),
            tasks: self.docker().task_ids(&self.stack()),
        }
    }

    /// Waits until nothing of the stack is left but its data.
    #[track_caller]
    pub fn wait_for_no_services(&self) {
        wait_for("the stack's services and containers to go", LIMIT, || {
            let (docker, stack) = (self.docker(), self.stack());
            let (services, containers) = (docker.services(&stack), docker.containers(&stack));
            if services.is_empty() && containers.is_empty() {
                Ok(())
            } else {
                Err(format!("{services:?} {containers:?}"))
            }
        });
    }

    /// [`Scene::warm_app`] with a gate that is quick about it.
    pub fn quick_warm_app(&self, more: &str) -> String {
        let text = self.warm_app(more);
        let deadline = "    deadline: 30s\n";
        assert!(text.contains(deadline), "{text}");
        text.replace(
            deadline,
            "    deadline: 20s\n    interval: 500ms\n    successThreshold: 2\n",
        )
    }

    /// A manifest whose gate asks `gate`.
    pub fn gated_warm_app(&self, gate: &Gatekeeper, deadline: &str, more: &str) -> String {
        let text = self.warm_app("");
        let (head, _) = text.split_once("  health:\n").expect("it has a gate");
        format!("{head}{}{more}\n", gate.health(deadline))
    }

    /// Puts this app's manifest into place.
    pub fn declare(&self, manifest: &str) {
        self.write(&self.manifest(), manifest);
    }

    /// Takes this app's manifest away.
    pub fn remove_manifest(&self) {
        fs::remove_file(self.root().join(self.manifest())).expect("it was there");
    }

    /// Where this app's manifest is, below the root.
    pub fn manifest(&self) -> String {
        format!("warmapps/{}.yaml", self.app())
    }

    /// Waits until this app's operation is in that phase.
    #[track_caller]
    pub fn wait_for_phase(&self, phase: &str) {
        wait_for(&format!("the phase {phase}"), LIMIT, || {
            let seen = self.said("/operation");
            if seen == phase {
                Ok(())
            } else {
                Err(format!(
                    "{seen:?}\n{:#}\n{}",
                    self.standing(),
                    self.operator_log()
                ))
            }
        });
    }

    /// Waits until a line of this app's history says so.
    #[track_caller]
    pub fn wait_for_history(&self, result: &str) {
        wait_for(&format!("{result} in the history"), LIMIT, || {
            let seen = self.history();
            if seen.iter().any(|line| line == result) {
                Ok(())
            } else {
                Err(format!(
                    "{seen:?}\n{:#}\n{}",
                    self.standing(),
                    self.operator_log()
                ))
            }
        });
    }

    /// The results of what was done to this app's instance, oldest first.
    pub fn history(&self) -> Vec<String> {
        let standing = self.standing();
        let entries = standing["history"].as_array();
        entries
            .into_iter()
            .flatten()
            .map(|entry| text(&entry["result"]))
            .collect()
    }

    /// Waits until nothing is known of this app any more.
    #[track_caller]
    pub fn wait_for_deleted(&self) {
        wait_for("the object to be gone", LIMIT, || {
            let seen = self.status();
            if seen.is_empty() { Ok(()) } else { Err(seen) }
        });
    }

    /// Applies [`Scene::quick_warm_app`].
    pub fn apply_quick(&self, more: &str) {
        self.declare(&self.quick_warm_app(more));
    }

    /// The object as `ccctl` names it.
    pub fn object(&self) -> String {
        format!("warmapp/{}", self.app())
    }
}
