//! Events: what happened to an object lately, in `status/<plural>/<name>.events.yaml`.
//!
//! At most [`MOST`] are kept, the oldest go first. A repeat (same type and reason; the message does not count) raises a
//! count and takes the newest message. When nothing but counts, times and messages of known events changed, the file is
//! written at most once per [`QUIET_MS`]; what came in between is in memory until the next write or an orderly stop, and a
//! crash loses it. A new event is written at once.

use ci_warm_api_types::yaml;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::conditions::Reason;
use crate::durable::{self, DurableError};

/// How many events of one object are kept.
pub const MOST: usize = 32;
/// How long repeats stay in memory, in milliseconds.
pub const QUIET_MS: i64 = 60_000;

/// Whether an event is worth looking at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    /// All goes as it should.
    Normal,
    /// A person may want to look.
    Warning,
}

/// One sort of thing that happened, once or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Whether it is worth looking at.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// What happened, for programs.
    pub reason: Reason,
    /// The newest message, for people.
    pub message: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first_timestamp: Timestamp,
    /// When last.
    pub last_timestamp: Timestamp,
}

#[derive(Debug, Default)]
struct Book {
    events: Vec<Event>,
    written_at: Option<Timestamp>,
    unwritten: usize,
}

/// The events of all objects of one kind, by file.
#[derive(Debug, Default)]
pub(crate) struct Events {
    books: Mutex<HashMap<PathBuf, Book>>,
}

/// Reads an events file; a missing one has none. One that cannot be understood counts as empty: events are hints.
pub fn read(path: &Path) -> io::Result<Vec<Event>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(yaml::read(&path.display().to_string(), &text).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, book: &mut Book, now: Timestamp) -> Result<(), DurableError> {
    let text = yaml::write(&book.events).map_err(|error| DurableError {
        action: "write",
        path: path.into(),
        source: io::Error::other(error),
    })?;
    durable::write(path, text.as_bytes(), 0o640)?;
    book.written_at = Some(now);
    book.unwritten = 0;
    Ok(())
}

impl Events {
    pub(crate) fn record(
        &self,
        path: &Path,
        kind: EventType,
        reason: Reason,
        message: String,
        now: Timestamp,
    ) -> Result<(), DurableError> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.entry(path.into()).or_insert_with(|| Book {
            events: read(path).unwrap_or_default(),
            ..Book::default()
        });
        book.unwritten += 1;
        if let Some(known) = book
            .events
            .iter_mut()
            .find(|event| event.kind == kind && event.reason == reason)
        {
            known.count += 1;
            known.message = message;
            known.last_timestamp = now;
            let recent = book.written_at.is_some_and(|at| {
                (now - at)
                    .total(jiff::Unit::Millisecond)
                    .is_ok_and(|ms| ms < MS)
            });
            return if recent {
                Ok(())
            } else {
                write(path, book, now)
            };
        }
        book.events.push(Event {
            kind,
            reason,
            message,
            count: 1,
            first_timestamp: now,
            last_timestamp: now,
        });
        if book.events.len() > MOST {
            let oldest = book
                .events
                .iter()
                .enumerate()
                .min_by_key(|(_, event)| event.last_timestamp)
                .map(|(i, _)| i);
            book.events.remove(oldest.unwrap_or(0));
        }
        write(path, book, now)
    }

    /// Writes what is only in memory. For an orderly stop.
    pub(crate) fn flush(&self, now: Timestamp) -> Result<(), DurableError> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, book) in books.iter_mut().filter(|(_, book)| book.unwritten > 0) {
            write(path, book, now)?;
        }
        Ok(())
    }

    /// Removes the events of an object that is gone.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), DurableError> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.remove(path);
        durable::remove(path)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a minute in milliseconds is exact in an f64"
)]
const MS: f64 = QUIET_MS as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_should_leave_the_message_out_of_the_key_and_count_repeats() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.events.yaml");
        let (events, at) = (Events::default(), |s| Timestamp::from_second(s).unwrap());
        let record = |reason, message: &str, s| {
            events
                .record(
                    &path,
                    EventType::Warning,
                    Reason::of(reason),
                    message.into(),
                    at(s),
                )
                .unwrap();
        };
        record("ProbeFailed", "status 502", 0);
        record("ProbeFailed", "status 503", 1);
        assert_eq!(
            read(&path).unwrap()[0].count,
            1,
            "repeats alone are not written at once"
        );
        record("ProbeFailed", "status 500", 61);
        let read_back = read(&path).unwrap();
        assert_eq!(
            (
                read_back.len(),
                read_back[0].count,
                read_back[0].message.as_str()
            ),
            (1, 3, "status 500")
        );
        record("ProbeFailed", "status 500", 62);
        events.flush(at(63)).unwrap();
        assert_eq!(read(&path).unwrap()[0].count, 4);
        for n in 0..40_u32 {
            let reason = Reason::new(&format!("Other{n}")).unwrap();
            events
                .record(
                    &path,
                    EventType::Normal,
                    reason,
                    String::new(),
                    at(100 + i64::from(n)),
                )
                .unwrap();
        }
        assert_eq!(read(&path).unwrap().len(), MOST);
        let again = Events::default();
        again
            .record(
                &path,
                EventType::Normal,
                Reason::of("Other39"),
                String::new(),
                at(500),
            )
            .unwrap();
        assert_eq!(
            read(&path).unwrap().last().unwrap().count,
            2,
            "a restart goes on counting"
        );
    }
}
