//! Runs the `git` program: one call, a time limit, bounded output, and nothing of this machine's or user's git configuration.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::url::GitUrl;

/// Why a call of git gave no answer. None of these means "there is nothing there".
#[derive(Debug, Error)]
pub enum GitError {
    /// The program could not be started.
    #[error("cannot start `{program}`: {source}; the operator needs git 2.30 or newer in its PATH")]
    Start {
        /// The program's name or path.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its output could not be read or its input not written.
    #[error("git {what}: lost contact with the process: {source}")]
    Pipe {
        /// Which call.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// It took too long and was killed.
    #[error("git {what} took longer than {} s and was stopped", limit.as_secs())]
    TimedOut {
        /// Which call.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// It wrote more than was asked for and was killed.
    #[error("git {what} wrote more than {limit_bytes} bytes and was stopped")]
    TooMuch {
        /// Which call.
        what: &'static str,
        /// The limit.
        limit_bytes: usize,
    },
    /// It ran and reported a failure.
    #[error("git {what} failed ({status}): {said}")]
    Failed {
        /// Which call.
        what: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error, at most a few KiB.
        said: String,
    },
    /// It answered in a way that this code does not understand.
    #[error("git {what} gave an answer that makes no sense: {detail}")]
    Nonsense {
        /// Which call.
        what: &'static str,
        /// What was seen.
        detail: String,
    },
}

impl GitError {
    /// Takes the user and password out of what git said.
    pub(super) fn redacted(self, url: &GitUrl) -> Self {
        match self {
            Self::Failed { what, status, said } => Self::Failed {
                what,
                status,
                said: url.redact(&said),
            },
            other => other,
        }
    }
}

/// What happens when a call writes more than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    /// The call fails.
    Refuse,
    /// The first bytes are enough; the process is stopped.
    Cut,
}

/// One call of git, to be built and run.
pub(super) struct Call<'a> {
    what: &'static str,
    args: Vec<OsString>,
    stdin: Option<&'a [u8]>,
    time_limit: Duration,
    limit_bytes: usize,
    overflow: Overflow,
}

/// A call on a local repository is short; more means that the disk hangs.
const LOCAL_LIMIT: Duration = Duration::from_mins(1);
const STDERR_LIMIT_BYTES: usize = 4096;

impl<'a> Call<'a> {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            args: Vec::new(),
            stdin: None,
            time_limit: LOCAL_LIMIT,
            limit_bytes: 16 << 20,
            overflow: Overflow::Refuse,
        }
    }

    pub(super) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(super) fn stdin(mut self, bytes: &'a [u8]) -> Self {
        self.stdin = Some(bytes);
        self
    }

    pub(super) fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    pub(super) fn limit_bytes(mut self, limit: usize, overflow: Overflow) -> Self {
        self.limit_bytes = limit;
        self.overflow = overflow;
        self
    }
}

/// The git program on one bare repository.
#[derive(Debug, Clone)]
pub(super) struct Git {
    program: OsString,
    dir: PathBuf,
    config: Option<PathBuf>,
}

impl Git {
    pub(super) fn on(dir: &Path) -> Self {
        Self {
            program: "git".into(),
            dir: dir.to_owned(),
            config: None,
        }
    }

    /// Reads this file in place of the user's configuration.
    pub(super) fn with_config(mut self, file: PathBuf) -> Self {
        self.config = Some(file);
        self
    }

    #[cfg(test)]
    fn program(mut self, program: &str) -> Self {
        self.program = program.into();
        self
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs the call and returns what it wrote to standard output.
    pub(super) async fn run(&self, call: Call<'_>) -> Result<Vec<u8>, GitError> {
        let (what, limit) = (call.what, call.time_limit);
        // The group is killed when this future is dropped, in time or not: a fetch has children of its own.
        match tokio::time::timeout(limit, self.run_unlimited(call)).await {
            Ok(result) => result,
            Err(_) => Err(GitError::TimedOut { what, limit }),
        }
    }

    async fn run_unlimited(&self, call: Call<'_>) -> Result<Vec<u8>, GitError> {
        let what = call.what;
        let pipe = |source| GitError::Pipe { what, source };
        let mut group = Group(self.start(&call)?);
        let (stdin, stdout, stderr) = (
            group.0.stdin.take(),
            group.0.stdout.take(),
            group.0.stderr.take(),
        );
        let feed = async {
            if let (Some(mut stdin), Some(bytes)) = (stdin, call.stdin) {
                // A process that has stopped reading says why on standard error.
                let _ = stdin.write_all(bytes).await;
                let _ = stdin.shutdown().await;
            }
        };
        let errors = async { read_and_drain(stderr, STDERR_LIMIT_BYTES).await };
        let answer = async {
            let mut bytes = Vec::new();
            if let Some(stdout) = stdout {
                stdout
                    .take(call.limit_bytes as u64 + 1)
                    .read_to_end(&mut bytes)
                    .await?;
            }
            Ok(bytes)
        };
        // The answer ends the wait: when it is cut short the process is still writing.
        let io = async { tokio::join!(feed, answer) };
        let (said, ((), answer)) = {
            tokio::pin!(errors);
            tokio::pin!(io);
            tokio::select! {
                done = &mut io => {
                    let full = matches!(&done.1, Ok(bytes) if bytes.len() > call.limit_bytes);
                    if full { (String::new(), done) } else { (errors.await, done) }
                }
                said = &mut errors => (said, io.await),
            }
        };
        let mut bytes = answer.map_err(pipe)?;
        if bytes.len() > call.limit_bytes {
            return match call.overflow {
                Overflow::Refuse => Err(GitError::TooMuch {
                    what,
                    limit_bytes: call.limit_bytes,
                }),
                Overflow::Cut => {
                    bytes.truncate(call.limit_bytes);
                    Ok(bytes)
                }
            };
        }
        let status = group.0.wait().await.map_err(pipe)?;
        if status.success() {
            Ok(bytes)
        } else {
            Err(GitError::Failed { what, status, said })
        }
    }

    fn start(&self, call: &Call<'_>) -> Result<Child, GitError> {
        let mut command = Command::new(&self.program);
        command.arg("--git-dir").arg(&self.dir);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(&call.args);
        command.env_clear();
        command.envs(
            KEPT_VARIABLES
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.envs(SET_VARIABLES);
        command.env(
            "GIT_CONFIG_GLOBAL",
            self.config.as_deref().unwrap_or(Path::new("/dev/null")),
        );
        command
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true)
            .stdin(if call.stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().map_err(|source| GitError::Start {
            program: self.program.to_string_lossy().into_owned(),
            source,
        })
    }
}

/// A repository is data: nothing in it runs, and nothing is tidied up behind our back.
const SETTINGS: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "credential.helper=",
    // Blobs above this are streamed, not held in memory.
    "core.bigFileThreshold=1m",
    // A server that sends less than a kilobyte per second for half a minute is down.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
];

/// What git needs of our environment: programs, proxies, certificates and the ssh agent.
const KEPT_VARIABLES: [&str; 17] = [
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "NIX_SSL_CERT_FILE",
];

const SET_VARIABLES: [(&str, &str); 10] = [
    ("LC_ALL", "C"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "true"),
    ("SSH_ASKPASS_REQUIRE", "never"),
    ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=20"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
];

/// A running git and everything that it started.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // `id` is none once the process was waited for; the group's number is not ours any more then.
        let pid = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Keeps the first bytes and reads on to the end, so that the writer never blocks.
async fn read_and_drain(stream: Option<impl AsyncRead + Unpin>, limit_bytes: usize) -> String {
    let Some(mut stream) = stream else {
        return String::new();
    };
    let mut kept = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(count) = stream.read(&mut chunk).await {
        if count == 0 {
            break;
        }
        let room = limit_bytes.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&chunk[..room]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program in git's place.
    fn script(body: &str) -> (tempfile::TempDir, Git) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("git");
        std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        let git = Git::on(dir.path()).program(file.to_str().unwrap());
        (dir, git)
    }

    #[tokio::test]
    async fn a_call_that_hangs_should_be_stopped_with_all_it_started() {
        let (dir, git) = script(
            "sleep 1000 & echo $! > \"$2/child\"; mkfifo \"$2/p\"; echo up > \"$2/up\"; cat \"$2/p\"",
        );
        let call = Call::new("fetch").time_limit(Duration::from_millis(500));
        let error = git.run(call).await.err().unwrap();
        assert!(matches!(error, GitError::TimedOut { .. }), "{error}");
        let Ok(child) = std::fs::read_to_string(dir.path().join("child")) else {
            return;
        };
        let state = PathBuf::from(format!("/proc/{}/stat", child.trim()));
        while std::fs::read_to_string(&state).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn endless_output_should_be_refused_or_cut() {
        let (_dir, git) = script("exec yes");
        let error = git
            .run(Call::new("show").limit_bytes(1000, Overflow::Refuse))
            .await
            .err()
            .unwrap();
        assert!(
            matches!(
                error,
                GitError::TooMuch {
                    limit_bytes: 1000,
                    ..
                }
            ),
            "{error}"
        );
        let output = git
            .run(Call::new("show").limit_bytes(1000, Overflow::Cut))
            .await
            .unwrap();
        assert_eq!(output.len(), 1000);
    }

    #[tokio::test]
    async fn endless_complaints_should_be_drained() {
        let (_dir, git) = script("head -c 10000000 /dev/zero >&2; exit 3");
        let error = git.run(Call::new("show")).await.err().unwrap();
        let GitError::Failed { said, .. } = error else {
            panic!("{error}")
        };
        assert!(said.len() <= STDERR_LIMIT_BYTES);
    }

    #[tokio::test]
    async fn input_should_be_fed_while_output_is_read() {
        let (_dir, git) = script("exec cat");
        let input = vec![b'x'; 3 << 20];
        let output = git.run(Call::new("cat").stdin(&input)).await.unwrap();
        assert_eq!(output.len(), input.len());
    }

    #[tokio::test]
    async fn a_password_that_git_repeats_should_be_taken_out() {
        let (_dir, git) =
            script("echo \"unable to access 'https://bot:hunter2@example.org/x'\" >&2; exit 128");
        let error = git.run(Call::new("fetch")).await.err().unwrap();
        let error = error.redacted(&"https://bot:hunter2@example.org/x".parse().unwrap());
        let error = error.to_string();
        assert!(error.contains("'https://example.org/x'"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_program_should_be_named() {
        let git = Git::on(Path::new("/")).program("/nonexistent/git");
        let error = git.run(Call::new("show")).await.err().unwrap().to_string();
        assert!(error.contains("/nonexistent/git"), "{error}");
    }

    #[tokio::test]
    async fn no_configuration_of_this_machine_should_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::on(dir.path());
        git.run(Call::new("init").args(["init", "--quiet", "--bare", "--template="]))
            .await
            .unwrap();
        let list = git
            .run(Call::new("config").args(["config", "--list", "--show-scope"]))
            .await
            .unwrap();
        let list = String::from_utf8(list).unwrap();
        assert!(
            list.lines()
                .all(|line| line.starts_with("local") || line.starts_with("command")),
            "{list}"
        );
    }
}
