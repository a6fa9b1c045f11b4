//! Ports for the apps of tests.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that the kernel gives to outgoing connections, so that nothing takes one in passing.
const FIRST: u16 = 20_000;
const LAST: u16 = 29_999;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A TCP port that nothing listens on. No two calls of one process get the same one.
pub fn free_port() -> u16 {
    // Processes that run at the same time start at different places.
    let offset = u16::try_from(std::process::id() % 100).unwrap_or(0) * 100;
    for _ in FIRST..=LAST {
        let port = FIRST + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % (LAST - FIRST + 1);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {LAST}");
}
