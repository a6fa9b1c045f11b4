//! Stopping in two steps: drain, then abort.

use tokio_util::sync::CancellationToken;

/// The two steps of stopping. The binary wires signals to [`Self::advance`].
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// First step: no new triggers, queued work is dropped, running work finishes.
    pub drain: CancellationToken,
    /// Second step: runs are left at their next await.
    pub abort: CancellationToken,
}

impl Shutdown {
    /// Nothing asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next step: the first call drains, a later one aborts.
    pub fn advance(&self) {
        if self.drain.is_cancelled() {
            self.abort.cancel();
        } else {
            self.drain.cancel();
        }
    }
}
