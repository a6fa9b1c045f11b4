//! The docker CLI: a client of the engine that we did not write, for arranging and for looking.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::Ran;
use crate::volume::VolumeHash;
use crate::wait::{LIMIT, wait_for};

/// The docker CLI, pointed at one engine.
#[derive(Clone, Debug)]
pub struct Docker {
    host: String,
    config: PathBuf,
}

impl Docker {
    /// `host` is such as `unix:///tmp/engine/docker.sock`. `config` is a directory for the CLI's own files; a user's
    /// configuration has no influence.
    pub(crate) fn new(host: &str, config: &Path) -> Self {
        Self {
            host: host.to_owned(),
            config: config.to_owned(),
        }
    }

    /// The engine's address.
    pub fn host(&self) -> &str {
        &self.host
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_HOST", &self.host)
            .env("DOCKER_CONFIG", &self.config);
        command.env_remove("DOCKER_CONTEXT").args(arguments);
        command
    }

    /// Runs `docker ARGUMENTS…`, whatever comes of it.
    #[track_caller]
    pub fn try_run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Runs `docker ARGUMENTS…` and returns its output; a failure is a panic.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).ok()
    }

    #[track_caller]
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: Vec<u8>) -> String {
        Ran::with_input(&mut self.command(arguments), input).ok()
    }

    /// The output's lines, sorted.
    #[track_caller]
    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let mut lines: Vec<String> = self.run(arguments).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// `docker stack deploy` of a compose file, with `environment` for its variables and images as they are here.
    #[track_caller]
    pub fn stack_deploy(&self, stack: &str, compose: &Path, environment: &[(&str, &str)]) -> Ran {
        let compose = compose.to_string_lossy();
        let mut command = self.command(&[
            "stack",
            "deploy",
            "--resolve-image",
            "never",
            "-c",
            &compose,
            stack,
        ]);
        Ran::of(command.envs(environment.iter().copied()))
    }

    /// Removes a stack's services, networks, secrets and configs; returns when its containers are gone too.
    #[track_caller]
    pub fn stack_rm(&self, stack: &str) {
        self.run(&["stack", "rm", stack]);
        wait_for("the stack's containers to go", LIMIT, || {
            match self.containers(stack) {
                left if left.is_empty() => Ok(()),
                left => Err(format!("{left:?}")),
            }
        });
    }

    /// The ids of a stack's containers, running or not.
    #[track_caller]
    pub fn containers(&self, stack: &str) -> Vec<String> {
        self.lines(&["ps", "-aq", "--no-trunc", "--filter", &label(stack)])
    }

    /// The names of a stack's volumes, as far as they carry its label.
    #[track_caller]
    pub fn volumes(&self, stack: &str) -> Vec<String> {
        self.lines(&["volume", "ls", "-q", "--filter", &label(stack)])
    }

    /// The names of a stack's services.
    #[track_caller]
    pub fn services(&self, stack: &str) -> Vec<String> {
        self.lines(&[
            "service",
            "ls",
            "--format",
            "{{.Name}}",
            "--filter",
            &label(stack),
        ])
    }

    /// The version index of each of a stack's services, by name. The engine raises it with every write, so an equal
    /// map means that nothing was sent.
    #[track_caller]
    pub fn service_versions(&self, stack: &str) -> BTreeMap<String, u64> {
        let names = self.services(stack);
        if names.is_empty() {
            return BTreeMap::new();
        }
        let mut arguments = vec![
            "service",
            "inspect",
            "--format",
            "{{.Spec.Name}} {{.Version.Index}}",
        ];
        arguments.extend(names.iter().map(String::as_str));
        let text = self.run(&arguments);
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        pairs
            .filter_map(|(name, index)| Some((name.to_owned(), index.parse().ok()?)))
            .collect()
    }

    /// The ids of the tasks that a stack is meant to run now. Equal sets mean that nothing was restarted.
    #[track_caller]
    pub fn task_ids(&self, stack: &str) -> BTreeSet<String> {
        let ran = self.try_run(&[
            "stack",
            "ps",
            "-q",
            "--no-trunc",
            "--filter",
            "desired-state=running",
            stack,
        ]);
        // With no task left the CLI calls that an error.
        if !ran.succeeded() && ran.stderr.contains("nothing found in stack") {
            return BTreeSet::new();
        }
        ran.ok().lines().map(str::to_owned).collect()
    }

    /// A service's image and labels and so on, by a Go template, such as `{{.Spec.TaskTemplate.ContainerSpec.Image}}`.
    #[track_caller]
    pub fn inspect_service(&self, service: &str, template: &str) -> String {
        self.run(&["service", "inspect", "--format", template, service])
    }

    /// Where a volume's files are on this machine.
    #[track_caller]
    pub fn volume_path(&self, volume: &str) -> PathBuf {
        self.run(&["volume", "inspect", "--format", "{{.Mountpoint}}", volume])
            .into()
    }

    /// What a volume holds, to be compared with what it holds at another time.
    #[track_caller]
    pub fn volume_hash(&self, volume: &str) -> VolumeHash {
        VolumeHash::of(&self.volume_path(volume))
    }
}

fn label(stack: &str) -> String {
    format!("label=com.docker.stack.namespace={stack}")
}
