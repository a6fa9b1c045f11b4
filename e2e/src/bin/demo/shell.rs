//! A shell whose commands and output are shown as they are.

use std::env;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use ci_warm_e2e::LIMIT;

/// What a user's environment may hold that would lead elsewhere than to this demo.
const UNWANTED: [&str; 13] = [
    "http_proxy",
    "HTTP_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "CI_WARM_LOG",
    "TAR_OPTIONS",
];

/// Where commands run: a directory and variables.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    directory: PathBuf,
    variables: Vec<(String, String)>,
    /// Begins and ends what a person is to see first.
    bold: (&'static str, &'static str),
}

impl Shell {
    pub(crate) fn new(directory: &Path) -> Self {
        let bold = if std::io::stdout().is_terminal() {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        // Without the user's configuration of docker, curl and git.
        let home = ("HOME".to_owned(), directory.display().to_string());
        Self {
            directory: directory.to_owned(),
            variables: vec![home],
            bold,
        }
    }

    /// Sets a variable without a word; a later value takes the place of an earlier one.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Programs of this directory come first.
    pub(crate) fn add_path(&mut self, directory: &Path) {
        let path = env::var("PATH").unwrap_or_default();
        self.set("PATH", &format!("{}:{path}", directory.display()));
    }

    /// A headline.
    pub(crate) fn title(&self, text: &str) {
        let (bold, plain) = self.bold;
        println!("\n{bold}=== {text} ==={plain}");
    }

    /// Shows a command as it would be typed.
    pub(crate) fn prompt(&self, line: &str) {
        let (bold, plain) = self.bold;
        println!("{bold}$ {line}{plain}");
        let _ = std::io::stdout().flush();
    }

    /// A command of bash, to be run here.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", line]);
        command
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        for name in UNWANTED {
            command.env_remove(name);
        }
        command
    }

    /// Runs a line, shows it and what it prints, and returns that. One that fails ends the demo.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> String {
        self.prompt(line);
        let output = self.quietly(line);
        print!("{output}");
        if !output.is_empty() && !output.ends_with('\n') {
            println!();
        }
        output
    }

    /// Runs a line that is not part of the story.
    #[track_caller]
    pub(crate) fn quietly(&self, line: &str) -> String {
        let ran = self.command(line).output();
        let ran = ran.unwrap_or_else(|error| panic!("cannot run bash: {error}"));
        let output = String::from_utf8_lossy(&ran.stdout).into_owned();
        let errors = String::from_utf8_lossy(&ran.stderr);
        eprint!("{errors}");
        assert!(
            ran.status.success(),
            "`{line}`: {}\n{output}{errors}",
            ran.status
        );
        output
    }

    /// Sets a variable for all that comes.
    pub(crate) fn export(&mut self, name: &str, value: &str) {
        self.prompt(&format!("export {name}={value}"));
        self.set(name, value);
    }

    /// Sets a variable to what a line prints, and returns it.
    #[track_caller]
    pub(crate) fn assign(&mut self, name: &str, line: &str) -> String {
        self.prompt(&format!("{name}=$({line})"));
        let value = self.quietly(line).trim_end().to_owned();
        self.set(name, &value);
        value
    }

    /// Runs a line that does not end by itself, and shows what it prints until `enough` says so of a line; then interrupts it.
    #[track_caller]
    pub(crate) fn watch(&self, line: &str, enough: impl Fn(&str) -> bool) {
        self.prompt(line);
        // Without bash in between, which would leave it running.
        let mut child = self
            .command(&format!("exec {line}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run bash: {error}"));
        let output = child.stdout.take().expect("its output was asked for");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let end = Instant::now() + LIMIT;
        let found = loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    println!("{line}");
                    if enough(&line) {
                        break true;
                    }
                }
                Err(_) => break false,
            }
        };
        let _ = child.kill();
        let _ = child.wait();
        assert!(found, "`{line}` never showed what was told");
        println!("^C");
    }
}

/// A remark, in lines that fit.
pub(crate) fn say(text: &str) {
    println!();
    let mut line = "#".to_owned();
    for word in text.split_whitespace() {
        if line.len() + word.len() > 99 {
            println!("{line}");
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    println!("{line}");
}
