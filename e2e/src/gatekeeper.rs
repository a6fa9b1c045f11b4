//! A health gate in the test's own hand.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

/// An HTTP server whose answer a test sets. A gate that asks it is as well or as unwell as the test wants, whichever release
/// runs and however often it is started again.
#[derive(Clone, Debug)]
pub struct Gatekeeper {
    port: u16,
    status: Arc<AtomicU16>,
}

impl Gatekeeper {
    /// Answers with `status` from now on, until the test's process ends.
    pub fn answering(status: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let status = Arc::new(AtomicU16::new(status));
        let answer = Arc::clone(&status);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let status = answer.load(Ordering::SeqCst);
                // A client that has gone is its own affair.
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
            }
        });
        Self { port, status }
    }

    /// Answers with another status from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The `health` of a manifest that asks it, with `deadline` such as `20s`.
    pub fn health(&self, deadline: &str) -> String {
        let port = self.port;
        format!(
            "  health:
    http: {{ url: \"http://127.0.0.1:{port}/\", status: [200], allowForeignHost: true }}
    deadline: {deadline}
    interval: 500ms
    successThreshold: 2
    failureThreshold: 3
"
        )
    }
}
