//! Our own programs, as a person would run them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::{env, thread};

use rustix::process::{Pid, Signal, kill_process};

use crate::command::Ran;
use crate::variant::profile_directory;
use crate::wait::{LIMIT, wait_for};

fn program(name: &str) -> PathBuf {
    let directory = env::var_os("CI_WARM_BIN_DIR").map_or_else(profile_directory, PathBuf::from);
    let path = directory.join(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build --workspace, or run `make e2e`",
        path.display()
    );
    path
}

/// A running `ci-warm-operator`. Stopped when dropped; its log is shown when the test has failed.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    log: PathBuf,
}

impl Operator {
    /// Starts it over `root` with the engine at `host`. Its output is appended to `log`. `options` come last.
    pub fn start(root: &Path, host: &str, log: &Path, options: &[&str]) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("the log can be written");
        let mut command = Command::new(program("ci-warm-operator"));
        command
            .arg("--root")
            .arg(root)
            .args(["--docker-host", host])
            .args(options)
            .stdin(Stdio::null());
        command
            .stderr(file.try_clone().expect("an open file"))
            .stdout(file);
        if env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "debug,hyper=info,h2=info,rustls=info");
        }
        let child = command.spawn().expect("the operator starts");
        Self {
            child,
            log: log.to_owned(),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far, that of earlier runs with the same log included.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its exit status, when it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// `kill -9`; returns when it is gone.
    pub fn kill(mut self) {
        self.child
            .kill()
            .expect("a child that was not waited for can be signalled");
        self.child.wait().expect("a child can be waited for");
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It may have ended by itself; that shows in its exit status.
        let _ = kill_process(pid.expect("a process id is positive"), Signal::TERM);
    }

    /// SIGTERM; returns how it ended.
    pub fn stop(mut self) -> ExitStatus {
        self.terminate();
        wait_for("the operator to end", LIMIT, || {
            self.ended().ok_or("it runs")
        })
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "--- the operator's log, {}\n{}---",
                self.log.display(),
                self.log()
            );
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// `ccctl` over one root.
#[derive(Clone, Debug)]
pub struct Ccctl {
    root: PathBuf,
    host: String,
}

impl Ccctl {
    /// For `root`; `host` is the engine for the verbs that look at one, given as `DOCKER_HOST`.
    pub fn new(root: &Path, host: &str) -> Self {
        Self {
            root: root.to_owned(),
            host: host.to_owned(),
        }
    }

    /// Runs `ccctl --root ROOT ARGUMENTS…`, whatever comes of it.
    #[track_caller]
    pub fn try_run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(program("ccctl"));
        command
            .arg("--root")
            .arg(&self.root)
            .args(arguments)
            .env("DOCKER_HOST", &self.host);
        Ran::of(command.env("NO_COLOR", "1"))
    }

    /// The same; its output, or a panic when it failed.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).ok()
    }
}
