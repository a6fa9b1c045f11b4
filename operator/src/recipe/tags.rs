//! A repository's tags as versions.

use std::collections::BTreeMap;
use std::fmt;

use ci_warm_api_types::version::Version;

use super::git::{Call, Git, GitError};

/// A full git commit id: 40 or 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(String);

impl CommitId {
    /// Reads a full id; an abbreviated one is none.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (hex && matches!(text.len(), 40 | 64)).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A version and the commit its tag names, through the annotation where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedVersion {
    /// The version; its text is the tag's name.
    pub version: Version,
    /// The commit that is deployed for it.
    pub commit: CommitId,
}

impl TaggedVersion {
    /// The tag's name.
    pub fn tag(&self) -> String {
        self.version.to_string()
    }
}

/// Every version of a recipe, and the tags that are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Ascending.
    pub versions: Vec<TaggedVersion>,
    /// How many tags were skipped because they are not versions or do not name a commit.
    pub skipped: usize,
    /// Some of the skipped tags, at most [`SKIPPED_NAMES_MAX`], with the reason; what is not UTF-8 is replaced.
    pub skipped_names: Vec<SkippedTag>,
}

/// A tag that is not a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedTag {
    /// The tag's name, at most 200 characters.
    pub tag: String,
    /// Why it was skipped.
    pub why: String,
}

/// How many skipped tags are named.
pub const SKIPPED_NAMES_MAX: usize = 20;

/// Whether git reads this as nothing but a name: no revision syntax, no option.
pub(super) fn is_plain_name(name: &str) -> bool {
    let odd =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    !name.is_empty()
        && name.len() <= 512
        && !name.starts_with('-')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(odd)
}

/// The commit behind a ref's full name or a commit id; none when there is no such thing here.
pub(super) async fn commit_of(git: &Git, name: &str) -> Result<Option<CommitId>, GitError> {
    let call = Call::new("rev-parse")
        .args(["rev-parse", "--verify", "--quiet"])
        .args([format!("{name}^{{commit}}")]);
    match git.run(call).await {
        Ok(output) => Ok(CommitId::parse(String::from_utf8_lossy(&output).trim())),
        // With --quiet, a name that does not exist is told by the exit code alone.
        Err(GitError::Failed { said, status, .. })
            if said.is_empty() && status.code() == Some(1) =>
        {
            Ok(None)
        }
        Err(GitError::Failed { said, .. }) if said.contains("expected commit type") => Ok(None),
        Err(error) => Err(error),
    }
}

struct Tag {
    name: Vec<u8>,
    /// None for a tag on something that is not a commit.
    commit: Option<CommitId>,
}

/// Every tag that names a commit.
pub(super) async fn commits(git: &Git) -> Result<BTreeMap<Vec<u8>, CommitId>, GitError> {
    let tags = list(git).await?;
    Ok(tags
        .into_iter()
        .filter_map(|tag| Some((tag.name, tag.commit?)))
        .collect())
}

/// Every tag, sorted into versions and others.
pub(super) async fn versions(git: &Git) -> Result<Versions, GitError> {
    let mut found = Versions::default();
    for tag in list(git).await? {
        let name = String::from_utf8_lossy(&tag.name);
        let why = match (
            std::str::from_utf8(&tag.name).map(str::parse::<Version>),
            tag.commit,
        ) {
            (Ok(Ok(version)), Some(commit)) => {
                found.versions.push(TaggedVersion { version, commit });
                continue;
            }
            (Ok(Ok(_)), None) => "does not name a commit".to_owned(),
            (Ok(Err(error)), _) => error.to_string(),
            (Err(_), _) => "is not UTF-8".to_owned(),
        };
        found.skipped += 1;
        if found.skipped_names.len() < SKIPPED_NAMES_MAX {
            found.skipped_names.push(SkippedTag {
                tag: name.chars().take(200).collect(),
                why,
            });
        }
    }
    found.versions.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(found)
}

async fn list(git: &Git) -> Result<Vec<Tag>, GitError> {
    // Asking for the type reads each object, so a tag whose object is missing is an error and not an absent version.
    let format = "--format=%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname)";
    let output = git
        .run(Call::new("for-each-ref").args(["for-each-ref", format, "refs/tags"]))
        .await?;
    let mut tags = Vec::new();
    for line in output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let mut fields = line.splitn(5, |byte| *byte == b' ');
        let mut field = || {
            fields
                .next()
                .map(String::from_utf8_lossy)
                .unwrap_or_default()
                .into_owned()
        };
        let (kind, object, inner_kind, inner) = (field(), field(), field(), field());
        let name = fields
            .next()
            .and_then(|name| name.strip_prefix(b"refs/tags/"));
        let Some(name) = name else {
            let detail = String::from_utf8_lossy(line).into_owned();
            return Err(GitError::Nonsense {
                what: "for-each-ref",
                detail,
            });
        };
        let commit = match (kind.as_str(), inner_kind.as_str()) {
            ("commit", _) => CommitId::parse(&object),
            ("tag", "commit") => CommitId::parse(&inner),
            // A tag of a tag.
            ("tag", "tag") => commit_of(git, &object).await?,
            _ => None,
        };
        tags.push(Tag {
            name: name.to_owned(),
            commit,
        });
    }
    Ok(tags)
}
