//! What can go wrong between us and an engine, and what a caller may conclude from it.

use std::time::Duration;

use crate::transport::TransportError;

/// A call that did not give its answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The address of the engine cannot be used.
    #[error(
        "the engine's address {host:?} cannot be used: {why}; give unix:///path/to/docker.sock or tcp://host:port"
    )]
    Host {
        /// The address as given.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// The engine was not reached, or went away before its reply was complete.
    #[error("{call} at {host}: {source}; is dockerd running, and may this user open its socket?")]
    Unreachable {
        /// The address.
        host: String,
        /// Method and path of the call.
        call: String,
        /// What the transport saw.
        source: TransportError,
    },
    /// The engine said no (4xx): the request will never work as it is.
    #[error("{call}: refused by the engine ({status}): {message}")]
    Refused {
        /// Method and path of the call.
        call: String,
        /// HTTP status, 400 to 499.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// Somebody changed the object after it was read. Read it again, decide again, send again.
    #[error("{call}: the object was changed since it was read ({message}); read it again")]
    OutOfSequence {
        /// Method and path of the call.
        call: String,
        /// The engine's words.
        message: String,
    },
    /// The engine failed (5xx). A node that is not a Swarm manager answers so too.
    #[error("{call}: the engine failed ({status}): {message}")]
    Internal {
        /// Method and path of the call.
        call: String,
        /// HTTP status, 500 to 599.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// No answer within the time limit. Whether a change was made is not known.
    #[error("{call}: no answer within {limit:?}; the engine hangs or is overloaded")]
    TimedOut {
        /// Method and path of the call.
        call: String,
        /// The limit that passed.
        limit: Duration,
    },
    /// An answer that makes no sense. Never to be read as "nothing there".
    #[error("{call}: an answer that cannot be understood: {what}")]
    Protocol {
        /// Method and path of the call.
        call: String,
        /// What is wrong with it.
        what: String,
    },
    /// An image could not be pulled.
    #[error("pulling {image}: {message}")]
    Pull {
        /// The image reference.
        image: String,
        /// The engine's or the registry's words.
        message: String,
        /// [`ErrorClass::Refused`] when the registry said so, else a failure that may pass.
        class: ErrorClass,
    },
}

/// The kinds of failure a caller treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The engine is down, restarting, or cannot be dialled.
    Unreachable,
    /// The request will never work as it is.
    Refused,
    /// Read again, then try again.
    OutOfSequence,
    /// The engine failed; it may work later.
    Internal,
    /// The engine hangs.
    TimedOut,
    /// Not an engine, or one we do not understand.
    Protocol,
}

/// Whether a call that failed may have changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Certainly nothing was changed.
    No,
    /// It may have been carried out. Observe before deciding.
    Unknown,
}

impl EngineError {
    /// The kind of failure.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Host { .. } | Self::Refused { .. } => ErrorClass::Refused,
            Self::Unreachable {
                source: TransportError::NotHttp(_),
                ..
            }
            | Self::Protocol { .. } => ErrorClass::Protocol,
            Self::Unreachable { .. } => ErrorClass::Unreachable,
            Self::OutOfSequence { .. } => ErrorClass::OutOfSequence,
            Self::Internal { .. } => ErrorClass::Internal,
            Self::TimedOut { .. } => ErrorClass::TimedOut,
            Self::Pull { class, .. } => *class,
        }
    }

    /// Whether the call may have been carried out although it failed.
    pub fn happened(&self) -> Happened {
        match self {
            Self::Host { .. }
            | Self::Refused { .. }
            | Self::OutOfSequence { .. }
            | Self::Unreachable {
                source: TransportError::Connect(_),
                ..
            } => Happened::No,
            Self::Unreachable { .. }
            | Self::Internal { .. }
            | Self::TimedOut { .. }
            | Self::Protocol { .. }
            | Self::Pull { .. } => Happened::Unknown,
        }
    }
}
