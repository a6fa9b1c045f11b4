//! What is wrong with a manifest, so that a person can mend it without searching.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One thing wrong with one manifest: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file, or what stands for it (`<stdin>`).
    pub file: String,
    /// Line, from 1; 0 when the problem has no place in the text.
    pub line: u64,
    /// Column, from 1; 0 when the problem has no place in the text.
    pub column: u64,
    /// The text of that line.
    #[serde(default)]
    pub source_line: String,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl Problem {
    /// A problem without a place in the text, for example a file that is not UTF-8.
    pub fn whole(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            source_line: String::new(),
            message: message.into(),
            suggestion: None,
        }
    }

    /// A problem of the whole file at that path.
    pub fn of(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::whole(&path.as_ref().display().to_string(), message)
    }

    /// A problem at a line and column (both from 1) of `text`.
    pub fn at(
        file: &str,
        text: &str,
        (line, column): (u64, u64),
        message: impl Into<String>,
    ) -> Self {
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let source_line = text
            .lines()
            .nth(index)
            .unwrap_or_default()
            .chars()
            .take(200)
            .collect();
        Self {
            line,
            column,
            source_line,
            ..Self::whole(file, message)
        }
    }

    /// The same problem with what to do about it.
    #[must_use]
    pub fn suggest(self, suggestion: impl Into<String>) -> Self {
        self.suggesting(Some(suggestion.into()))
    }

    /// The same problem with what was probably meant, where that can be told.
    #[must_use]
    pub fn suggesting(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.message)?;
        } else {
            write!(
                f,
                "{}:{}:{}: {}",
                self.file, self.line, self.column, self.message
            )?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; {suggestion}")?;
        }
        if self.line > 0 && !self.source_line.is_empty() {
            let number = self.line.to_string();
            let indent = " ".repeat(usize::try_from(self.column.saturating_sub(1)).unwrap_or(0));
            write!(
                f,
                "\n  {number} | {}\n  {} | {indent}^",
                self.source_line,
                " ".repeat(number.len())
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
