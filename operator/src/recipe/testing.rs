//! Real repositories for tests, made by the git program.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A directory with a recipe's repository (`origin`) and a store (`root`).
pub(super) struct Host {
    dir: TempDir,
}

impl Host {
    pub(super) fn new() -> Self {
        let host = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir_all(host.origin()).unwrap();
        host.git(["init", "--quiet", "--initial-branch=main"]);
        host
    }

    pub(super) fn origin(&self) -> PathBuf {
        self.dir.path().join("origin")
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(super) fn url(&self) -> String {
        self.origin().to_str().unwrap().to_owned()
    }

    /// Runs git in the origin; the user's configuration plays no part.
    pub(super) fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let output = Command::new("git")
            .current_dir(self.origin())
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([
                ("GIT_AUTHOR_NAME", "a"),
                ("GIT_AUTHOR_EMAIL", "a@example.org"),
            ])
            .envs([
                ("GIT_COMMITTER_NAME", "a"),
                ("GIT_COMMITTER_EMAIL", "a@example.org"),
            ])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(super) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let file = self.origin().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }

    /// Commits everything; gives the commit's id.
    pub(super) fn commit(&self, message: &str) -> String {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(["rev-parse", "HEAD"])
    }

    /// A commit of its own with an annotated tag, as recipes publish versions.
    pub(super) fn publish(&self, tag: &str) -> String {
        let commit = self.commit(&format!("chore: publish {tag} release"));
        self.git(["tag", "--annotate", "-m", tag, tag]);
        commit
    }

    /// Takes the remote away, as when its host is down.
    pub(super) fn hide(&self) {
        std::fs::rename(self.origin(), self.dir.path().join("hidden")).unwrap();
    }

    pub(super) fn show(&self) {
        std::fs::rename(self.dir.path().join("hidden"), self.origin()).unwrap();
    }
}

/// Every file below a directory, with its bytes.
pub(super) fn snapshot(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(snapshot(&entry.path()));
        } else {
            found.push((entry.path(), std::fs::read(entry.path()).unwrap()));
        }
    }
    found.sort();
    found
}

/// Serves a directory's files over HTTP until it is dropped; git calls that the dumb protocol.
pub(super) fn serve(dir: PathBuf, listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (read, mut write) = stream.split();
            let mut lines = BufReader::new(read).lines();
            let mut path = None;
            while let Ok(Some(line)) = lines.next_line().await {
                let asked = line
                    .strip_prefix("GET /")
                    .and_then(|rest| rest.split([' ', '?']).next());
                path = path.or(asked.map(|asked| dir.join(asked)));
                if line.is_empty() {
                    break;
                }
            }
            let body = path.and_then(|path| std::fs::read(path).ok());
            let status = if body.is_some() {
                "200 OK"
            } else {
                "404 Not Found"
            };
            let body = body.unwrap_or_default();
            let head = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = write.write_all(head.as_bytes()).await;
            let _ = write.write_all(&body).await;
        }
    })
}
