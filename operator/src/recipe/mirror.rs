//! A bare mirror of one recipe's repository, kept as a cache.
//!
//! # Guarantees
//! - A mirror is built beside its place and renamed into it, so a mirror that exists is whole.
//! - A remote that is down, or that answers with no tags where the mirror has some, changes nothing: the mirror is used on,
//!   and [`Freshness::Stale`] says since when and why. It never reads as "there are no versions".
//! - A damaged mirror is replaced by a new one at the next refresh that reaches the remote.
//! - A refresh that finds nothing new writes nothing but, once an hour, the time.
//!
//! # Caveats
//! Objects that lost their tag stay until the mirror is rebuilt. One refresh at a time per mirror, across processes, by a lock
//! file beside it; reading takes no lock.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use super::git::{Call, Git, GitError};
use super::tags::{self, CommitId, Versions};
use super::tree::{Tree, TreeError};
use super::url::GitUrl;

/// How much the mirror's tags can be trusted to be the remote's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// The remote was asked at that time, and the mirror is what it said.
    Fresh {
        /// When it was asked.
        at: Timestamp,
    },
    /// The remote could not be asked; the mirror is from before.
    Stale {
        /// When the remote was last asked with success, to the hour; none when that is not known.
        since: Option<Timestamp>,
        /// Why it could not be asked now, for people.
        why: String,
    },
}

/// A tag that now names another commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTag {
    /// The tag's name; what is not UTF-8 is replaced.
    pub tag: String,
    /// What it named before.
    pub from: CommitId,
    /// What it names now.
    pub to: CommitId,
}

/// What a refresh found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// Whether the remote was asked.
    pub freshness: Freshness,
    /// Tags that were in the mirror before and name another commit now. A recipe that rewrites its releases deserves a warning.
    pub moved: Vec<MovedTag>,
    /// Tags that were in the mirror before and are not on the remote any more.
    pub gone: Vec<String>,
}

/// Why a mirror gives no answer.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// Nothing was ever fetched, and nothing can be now.
    #[error("cannot reach {url}, and there is no usable mirror of it yet: {source}")]
    Unreachable {
        /// The address.
        url: GitUrl,
        /// What git said.
        source: GitError,
    },
    /// It was read before it was refreshed.
    #[error("there is no mirror of {url} yet; it is made by the first refresh")]
    Missing {
        /// The address.
        url: GitUrl,
    },
    /// The mirror cannot be read; it is rebuilt by the next refresh that reaches the remote.
    #[error("the mirror of {url} in {} cannot be read: {source}; it is rebuilt when {url} can next be reached", dir.display())]
    Unreadable {
        /// The address.
        url: GitUrl,
        /// Where the mirror is.
        dir: PathBuf,
        /// What git said.
        source: GitError,
    },
    /// A file or directory of the cache cannot be written or read.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither a tag, a branch nor a commit.
    #[error("`{name}` is neither a tag, a branch nor a commit of {url}")]
    NoSuchRef {
        /// The address.
        url: GitUrl,
        /// The name that was asked for.
        name: String,
    },
    /// The commit's files cannot be listed.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

const REACH_LIMIT: Duration = Duration::from_secs(60);
const FETCH_LIMIT: Duration = Duration::from_secs(600);
/// The time of the last success is written at most this often while nothing changes.
const FRESH_WRITE_EVERY: SignedDuration = SignedDuration::from_hours(1);
const FRESH_FILE: &str = "ci-warm-fresh";
const REFSPECS: [&str; 2] = ["+refs/tags/*:refs/tags/*", "+refs/heads/*:refs/heads/*"];

/// The cache of one recipe's repository under `<root>/recipes/<name>-<hash of the address>.git`.
#[derive(Debug)]
pub struct Mirror {
    url: GitUrl,
    dir: PathBuf,
    git: Git,
    health: Health,
}

/// What is known about the mirror's objects; shared with the trees that are read from it.
#[derive(Debug, Clone)]
pub(super) struct Health(Arc<AtomicU8>);

const UNCHECKED: u8 = 0;
const CHECKED: u8 = 1;
const DAMAGED: u8 = 2;

impl Health {
    fn new() -> Self {
        Self(Arc::new(AtomicU8::new(UNCHECKED)))
    }

    pub(super) fn mark_damaged(&self) {
        self.0.store(DAMAGED, Ordering::Relaxed);
    }
}

/// Every ref's name and the object it names.
type Refs = BTreeMap<Vec<u8>, String>;

struct Remote {
    refs: Refs,
    default_branch: Option<String>,
}

impl Mirror {
    /// The mirror of that address in the store at `root`. Touches nothing yet.
    pub fn new(root: &Path, url: GitUrl) -> Self {
        let hash = blake3::hash(url.raw().as_bytes()).to_hex();
        let dir = root
            .join("recipes")
            .join(format!("{}-{}.git", url.short_name(), &hash[..16]));
        let git = Git::on(&dir).with_config(beside(&dir, "gitconfig"));
        Self {
            url,
            dir,
            git,
            health: Health::new(),
        }
    }

    /// The address.
    pub fn url(&self) -> &GitUrl {
        &self.url
    }

    /// Where the mirror is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Brings the mirror to what the remote has; builds it when there is none, rebuilds it when it is damaged.
    pub async fn refresh(&self, now: Timestamp) -> Result<Refreshed, MirrorError> {
        let _lock = self.lock().await?;
        let before = self.usable().await?;
        let remote = match self.ask_remote().await {
            Ok(remote) => remote,
            Err(source) if before.is_some() => return Ok(self.stale(self.said(&source))),
            Err(source) => {
                return Err(MirrorError::Unreachable {
                    url: self.url.clone(),
                    source,
                });
            }
        };
        let Some(before) = before else {
            self.build(&remote).await?;
            self.note_fresh(now)?;
            return Ok(Refreshed {
                freshness: Freshness::Fresh { at: now },
                moved: Vec::new(),
                gone: Vec::new(),
            });
        };
        if count_tags(&remote.refs) == 0 && count_tags(&before) > 0 {
            let kept = count_tags(&before);
            return Ok(self.stale(format!(
                "{} lists no tags at all; the {kept} known ones are kept",
                self.url
            )));
        }
        let damaged = self.health.0.load(Ordering::Relaxed) == DAMAGED;
        if before == remote.refs && !damaged {
            self.point_head(&self.git, &remote).await?;
            if self
                .last_fresh()
                .is_none_or(|last| now.duration_since(last).abs() >= FRESH_WRITE_EVERY)
            {
                self.note_fresh(now)?;
            }
            return Ok(Refreshed {
                freshness: Freshness::Fresh { at: now },
                moved: Vec::new(),
                gone: Vec::new(),
            });
        }
        // The commits are read before the fetch: afterwards only the new ones have names.
        let old = tags::commits(&self.git).await.unwrap_or_default();
        if let Err(stale) = self.update(&remote, damaged).await {
            return Ok(stale);
        }
        self.note_fresh(now)?;
        let new = tags::commits(&self.git)
            .await
            .map_err(|source| self.unreadable(source))?;
        let (moved, gone) = compare(&old, &new, &remote.refs);
        Ok(Refreshed {
            freshness: Freshness::Fresh { at: now },
            moved,
            gone,
        })
    }

    /// Every tag that is a version, ascending, and what was skipped.
    pub async fn versions(&self) -> Result<Versions, MirrorError> {
        self.must_exist()?;
        tags::versions(&self.git)
            .await
            .map_err(|source| self.unreadable(source))
    }

    /// The commit that a tag, a branch, a full commit id or a full ref name (`refs/pull/7/head`) stands for. What the mirror does
    /// not have is asked of the remote once.
    pub async fn resolve(&self, name: &str) -> Result<CommitId, MirrorError> {
        self.must_exist()?;
        let none = || MirrorError::NoSuchRef {
            url: self.url.clone(),
            name: name.chars().take(200).collect(),
        };
        if !tags::is_plain_name(name) {
            return Err(none());
        }
        let asked = format!(
            "refs/ci-warm/asked/{}",
            &blake3::hash(name.as_bytes()).to_hex()[..16]
        );
        let known = if CommitId::parse(name).is_some() {
            vec![name.to_owned()]
        } else if name.starts_with("refs/") {
            vec![name.to_owned()]
        } else {
            vec![format!("refs/tags/{name}"), format!("refs/heads/{name}")]
        };
        for candidate in &known {
            if let Some(commit) = tags::commit_of(&self.git, candidate)
                .await
                .map_err(|e| self.unreadable(e))?
            {
                return Ok(commit);
            }
        }
        let [only] = known.as_slice() else {
            return Err(none());
        };
        let _lock = self.lock().await?;
        let fetched = self.git.run(self.fetch([format!("+{only}:{asked}")])).await;
        match fetched {
            Ok(_) => {}
            Err(GitError::Failed { said, .. })
                if said.contains("couldn't find remote ref") || said.contains("not our ref") =>
            {
                return Err(none());
            }
            Err(source) => {
                return Err(MirrorError::Unreachable {
                    url: self.url.clone(),
                    source,
                });
            }
        }
        let commit = tags::commit_of(&self.git, &asked)
            .await
            .map_err(|e| self.unreadable(e))?;
        commit.ok_or_else(none)
    }

    /// The newest commit of the remote's default branch; none when the repository is empty.
    pub async fn default_branch(&self) -> Result<Option<CommitId>, MirrorError> {
        self.must_exist()?;
        tags::commit_of(&self.git, "HEAD")
            .await
            .map_err(|source| self.unreadable(source))
    }

    /// The files of a commit.
    pub async fn tree(&self, commit: &CommitId) -> Result<Tree, MirrorError> {
        self.must_exist()?;
        Ok(Tree::at(self.git.clone(), self.health.clone(), commit).await?)
    }

    /// The refs of a mirror that can be used; none when there is no mirror or it is damaged beyond listing.
    async fn usable(&self) -> Result<Option<Refs>, MirrorError> {
        match std::fs::symlink_metadata(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io("look at", &self.dir, source)),
            Ok(_) => {}
        }
        if self.health.0.load(Ordering::Relaxed) == UNCHECKED {
            let check = Call::new("fsck").args([
                "fsck",
                "--connectivity-only",
                "--no-dangling",
                "--no-progress",
            ]);
            match self.git.run(check.time_limit(FETCH_LIMIT)).await {
                Ok(_) => self.health.0.store(CHECKED, Ordering::Relaxed),
                Err(GitError::Failed { said, .. }) => {
                    tracing::warn!(url = %self.url, %said, "the mirror is damaged and will be rebuilt");
                    self.health.mark_damaged();
                }
                Err(source) => return Err(self.unreadable(source)),
            }
        }
        let list = Call::new("for-each-ref").args([
            "for-each-ref",
            "--format=%(objectname)\t%(refname)",
            "refs/tags",
            "refs/heads",
        ]);
        match self.git.run(list).await {
            Ok(output) => Ok(Some(parse_refs(&output.bytes).refs)),
            Err(GitError::Failed { .. }) => {
                self.health.mark_damaged();
                Ok(None)
            }
            Err(source) => Err(self.unreadable(source)),
        }
    }

    async fn ask_remote(&self) -> Result<Remote, GitError> {
        self.write_config().map_err(|source| GitError::Pipe {
            what: "ls-remote",
            source,
        })?;
        let call = Call::new("ls-remote")
            .args([
                "ls-remote",
                "--quiet",
                "--symref",
                "--",
                self.url.raw(),
                "HEAD",
                "refs/tags/*",
                "refs/heads/*",
            ])
            .time_limit(REACH_LIMIT);
        // An address needs no repository, and a damaged one must not get in the way.
        let git = Git::on(Path::new("/dev/null")).with_config(beside(&self.dir, "gitconfig"));
        Ok(parse_refs(&git.run(call).await?.bytes))
    }

    /// Fetches into the mirror, or into a new one when that fails or the old one is damaged.
    async fn update(&self, remote: &Remote, damaged: bool) -> Result<(), Refreshed> {
        if !damaged {
            match self.git.run(self.fetch(REFSPECS.map(str::to_owned))).await {
                Ok(_) => {
                    return match self.point_head(&self.git, remote).await {
                        Ok(()) => Ok(()),
                        Err(error) => Err(self.stale(error.to_string())),
                    };
                }
                Err(error) => {
                    tracing::warn!(url = %self.url, error = %self.said(&error), "cannot fetch into the mirror; trying a new one");
                }
            }
        }
        self.build(remote)
            .await
            .map_err(|error| self.stale(self.url.redact(&error.to_string())))
    }

    fn fetch(&self, refspecs: impl IntoIterator<Item = String>) -> Call<'static> {
        Call::new("fetch")
            .args([
                "fetch",
                "--quiet",
                "--force",
                "--prune",
                "--no-tags",
                "--no-recurse-submodules",
            ])
            .args([
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--",
                self.url.raw(),
            ])
            .args(refspecs)
            .time_limit(FETCH_LIMIT)
    }

    /// Builds a mirror beside its place, then puts it there.
    async fn build(&self, remote: &Remote) -> Result<(), MirrorError> {
        self.sweep()?;
        let new = beside(&self.dir, "new");
        let git = Git::on(&new).with_config(beside(&self.dir, "gitconfig"));
        let built = async {
            git.run(Call::new("init").args(["init", "--quiet", "--bare", "--template="]))
                .await?;
            git.run(self.fetch(REFSPECS.map(str::to_owned))).await
        };
        if let Err(source) = built.await {
            let _ = std::fs::remove_dir_all(&new);
            return Err(MirrorError::Unreachable {
                url: self.url.clone(),
                source,
            });
        }
        self.point_head(&git, remote).await?;
        let old = beside(&self.dir, "old");
        match std::fs::rename(&self.dir, &old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.io("set aside", &self.dir, error));
            }
            _ => {}
        }
        std::fs::rename(&new, &self.dir)
            .map_err(|source| self.io("put in place", &self.dir, source))?;
        self.health.0.store(CHECKED, Ordering::Relaxed);
        self.sweep()
    }

    /// Removes what an interrupted build left.
    fn sweep(&self) -> Result<(), MirrorError> {
        for path in [beside(&self.dir, "new"), beside(&self.dir, "old")] {
            let removed = match std::fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => std::fs::remove_dir_all(&path),
                Ok(_) => std::fs::remove_file(&path),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.io("remove", &path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn point_head(&self, git: &Git, remote: &Remote) -> Result<(), MirrorError> {
        let Some(branch) = remote.default_branch.as_deref() else {
            return Ok(());
        };
        let head = std::fs::read_to_string(git.dir().join("HEAD")).unwrap_or_default();
        if head.trim() == format!("ref: {branch}") {
            return Ok(());
        }
        let call = Call::new("symbolic-ref").args(["symbolic-ref", "HEAD", branch]);
        git.run(call)
            .await
            .map(|_| ())
            .map_err(|source| self.unreadable(source))
    }

    /// Git refuses a local repository that another user owns unless it is named as safe; the manifest names it.
    fn write_config(&self) -> io::Result<()> {
        let safe = |path: &Path| {
            let path = path
                .to_string_lossy()
                .replace('\\', "\\\\")
                .replace('"', "\\\"");
            format!("\tdirectory = \"{path}\"\n")
        };
        let text = match self.url.local_path() {
            Some(path) => format!("[safe]\n{}{}", safe(&path), safe(&path.join(".git"))),
            None => String::new(),
        };
        let file = beside(&self.dir, "gitconfig");
        if std::fs::read_to_string(&file).is_ok_and(|old| old == text) {
            return Ok(());
        }
        std::fs::write(file, text)
    }

    async fn lock(&self) -> Result<std::fs::File, MirrorError> {
        let recipes = self.dir.parent().unwrap_or(&self.dir);
        std::fs::create_dir_all(recipes).map_err(|source| self.io("make", recipes, source))?;
        let path = beside(&self.dir, "lock");
        let open = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = open.map_err(|source| self.io("open", &path, source))?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        locked
            .map_err(io::Error::other)
            .and_then(|file| file)
            .map_err(|source| self.io("lock", &path, source))
    }

    fn last_fresh(&self) -> Option<Timestamp> {
        std::fs::read_to_string(self.dir.join(FRESH_FILE))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    fn note_fresh(&self, now: Timestamp) -> Result<(), MirrorError> {
        let path = self.dir.join(FRESH_FILE);
        std::fs::write(&path, format!("{now}\n")).map_err(|source| self.io("write", &path, source))
    }

    fn stale(&self, why: String) -> Refreshed {
        let freshness = Freshness::Stale {
            since: self.last_fresh(),
            why,
        };
        Refreshed {
            freshness,
            moved: Vec::new(),
            gone: Vec::new(),
        }
    }

    fn must_exist(&self) -> Result<(), MirrorError> {
        match std::fs::metadata(&self.dir) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(MirrorError::Missing {
                url: self.url.clone(),
            }),
            Err(source) => Err(self.io("look at", &self.dir, source)),
        }
    }

    fn said(&self, error: &GitError) -> String {
        self.url.redact(&error.to_string())
    }

    fn unreadable(&self, source: GitError) -> MirrorError {
        if matches!(source, GitError::Failed { .. } | GitError::Nonsense { .. }) {
            self.health.mark_damaged();
        }
        MirrorError::Unreadable {
            url: self.url.clone(),
            dir: self.dir.clone(),
            source,
        }
    }

    #[allow(clippy::unused_self)]
    fn io(&self, doing: &'static str, path: &Path, source: io::Error) -> MirrorError {
        MirrorError::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

/// `<mirror>.<what>`, in the same directory.
fn beside(dir: &Path, what: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

fn count_tags(refs: &Refs) -> usize {
    refs.keys()
        .filter(|name| name.starts_with(b"refs/tags/"))
        .count()
}

/// Reads `<object>\t<ref>` lines, as for-each-ref and ls-remote write them.
fn parse_refs(output: &[u8]) -> Remote {
    let mut remote = Remote {
        refs: Refs::new(),
        default_branch: None,
    };
    for line in output.split(|byte| *byte == b'\n') {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else {
            continue;
        };
        let (object, name) = (&line[..tab], &line[tab + 1..]);
        if name == b"HEAD" {
            if let Some(branch) = object.strip_prefix(b"ref: refs/heads/") {
                let branch = String::from_utf8_lossy(branch);
                remote.default_branch =
                    tags::is_plain_name(&branch).then(|| format!("refs/heads/{branch}"));
            }
        } else if !name.ends_with(b"^{}") {
            remote.refs.insert(
                name.to_owned(),
                String::from_utf8_lossy(object).into_owned(),
            );
        }
    }
    remote
}

type TagCommits = BTreeMap<Vec<u8>, CommitId>;

fn compare(old: &TagCommits, new: &TagCommits, remote: &Refs) -> (Vec<MovedTag>, Vec<String>) {
    let shown = |tag: &[u8]| String::from_utf8_lossy(tag).into_owned();
    let (mut moved, mut gone) = (Vec::new(), Vec::new());
    for (tag, from) in old {
        match new.get(tag) {
            Some(to) if to != from => moved.push(MovedTag {
                tag: shown(tag),
                from: from.clone(),
                to: to.clone(),
            }),
            None if !remote.contains_key(&[b"refs/tags/", tag.as_slice()].concat()) => {
                gone.push(shown(tag))
            }
            _ => {}
        }
    }
    (moved, gone)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
