//! Running programs.

use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The program and its arguments, for messages.
    pub line: String,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
}

impl Ran {
    /// Runs `command` to its end.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::with_input(command, Vec::new())
    }

    /// The same, with `input` on its standard input.
    #[track_caller]
    pub(crate) fn with_input(command: &mut Command, input: Vec<u8>) -> Self {
        let line = line(command);
        let spawned = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        let stdin = child.stdin.take();
        // A thread of its own, as the program may write before it has read everything. One that
        // does not want its input ends early, and says why by itself.
        let feeding = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
        let output = child
            .wait_with_output()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let _ = feeding.join();
        Self {
            line,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    /// Whether it ended with 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Its standard output, without the line break at its end. Panics unless it ended with 0.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.succeeded(), "{self}");
        self.stdout.trim_end().to_owned()
    }
}

impl Display for Ran {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let code = self
            .code
            .map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
        write!(
            f,
            "`{}` ended {code}\n{}{}",
            self.line, self.stdout, self.stderr
        )
    }
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
