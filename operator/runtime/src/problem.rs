//! What is wrong with a file a person wrote, and where.

use std::fmt;
use std::path::PathBuf;

/// A file that cannot be used as it stands. Its text is what a person reads in `Accepted=False`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Line, counted from 1, when it is known.
    pub line: Option<u32>,
    /// Column, counted from 1, when it is known.
    pub column: Option<u32>,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// The line itself, when it is known.
    pub source_line: Option<String>,
    /// What to do about it, such as the field that was probably meant.
    pub suggestion: Option<String>,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.message)?;
        if let Some(source) = &self.source_line {
            write!(f, "\n  | {source}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n  {suggestion}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
