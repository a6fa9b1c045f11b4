//! The engine that the tests share.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::docker::Docker;
use crate::variant::Variant;

const ENGINE: &str = "CI_WARM_TEST_ENGINE";

/// A Swarm of one node, made for the tests by `scripts/engine.sh`.
#[derive(Debug)]
pub struct Rig {
    docker: Docker,
    directory: PathBuf,
    building: Mutex<()>,
}

impl Rig {
    /// The engine at `CI_WARM_TEST_ENGINE`. Panics when there is none: a test that needs a Swarm and has none has failed.
    pub fn get() -> &'static Self {
        static RIG: OnceLock<Rig> = OnceLock::new();
        RIG.get_or_init(|| {
            let host = env::var(ENGINE)
                .unwrap_or_else(|_| panic!("{ENGINE} is not set: run `make test` or `make e2e`"));
            let socket = host
                .strip_prefix("unix://")
                .unwrap_or_else(|| panic!("{ENGINE}={host} is not unix://…"));
            let directory = Path::new(socket)
                .parent()
                .expect("a socket is in a directory");
            check_network(directory);
            let config = cli_directory(directory);
            fs::create_dir_all(&config)
                .unwrap_or_else(|error| panic!("{}: {error}", config.display()));
            let docker = Docker::new(&host, &config);
            let state = docker.run(&[
                "info",
                "--format",
                "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}",
            ]);
            assert_eq!(state, "active true", "{host} is not a Swarm manager");
            Self {
                docker,
                directory: directory.to_owned(),
                building: Mutex::new(()),
            }
        })
    }

    /// The docker CLI for it.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Stops dockerd and starts it again; returns when the Swarm's node is ready. Every container is stopped on the way,
    /// those of other tests too, so tests that do this have a file of their own in `tests/`.
    #[track_caller]
    pub fn restart_engine(&self, ending: Ending) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/engine.sh");
        let signal = match ending {
            Ending::Orderly => "TERM",
            Ending::Crash => "KILL",
        };
        let mut command = Command::new(script);
        command
            .arg("restart")
            .arg(&self.directory)
            .arg(signal)
            .stdin(Stdio::null());
        let status = command
            .status()
            .unwrap_or_else(|error| panic!("{script}: {error}"));
        assert!(
            status.success(),
            "dockerd did not come back; see {}/dockerd.log",
            self.directory.display()
        );
    }

    /// The reference of `variant`'s image, which is made first when it is missing. It exists on the engine only, so it
    /// can be run but not pulled; see [`crate::Registry`].
    pub fn image(&self, variant: &Variant) -> String {
        let _one_at_a_time = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        variant.build(&self.docker)
    }
}

/// How dockerd ends when it is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By SIGTERM, as a service manager stops it.
    Orderly,
    /// By SIGKILL, as if it had crashed.
    Crash,
}

/// Goes with the engine when it is one of `scripts/engine.sh`.
fn cli_directory(engine: &Path) -> PathBuf {
    if engine.join("init").exists() {
        engine.join("cli")
    } else {
        env::temp_dir().join("ci-warm-e2e-docker")
    }
}

/// The engine's ports are in its network namespace; a test outside would wait in vain for each of them.
fn check_network(engine: &Path) {
    let Ok(init) = fs::read_to_string(engine.join("init")) else {
        return;
    };
    let process = init.split_whitespace().next().unwrap_or_default();
    let theirs = fs::read_link(format!("/proc/{process}/ns/net"));
    let ours = fs::read_link("/proc/self/ns/net");
    assert!(
        matches!((&theirs, &ours), (Ok(theirs), Ok(ours)) if theirs == ours),
        "this is not the engine's network: run the tests by `make e2e`, or `scripts/engine.sh exec {} cargo test …`",
        engine.display()
    );
}
