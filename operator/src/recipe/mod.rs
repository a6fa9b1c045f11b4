//! A recipe: its repository, its versions, and what one version gives to an instance.
//!
//! # Expected flow
//! ```text
//! GitUrl ── Mirror::refresh ── Mirror::versions ── Mirror::tree(commit) ── Tree::load ── ComposeSource::new
//!               │                                       │                                    │
//!           Freshness, moved and gone tags         notes_of → manual_migration      files, env, read, lint, secret_needs
//! ```
//!
//! # Guarantees
//! - A git, network or disk error is an error, or [`Freshness::Stale`]; it never reads as "no versions" or "no such file".
//! - Everything about a version comes from one commit. There is no work tree, and nothing in a recipe is executed.
//! - No path and no link leads out of the commit's tree; no file is read beyond a limit.
//! - A password in a repository's address is never shown.
//!
//! **Architecture invariant:** nothing here knows of Swarm, of an instance's state or of policy. Which version is wanted, held or
//! refused is decided elsewhere.

mod compose_source;
mod env_sample;
mod git;
mod lint;
mod mirror;
mod notes;
mod secrets;
mod tags;
#[cfg(test)]
mod testing;
mod tree;
mod url;

pub use compose_source::{ComposeSource, ComposeSourceError, InstanceNames};
pub use env_sample::{
    EnvEntry, EnvInputs, EnvProblem, EnvSample, RecipeEnv, abra_versions, compose_files, stack_name,
};
pub use git::GitError;
pub use lint::{
    ComposeView, Finding, Healthcheck, ObjectView, Rule, ServiceView, Severity, lint, refuses,
};
pub use mirror::{Freshness, Mirror, MirrorError, MovedTag, Refreshed};
pub use notes::{
    Extent, ManualMigration, NOTE_MAX_BYTES, Note, PHRASES, manual_migration, notes_of,
};
pub use secrets::{
    SecretError, SecretNeed, SecretSource, generate, missing, secret_needs, used_secrets,
};
pub use tags::{CommitId, SKIPPED_NAMES_MAX, SkippedTag, TaggedVersion, Versions};
pub use tree::{FILE_MAX_BYTES, Files, Head, Tree, TreeError};
pub use url::{GitUrl, GitUrlError};
