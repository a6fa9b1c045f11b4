//! Replies that go on: one JSON value after the other, as events and pulls send them.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use crate::client::Engine;
use crate::error::EngineError;
use crate::query::Call;
use crate::transport::{Response, TransportError};

/// One value may not be larger than this: events and progress are a few hundred bytes.
const LINE_BYTES: usize = 1024 * 1024;

/// Reads a body as newline-separated JSON values. Dropping it ends the connection.
pub(crate) struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    call: Call,
    engine: Engine,
}

impl Lines {
    pub(crate) fn new(engine: Engine, call: Call, response: Response) -> Self {
        Self {
            body: response.into_body(),
            buffer: Vec::new(),
            call,
            engine,
        }
    }

    /// The next value; `None` when the reply is complete. A reply that is cut is an error. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, EngineError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if !line.trim_ascii().is_empty() {
                    return self.parse(&line).map(Some);
                }
                continue;
            }
            if self.buffer.len() > LINE_BYTES {
                return Err(self.protocol(format!("a line of more than {LINE_BYTES} bytes")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(cut)) => {
                    return Err(self
                        .engine
                        .unreachable(&self.call, TransportError::from(cut)));
                }
                None => {
                    let rest = std::mem::take(&mut self.buffer);
                    if rest.trim_ascii().is_empty() {
                        return Ok(None);
                    }
                    return self.parse(&rest).map(Some);
                }
            }
        }
    }

    fn parse(&self, line: &[u8]) -> Result<Value, EngineError> {
        crate::client::decode(&self.call, line)
    }

    pub(crate) fn protocol(&self, what: String) -> EngineError {
        EngineError::Protocol {
            call: self.call.to_string(),
            what,
        }
    }
}
