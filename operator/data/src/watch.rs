//! How the caller follows, stops and disturbs the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::DataError;

/// Follows the work of this crate. An error it returns ends the work with that error, after the usual cleaning up.
///
/// A test that stands in for a crash panics instead: nothing is cleaned up then, as no destructor of this crate
/// touches the disk.
pub trait Watch {
    /// An effect has just happened, or is about to. `point` is `<operation>:<what>`, for example `seal:published`.
    fn reached(&self, point: &'static str) -> Result<(), DataError>;

    /// So many more bytes of file contents were read.
    fn advanced(&self, bytes: u64) -> Result<(), DataError>;
}

/// Nobody watches: the work runs to its end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn reached(&self, _point: &'static str) -> Result<(), DataError> {
        Ok(())
    }

    fn advanced(&self, _bytes: u64) -> Result<(), DataError> {
        Ok(())
    }
}

/// Ends the work at its next step, from any thread. Clones share one switch.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends the work with [`DataError::Cancelled`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), DataError> {
        if self.is_cancelled() {
            Err(DataError::Cancelled)
        } else {
            Ok(())
        }
    }
}

impl Watch for Cancel {
    fn reached(&self, _point: &'static str) -> Result<(), DataError> {
        self.check()
    }

    fn advanced(&self, _bytes: u64) -> Result<(), DataError> {
        self.check()
    }
}
