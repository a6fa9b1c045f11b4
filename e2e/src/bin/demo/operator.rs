//! The operator in the background of the shell.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;

use ci_warm_e2e::{LIMIT, wait_for};
use rustix::process::{Pid, Signal, kill_process};

use crate::shell::Shell;

const LOG: &str = "operator.log";

/// A running operator. It ends with the demo, whose failure shows what it logged.
#[derive(Debug)]
pub(crate) struct Operator {
    shell: Shell,
    child: Child,
    log: PathBuf,
}

impl Operator {
    /// Starts it with the shell's variables and waits until it has made its root.
    pub(crate) fn start(shell: &Shell, root: &Path) -> Self {
        let line = format!("ci-warm-operator 2> {LOG}");
        shell.prompt(&format!("{line} &"));
        let child = shell.command(&format!("exec {line}")).spawn();
        let operator = Self {
            shell: shell.clone(),
            child: child.unwrap_or_else(|error| panic!("cannot run bash: {error}")),
            log: root.with_file_name(LOG),
        };
        wait_for("the operator's first look", LIMIT, || {
            let log = operator.log();
            if log.contains("the first list is complete") {
                Ok(())
            } else {
                Err(log)
            }
        });
        operator
    }

    /// Stops it as a service manager does.
    pub(crate) fn stop(mut self) {
        self.shell.prompt("kill %1");
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id is positive"), Signal::TERM)
            .expect("it was not waited for yet");
        let status = wait_for("the operator to end", LIMIT, || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            ended.ok_or("it runs")
        });
        assert!(status.success(), "the operator ended with {status}");
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the operator's log\n{}---", self.log());
        }
        // It has ended already where nothing went wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
