//! How a command ends, and the exit codes for it.

use std::io;
use std::process::ExitCode;

use ci_warm_runtime::RootError;

/// What the process says to its caller when nothing stood in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// 0
    Done,
    /// 1: what was asked was done, and problems were found and printed.
    Problems,
    /// 3: some of the objects named do not exist; that was printed.
    NotFound,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Problems => Self::from(1),
            Exit::NotFound => Self::from(3),
        }
    }
}

/// Why a command came to nothing. Messages say what, where and what to do next.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// 1
    #[error("{0}")]
    Refused(String),
    /// 2
    #[error("{0}")]
    Usage(String),
    /// 3
    #[error("{0}")]
    NotFound(String),
    /// 0 when whoever read our output has gone, 1 otherwise.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The code the process ends with.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Output(error) => u8::from(error.kind() != io::ErrorKind::BrokenPipe),
        }
    }
}

/// A failure from any error that says what and where by itself.
pub(super) fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::Refused(error.to_string())
}

/// A root that cannot be opened, with what to do about it.
pub(super) fn no_root(error: &RootError) -> Failure {
    let next = match error {
        RootError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "name the directory with --root or CI_WARM_ROOT; the operator makes a new one when it is first started with it"
        }
        RootError::NoMarker { .. } => {
            "the operator makes a root of an empty directory when it is first started with it"
        }
        RootError::Unreadable { .. } => {
            "run ccctl as a user who may read it, for example with sudo"
        }
        _ => return refused(error),
    };
    Failure::Refused(format!("{error}\n{next}"))
}
