//! A recipe: its repository, its versions, and what one version is made of.
mod git;
mod mirror;
mod notes;
mod tags;
mod tree;
mod url;
pub use git::GitError;
pub use mirror::*;
pub use notes::*;
pub use tags::*;
pub use tree::*;
pub use url::*;
#[cfg(test)]
mod testing;
