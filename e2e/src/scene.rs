//! One test's own recipe, names, port and root.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::command::Ran;
use crate::docker::Docker;
use crate::http::{self, Answer};
use crate::operator::{Ccctl, Operator};
use crate::ports::free_port;
use crate::recipe::RecipeRepo;
use crate::rig::Rig;
use crate::variant::Variant;
use crate::wait::{LIMIT, wait_for};

static SCENES: AtomicU32 = AtomicU32::new(0);

/// Everything that one test has for itself. When dropped, its stack and volumes are removed from the engine.
#[derive(Debug)]
pub struct Scene {
    rig: &'static Rig,
    app: String,
    port: u16,
    directory: Arc<TempDir>,
    recipe: RecipeRepo,
}

impl Scene {
    /// `name` is a few lower-case letters that say whose it is; a number that no other scene has is added.
    pub fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let scene = Self::within(name, Arc::new(directory));
        fs::create_dir(scene.root())
            .and_then(|()| fs::write(scene.root().join(".ci-warm"), "ci-warm/v1alpha1\n"))
            .expect("a temporary directory takes directories");
        scene
    }

    /// Another app under the root of this one, with a recipe and a port of its own.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self::within(name, Arc::clone(&self.directory))
    }

    fn within(name: &str, directory: Arc<TempDir>) -> Self {
        let number = SCENES.fetch_add(1, Ordering::Relaxed);
        Self {
            rig: Rig::get(),
            app: format!("{name}-{}-{number}", std::process::id()),
            port: free_port(),
            directory,
            recipe: RecipeRepo::new(),
        }
    }

    /// The app's name, as in `metadata.name`.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The app's domain.
    pub fn domain(&self) -> String {
        format!("{}.e2e.test", self.app)
    }

    /// The stack's name, which follows from the domain.
    pub fn stack(&self) -> String {
        self.domain().replace('.', "_")
    }

    /// The name of the stack's volume.
    pub fn volume(&self) -> String {
        format!("{}_data", self.stack())
    }

    /// The port that the app is published on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The operator's root. It exists and is empty at first.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// A place for files of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The recipe's repository.
    pub fn recipe(&self) -> &RecipeRepo {
        &self.recipe
    }

    /// The shared engine.
    pub fn rig(&self) -> &'static Rig {
        self.rig
    }

    /// The docker CLI for it.
    pub fn docker(&self) -> &'static Docker {
        self.rig.docker()
    }

    /// Publishes a version of the recipe that runs `variant`; returns the commit.
    pub fn publish(&self, version: &str, variant: &Variant) -> String {
        self.recipe.publish(version, &self.rig.image(variant))
    }

    // --- the operator ---

    /// Starts the operator over this root; its log goes to one file across restarts.
    pub fn operator(&self) -> Operator {
        self.operator_with(&[])
    }

    /// The same, with more options.
    pub fn operator_with(&self, options: &[&str]) -> Operator {
        Operator::start(
            &self.root(),
            self.docker().host(),
            &self.path("operator.log"),
            options,
        )
    }

    /// `ccctl` over this root.
    pub fn ccctl(&self) -> Ccctl {
        Ccctl::new(&self.root(), self.docker().host())
    }

    /// A `WarmApp` manifest for the recipe, with `more` lines at the end of its spec (indented by two).
    pub fn warm_app(&self, more: &str) -> String {
        let (app, git, domain, port) = (&self.app, self.recipe.url(), self.domain(), self.port);
        let more = more.trim_end();
        format!(
            r#"apiVersion: ci-warm/v1alpha1
kind: WarmApp
metadata:
  name: {app}
spec:
  recipe: {{ git: "{git}" }}
  domain: {domain}
  env: {{ PORT: "{port}" }}
  health:
    http: {{ url: "http://${{DOMAIN}}:{port}/health", status: [200], resolve: "127.0.0.1:{port}" }}
    deadline: 30s
{more}
"#
        )
    }

    /// Puts a file into the root as an editor does: written beside it and renamed into place.
    pub fn write(&self, path: &str, text: &str) {
        let file = self.root().join(path);
        let directory = file.parent().expect("a file is in a directory");
        let beside = directory.join(".e2e-new");
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&beside, text))
            .and_then(|()| fs::rename(&beside, &file))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// A file of the root, when it is there.
    pub fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root().join(path)).ok()
    }

    /// The names of the files in a directory of the root, sorted; none when there is no such directory.
    pub fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root().join(path))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Applies [`Scene::warm_app`].
    pub fn apply_warm_app(&self, more: &str) {
        self.write(&format!("warmapps/{}.yaml", self.app), &self.warm_app(more));
    }

    /// The app's status file as text; empty while there is none.
    pub fn status(&self) -> String {
        self.read(&format!("status/warmapps/{}.yaml", self.app))
            .unwrap_or_default()
    }

    /// The value of a field of the app's status, by its name at the beginning of a line.
    pub fn status_field(&self, field: &str) -> Option<String> {
        let start = format!("{field}:");
        let file = self.status();
        let (_, status) = file.split_once("\nstatus:\n")?;
        let line = status
            .lines()
            .find_map(|line| line.trim().strip_prefix(&start).map(str::to_owned))?;
        Some(line.trim().trim_matches(['"', '\'']).to_owned())
    }

    /// Waits until the app's last result is this one.
    #[track_caller]
    pub fn wait_for_result(&self, result: &str) {
        wait_for(&format!("the result {result}"), LIMIT, || {
            match self.status_field("result") {
                Some(seen) if seen == result => Ok(()),
                seen => Err(format!(
                    "{seen:?}\n{}\n{}\n{}",
                    self.status(),
                    self.tasks(),
                    self.operator_log()
                )),
            }
        });
    }

    /// Waits until the operator has nothing under way for this app.
    #[track_caller]
    pub fn wait_for_ready(&self, status: &str, reason: &str) {
        wait_for(&format!("Ready={status} {reason}"), LIMIT, || {
            let text = self.status();
            let ready = text.split("type: Ready").nth(1).unwrap_or_default();
            let ready: Vec<&str> = ready.lines().skip(1).take(2).map(str::trim).collect();
            let (want_status, want_reason) =
                (format!("status: '{status}'"), format!("reason: {reason}"));
            let plain: Vec<String> = ready.iter().map(|line| line.replace('"', "'")).collect();
            if plain
                .iter()
                .any(|line| *line == want_status || *line == want_status.replace('\'', ""))
                && plain.contains(&want_reason)
            {
                Ok(())
            } else {
                Err(format!("{text}\n{}", self.operator_log()))
            }
        });
    }

    /// The end of the operator's log.
    pub fn operator_log(&self) -> String {
        let log = fs::read_to_string(self.path("operator.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    // --- the app ---

    /// Deploys the recipe's work tree by `docker stack deploy`, without the operator.
    pub fn stack_deploy(&self) -> Ran {
        let (stack, port, domain) = (self.stack(), self.port.to_string(), self.domain());
        let environment = [
            ("STACK_NAME", stack.as_str()),
            ("PORT", &port),
            ("DOMAIN", &domain),
        ];
        self.docker().stack_deploy(
            &stack,
            &self.recipe.path().join("compose.yml"),
            &environment,
        )
    }

    /// GET from the app.
    pub fn get(&self, path: &str) -> std::io::Result<Answer> {
        http::get(self.port, path)
    }

    /// POST to the app.
    pub fn post(&self, path: &str, body: &str) -> std::io::Result<Answer> {
        http::post(self.port, path, body)
    }

    /// Waits until the app's `/version` says so.
    #[track_caller]
    pub fn wait_for_version(&self, version: &str) {
        wait_for(
            &format!("version {version} to serve"),
            LIMIT,
            || match self.get("/version") {
                Ok(answer) if answer.status == 200 && answer.body.trim() == version => Ok(()),
                seen => Err(format!("{seen:?}\n{}", self.tasks())),
            },
        );
    }

    /// Stores a record through the app.
    #[track_caller]
    pub fn add_record(&self, record: &str) {
        let answer = self
            .post("/records", record)
            .unwrap_or_else(|error| panic!("POST /records: {error}"));
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// The records as the app lists them.
    #[track_caller]
    pub fn records(&self) -> Vec<String> {
        let answer = self
            .get("/records")
            .unwrap_or_else(|error| panic!("GET /records: {error}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body.lines().map(str::to_owned).collect()
    }

    /// The stack's tasks as `docker stack ps` shows them, for messages.
    pub fn tasks(&self) -> String {
        let format = "{{.Name}} {{.Image}} {{.DesiredState}} {{.CurrentState}} {{.Error}}";
        let ran = self.docker().try_run(&[
            "stack",
            "ps",
            "--no-trunc",
            "--format",
            format,
            &self.stack(),
        ]);
        format!("{}{}", ran.stdout, ran.stderr)
    }

    /// The path of a file in the app's volume.
    pub fn in_volume(&self, name: &str) -> PathBuf {
        self.docker()
            .volume_path(&self.volume())
            .join(Path::new(name))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let (docker, stack) = (self.docker(), self.stack());
        // What is left of a failed test must not hide why it failed.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            docker.stack_rm(&stack);
            let volumes = docker.volumes(&stack);
            if !volumes.is_empty() {
                let mut arguments = vec!["volume", "rm", "--force"];
                arguments.extend(volumes.iter().map(String::as_str));
                docker.run(&arguments);
            }
        }));
    }
}
