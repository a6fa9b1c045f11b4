//! Why a mirror gives no answer.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::super::git::GitError;
use super::super::tree::TreeError;
use super::super::url::GitUrl;

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
