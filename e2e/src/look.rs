//! Arranging a quick gate, asking the operator for things, and looking at what it says and keeps.

use std::fs;
use std::path::PathBuf;

use crate::scene::Scene;
use crate::variant::Variant;
use crate::wait::{LIMIT, wait_for};

/// A condition of an object's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// For a person.
    pub message: String,
}

/// What an instance looks like when nothing was done to it: compared before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untouched {
    tasks: std::collections::BTreeSet<String>,
    services: std::collections::BTreeMap<String, u64>,
}

impl Scene {
    /// A manifest whose gate looks often and gives up soon, with `more` lines at the end of its spec (indented by two).
    pub fn quick(&self, more: &str) -> String {
        let (git, domain, port) = (self.recipe().url(), self.domain(), self.port());
        self.manifest(&format!(
            r#"  recipe: {{ git: "{git}" }}
  domain: {domain}
  env: {{ PORT: "{port}" }}
  health:
    http: {{ url: "http://${{DOMAIN}}:{port}/health", status: [200], resolve: "127.0.0.1:{port}" }}
    interval: 500ms
    successThreshold: 2
    deadline: 20s
{more}"#
        ))
    }

    /// A manifest with this spec, indented by two.
    pub fn manifest(&self, spec: &str) -> String {
        format!(
            "apiVersion: ci-warm/v1alpha1\nkind: WarmApp\nmetadata:\n  name: {}\nspec:\n{}\n",
            self.app(),
            spec.trim_end()
        )
    }

    /// Puts a manifest in place.
    pub fn apply(&self, manifest: &str) {
        self.write(&format!("warmapps/{}.yaml", self.app()), manifest);
    }

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

    /// A condition of the app.
    pub fn condition(&self, kind: &str) -> Option<Condition> {
        condition_of(&self.status(), kind)
    }

    /// Waits until a condition of the app has this status and reason.
    #[track_caller]
    pub fn wait_for_condition(&self, kind: &str, status: &str, reason: &str) -> Condition {
        wait_for(&format!("{kind}={status} {reason}"), LIMIT, || {
            match self.condition(kind) {
                Some(seen) if seen.status == status && seen.reason == reason => Ok(seen),
                seen => Err(format!(
                    "{seen:?}\n{}\n{}",
                    self.status(),
                    self.operator_log()
                )),
            }
        })
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

    /// The alerts of this root that were raised for this reason, as their files are.
    pub fn alerts(&self, reason: &str) -> Vec<String> {
        self.list("alerts")
            .iter()
            .filter(|name| name.ends_with(&format!("{reason}.json")))
            .filter_map(|name| self.read(&format!("alerts/{name}")))
            .collect()
    }

    /// Waits for the only alert of this reason whose text holds `text`.
    #[track_caller]
    pub fn wait_for_alert(&self, reason: &str, text: &str) -> String {
        wait_for(
            &format!("an alert {reason} that says {text:?}"),
            LIMIT,
            || {
                let found: Vec<String> = self
                    .alerts(reason)
                    .into_iter()
                    .filter(|alert| alert.contains(text))
                    .collect();
                match found.as_slice() {
                    [one] => Ok(one.clone()),
                    _ => Err(format!(
                        "{:?}\n{}\n{}",
                        self.alerts(reason),
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

    /// The journal of the app's instance.
    pub fn journal(&self) -> String {
        fs::read_to_string(self.instance().join("standing.yaml")).unwrap_or_default()
    }

    /// Which tasks run and which specs were sent.
    #[track_caller]
    pub fn untouched(&self) -> Untouched {
        Untouched {
            tasks: self.docker().task_ids(&self.stack()),
            services: self.docker().service_versions(&self.stack()),
        }
    }

    /// A label of the stack's service `app`.
    #[track_caller]
    pub fn app_label(&self, label: &str) -> String {
        let template = format!("{{{{index .Spec.Labels {label:?}}}}}");
        self.docker()
            .inspect_service(&format!("{}_app", self.stack()), &template)
    }
}

fn condition_of(status: &str, kind: &str) -> Option<Condition> {
    let (_, after) = status.split_once(&format!("type: {kind}\n"))?;
    // One item of the list: up to the next, or to what is indented less.
    let mut found = Condition {
        status: String::new(),
        reason: String::new(),
        message: String::new(),
    };
    for line in after.lines() {
        let text = line.trim();
        if text.starts_with("- ") || !line.starts_with(' ') {
            break;
        }
        let Some((key, value)) = text.split_once(": ") else {
            continue;
        };
        let value = value.trim().trim_matches(['"', '\'']).to_owned();
        match key {
            "status" => found.status = value,
            "reason" => found.reason = value,
            "message" => found.message = value,
            _ => {}
        }
    }
    Some(found)
}
