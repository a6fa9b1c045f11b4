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

mod error;
mod place;
mod refs;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use jiff::Timestamp;

pub use self::error::MirrorError;
use self::place::{Place, Presence};
use self::refs::{Refs, Remote, compare, count_tags, parse_refs};
use super::git::{Call, Git, GitError};
use super::tags::{self, CommitId, Versions};
use super::tree::Tree;
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

const REACH_LIMIT: Duration = Duration::from_mins(1);
const FETCH_LIMIT: Duration = Duration::from_mins(10);
const REFSPECS: [&str; 2] = ["+refs/tags/*:refs/tags/*", "+refs/heads/*:refs/heads/*"];

/// The cache of one recipe's repository under `<root>/recipes/<name>-<hash of the address>.git`.
#[derive(Debug)]
pub struct Mirror {
    url: GitUrl,
    place: Place,
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

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn mark_checked(&self) {
        self.0.store(CHECKED, Ordering::Relaxed);
    }

    pub(super) fn mark_damaged(&self) {
        self.0.store(DAMAGED, Ordering::Relaxed);
    }
}

impl Mirror {
    /// The mirror of that address in the store at `root`. Touches nothing yet.
    pub fn new(root: &Path, url: GitUrl) -> Self {
        let hash = blake3::hash(url.raw().as_bytes()).to_hex();
        let dir = root
            .join("recipes")
            .join(format!("{}-{}.git", url.short_name(), &hash[..16]));
        let place = Place::new(dir);
        let git = Git::on(place.dir()).with_config(place.config_file());
        Self {
            url,
            place,
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
        self.place.dir()
    }

    /// Brings the mirror to what the remote has; builds it when there is none, rebuilds it when it is damaged.
    pub async fn refresh(&self, now: Timestamp) -> Result<Refreshed, MirrorError> {
        let _lock = self.place.lock().await?;
        let before = self.usable().await?;
        let remote = match (self.ask_remote().await, &before) {
            (Ok(remote), _) => remote,
            (Err(error), Some(_)) => return Ok(self.stale(error.to_string())),
            (Err(source), None) => return Err(self.unreachable(source)),
        };
        let Some(before) = before else {
            self.build(&remote).await?;
            self.place.note_fresh(now);
            return Ok(fresh(now));
        };
        let kept = count_tags(&before);
        if kept > 0 && count_tags(&remote.refs) == 0 {
            return Ok(self.stale(format!(
                "{} lists no tags at all; the {kept} known ones are kept",
                self.url
            )));
        }
        if before == remote.refs && self.health.get() != DAMAGED {
            self.point_head(&self.git, &remote).await?;
            self.place.note_still_fresh(now);
            return Ok(fresh(now));
        }
        // The old commits are read before the fetch; afterwards only the new ones have names.
        let old = match tags::commits(&self.git).await {
            Ok(commits) => commits,
            Err(error) => {
                tracing::warn!(url = %self.url, %error, "moved tags cannot be told, the mirror is damaged");
                self.health.mark_damaged();
                refs::TagCommits::new()
            }
        };
        if let Err(error) = self.update(&remote).await {
            return Ok(self.stale(error.to_string()));
        }
        self.place.note_fresh(now);
        let new = tags::commits(&self.git)
            .await
            .map_err(|source| self.unreadable(source))?;
        let (moved, gone) = compare(&old, &new, &remote.refs);
        Ok(Refreshed {
            moved,
            gone,
            ..fresh(now)
        })
    }

    /// Every tag that is a version, ascending, and what was skipped.
    pub async fn versions(&self) -> Result<Versions, MirrorError> {
        self.must_exist()?;
        tags::versions(&self.git)
            .await
            .map_err(|source| self.unreadable(source))
    }

    /// The commit that a tag, a branch, a full commit id or a full ref name (`refs/pull/7/head`) stands for. A commit or full ref name
    /// that the mirror does not have is asked of the remote.
    pub async fn resolve(&self, name: &str) -> Result<CommitId, MirrorError> {
        self.must_exist()?;
        let none = || MirrorError::NoSuchRef {
            url: self.url.clone(),
            name: name.chars().take(200).collect(),
        };
        if !tags::is_plain_name(name) {
            return Err(none());
        }
        if CommitId::parse(name).is_some() || name.starts_with("refs/") {
            return match self.here(name).await? {
                Some(commit) => Ok(commit),
                None => self.ask_for(name).await?.ok_or_else(none),
            };
        }
        match self.here(&format!("refs/tags/{name}")).await? {
            Some(commit) => Ok(commit),
            None => self
                .here(&format!("refs/heads/{name}"))
                .await?
                .ok_or_else(none),
        }
    }

    /// The newest commit of the remote's default branch; none when the repository is empty.
    pub async fn default_branch(&self) -> Result<Option<CommitId>, MirrorError> {
        self.must_exist()?;
        self.here("HEAD").await
    }

    /// The files of a commit. A commit that the mirror does not have, because its tag moved, is asked of the remote.
    pub async fn tree(&self, commit: &CommitId) -> Result<Tree, MirrorError> {
        self.resolve(commit.as_str()).await?;
        Ok(Tree::at(self.git.clone(), self.health.clone(), commit).await?)
    }

    async fn here(&self, name: &str) -> Result<Option<CommitId>, MirrorError> {
        tags::commit_of(&self.git, name)
            .await
            .map_err(|source| self.unreadable(source))
    }

    /// Fetches one ref or commit; none when the remote has no such thing.
    async fn ask_for(&self, name: &str) -> Result<Option<CommitId>, MirrorError> {
        let asked = format!(
            "refs/ci-warm/asked/{}",
            &blake3::hash(name.as_bytes()).to_hex()[..16]
        );
        let _lock = self.place.lock().await?;
        match self.fetch(&self.git, [format!("+{name}:{asked}")]).await {
            Ok(()) => self.here(&asked).await,
            Err(GitError::Failed { said, .. })
                if said.contains("couldn't find remote ref") || said.contains("not our ref") =>
            {
                Ok(None)
            }
            Err(source) => Err(self.unreachable(source)),
        }
    }

    /// The refs of a mirror that can be used; none when there is no mirror or it is damaged beyond listing.
    async fn usable(&self) -> Result<Option<Refs>, MirrorError> {
        if self.place.presence()? == Presence::Absent {
            return Ok(None);
        }
        if self.health.get() == UNCHECKED {
            let check = [
                "fsck",
                "--connectivity-only",
                "--no-dangling",
                "--no-progress",
            ];
            match self
                .git
                .run(Call::new("fsck").args(check).time_limit(FETCH_LIMIT))
                .await
            {
                Ok(_) => self.health.mark_checked(),
                Err(GitError::Failed { said, .. }) => {
                    tracing::warn!(url = %self.url, %said, "the mirror is damaged and will be rebuilt");
                    self.health.mark_damaged();
                }
                Err(source) => return Err(self.unreadable(source)),
            }
        }
        let list = [
            "for-each-ref",
            "--format=%(objectname)\t%(refname)",
            "refs/tags",
            "refs/heads",
        ];
        match self.git.run(Call::new("for-each-ref").args(list)).await {
            Ok(bytes) => Ok(Some(parse_refs(&bytes).refs)),
            Err(GitError::Failed { .. }) => {
                self.health.mark_damaged();
                Ok(None)
            }
            Err(source) => Err(self.unreadable(source)),
        }
    }

    async fn ask_remote(&self) -> Result<Remote, GitError> {
        self.place.write_config(self.url.local_path().as_deref());
        // An address needs no repository, and a damaged one must not get in the way.
        let git = Git::on(Path::new("/dev/null")).with_config(self.place.config_file());
        let call = Call::new("ls-remote")
            .args(["ls-remote", "--quiet", "--symref", "--", self.url.raw()])
            .args(["HEAD", "refs/tags/*", "refs/heads/*"])
            .time_limit(REACH_LIMIT);
        let answer = git
            .run(call)
            .await
            .map_err(|error| error.redacted(&self.url))?;
        Ok(parse_refs(&answer))
    }

    /// Fetches into the mirror; into a new one when the old one is damaged or git cannot bring it up to date.
    async fn update(&self, remote: &Remote) -> Result<(), MirrorError> {
        if self.health.get() != DAMAGED {
            match self.fetch(&self.git, REFSPECS.map(str::to_owned)).await {
                Ok(()) => return self.point_head(&self.git, remote).await,
                Err(error @ GitError::Failed { .. }) => {
                    tracing::warn!(url = %self.url, %error, "cannot fetch into the mirror; building a new one");
                }
                Err(source) => return Err(self.unreachable(source)),
            }
        }
        self.build(remote).await
    }

    async fn fetch(
        &self,
        git: &Git,
        refspecs: impl IntoIterator<Item = String>,
    ) -> Result<(), GitError> {
        let call = Call::new("fetch")
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
            .time_limit(FETCH_LIMIT);
        git.run(call)
            .await
            .map(drop)
            .map_err(|error| error.redacted(&self.url))
    }

    /// Builds a mirror beside its place, then puts it there.
    async fn build(&self, remote: &Remote) -> Result<(), MirrorError> {
        self.place.sweep()?;
        let git = Git::on(&self.place.new_dir()).with_config(self.place.config_file());
        let built = async {
            git.run(Call::new("init").args(["init", "--quiet", "--bare", "--template="]))
                .await?;
            self.fetch(&git, REFSPECS.map(str::to_owned)).await
        };
        if let Err(source) = built.await {
            // What cannot be removed now is removed by the next build.
            let _ = self.place.sweep();
            return Err(self.unreachable(source));
        }
        self.point_head(&git, remote).await?;
        self.place.put_in_place()?;
        self.health.mark_checked();
        Ok(())
    }

    /// Points the mirror's HEAD to the remote's default branch.
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
            .map(drop)
            .map_err(|source| self.unreadable(source))
    }

    fn must_exist(&self) -> Result<(), MirrorError> {
        match self.place.presence()? {
            Presence::There => Ok(()),
            Presence::Absent => Err(MirrorError::Missing {
                url: self.url.clone(),
            }),
        }
    }

    fn stale(&self, why: String) -> Refreshed {
        let freshness = Freshness::Stale {
            since: self.place.last_fresh(),
            why,
        };
        Refreshed {
            freshness,
            moved: Vec::new(),
            gone: Vec::new(),
        }
    }

    fn unreachable(&self, source: GitError) -> MirrorError {
        MirrorError::Unreachable {
            url: self.url.clone(),
            source,
        }
    }

    fn unreadable(&self, source: GitError) -> MirrorError {
        if matches!(source, GitError::Failed { .. } | GitError::Nonsense { .. }) {
            self.health.mark_damaged();
        }
        MirrorError::Unreadable {
            url: self.url.clone(),
            dir: self.dir().to_owned(),
            source,
        }
    }
}

fn fresh(at: Timestamp) -> Refreshed {
    Refreshed {
        freshness: Freshness::Fresh { at },
        moved: Vec::new(),
        gone: Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
