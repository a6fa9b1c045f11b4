//! Commands in a running container.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use crate::client::{Engine, from_bollard};
use crate::container::ContainerId;
use crate::error::EngineError;

/// The end of a stream: what a failed command says last is what explains it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The last bytes, at most [`Tail::LIMIT`].
    pub bytes: Vec<u8>,
    /// How many bytes before these were dropped.
    pub dropped: u64,
}

impl Tail {
    /// The most bytes that are kept of one stream.
    pub const LIMIT: usize = 64 * 1024;

    fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        let over = self.bytes.len().saturating_sub(Self::LIMIT);
        self.bytes.drain(..over);
        self.dropped = self.dropped.saturating_add(over as u64);
    }

    /// As text, invalid bytes replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit code; 126 and 127 when it could not be started.
    pub exit_code: i64,
    /// Standard output.
    pub stdout: Tail,
    /// Standard error.
    pub stderr: Tail,
}

impl Engine {
    /// Run a command in a running container and wait for its end.
    ///
    /// # Errors
    /// [`EngineError::TimedOut`] when it does not end within `limit`. The engine has no way to stop such a command: it goes
    /// on in the container until that is stopped.
    pub async fn exec(
        &self,
        container: &ContainerId,
        argv: &[&str],
        limit: Duration,
    ) -> Result<ExecOutput, EngineError> {
        let call = format!("POST /containers/{container}/exec");
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv.to_vec()),
            ..Default::default()
        };
        let exec = self
            .typed(&call, |docker| docker.create_exec(&container.0, options))
            .await?
            .id;
        let started = self
            .typed(&call, |docker| docker.start_exec(&exec, None))
            .await?;
        let work = collect(started);
        let (stdout, stderr) = match tokio::time::timeout(limit, work).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(from_bollard(self.host(), call, error)),
            Err(_) => return Err(EngineError::TimedOut { call, limit }),
        };
        let state = self
            .typed(&call, |docker| docker.inspect_exec(&exec))
            .await?;
        // The stream also ends when the engine dies; only an exit code proves that the command ended.
        match (state.running, state.exit_code) {
            (Some(false), Some(exit_code)) => Ok(ExecOutput {
                exit_code,
                stdout,
                stderr,
            }),
            _ => Err(EngineError::Protocol {
                call,
                what: "the output ended, but the command did not".to_owned(),
            }),
        }
    }
}

async fn collect(started: StartExecResults) -> Result<(Tail, Tail), BollardError> {
    let (mut stdout, mut stderr) = (Tail::default(), Tail::default());
    if let StartExecResults::Attached { mut output, input } = started {
        drop(input);
        while let Some(part) = output.next().await {
            match part? {
                LogOutput::StdErr { message } => stderr.push(&message),
                LogOutput::StdOut { message } | LogOutput::Console { message } => {
                    stdout.push(&message);
                }
                LogOutput::StdIn { .. } => {}
            }
        }
    }
    Ok((stdout, stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_should_keep_the_end() {
        let mut tail = Tail::default();
        tail.push(&vec![b'a'; Tail::LIMIT]);
        tail.push(b"end");
        assert_eq!((tail.bytes.len(), tail.dropped), (Tail::LIMIT, 3));
        assert!(tail.text().ends_with("aend"));
    }
}
