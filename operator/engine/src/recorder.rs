//! A transport that remembers what went through it: for tests that count calls.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::transport::{Request, Transport, TransportFuture};

/// What became of a recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Sent, not answered yet.
    Pending,
    /// Answered with this HTTP status; the body may still have been cut.
    Status(u16),
    /// Not answered.
    Failed(String),
}

/// One call as it passed the seam.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, percent-encoded, with the API version in front.
    pub path: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Wraps a transport and keeps the newest calls, oldest first. Bodies and headers are not kept: they hold secrets.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<dyn Transport>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Number of calls dropped from the front, so that a call in flight finds its place.
    dropped: usize,
    calls: VecDeque<Recorded>,
}

/// Far more calls than one test makes; a forgotten recorder does not fill the memory.
const KEPT: usize = 10_000;

impl Recorder {
    /// Record what goes through this transport.
    pub fn new(inner: impl Transport) -> Self {
        Self {
            inner: Arc::new(inner),
            state: Arc::default(),
        }
    }

    /// The calls so far, oldest first.
    pub fn calls(&self) -> Vec<Recorded> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .calls
            .iter()
            .cloned()
            .collect()
    }
}

impl Transport for Recorder {
    fn call(&self, request: Request) -> TransportFuture {
        let recorded = Recorded {
            method: request.method().to_string(),
            path: request
                .uri()
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            outcome: Outcome::Pending,
        };
        let place = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.calls.len() == KEPT {
                state.calls.pop_front();
                state.dropped += 1;
            }
            state.calls.push_back(recorded);
            state.dropped + state.calls.len() - 1
        };
        let state = Arc::clone(&self.state);
        let call = self.inner.call(request);
        Box::pin(async move {
            let reply = call.await;
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let index = place.checked_sub(state.dropped);
            if let Some(recorded) = index.and_then(|index| state.calls.get_mut(index)) {
                recorded.outcome = match &reply {
                    Ok(response) => Outcome::Status(response.status().as_u16()),
                    Err(error) => Outcome::Failed(error.to_string()),
                };
            }
            reply
        })
    }
}
