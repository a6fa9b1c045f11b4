//! Volumes copied, sealed, verified and restored.
//!
//! This crate is given directories and knows nothing of Docker. It is synchronous, runs as root on Linux (5.8 or
//! newer, with `/proc`), and makes five promises:
//!
//! - A snapshot is published whole or not at all ([`seal()`]).
//! - A copy is exact: contents, types, owners, modes, modification times, extended attributes (so POSIX ACLs and
//!   capabilities too), hard links, holes. What cannot be copied exactly is refused by name, before anything is stopped
//!   if the caller asks [`required_space`] first.
//! - What is restored is verified before it replaces anything, and what it replaces is kept ([`restore()`]).
//! - Everything may be interrupted anywhere and run again, with the same end.
//! - An I/O error is never read as "nothing there".
//!
//! A snapshot directory looks like this, and can be checked with nothing but `b3sum`:
//!
//! ```text
//! <snapshot>/seal.json                 what was sealed: names, sizes, digests, and the caller's context
//! <snapshot>/seal.b3                   the digest of seal.json, for `b3sum --check`
//! <snapshot>/manifests/<volume>.jsonl  one line per entry; the digest of a volume is the digest of this file
//! <snapshot>/volumes/<volume>/         the copy itself
//! ```
//!
//! Not carried over: access, change and birth times, and inode flags. Immutable and append-only files are refused,
//! because a volume that holds one could be neither set aside nor put back.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod attributes;
mod contents;
mod copy;
mod digest;
mod entry;
mod error;
mod files;
mod marker;
mod read;
mod remove;
mod restore;
mod seal;
mod snapshot;
mod space;
mod text;
mod walk;
mod watch;

pub use digest::{Digest, VolumeDigest, digest};
pub use error::{DataError, Difference};
pub use marker::{Marker, Phase, Role, pending};
pub use remove::{remove_aside, remove_leftovers, remove_snapshot};
pub use restore::{RestoreRequest, Restored, RestoredVolume, restore};
pub use seal::{SealRequest, seal};
pub use snapshot::{Sealed, SealedVolume, VolumeName, open_sealed, verify};
pub use space::{free_space, required_space};
pub use watch::{Cancel, Unwatched, Watch};
