//! What can be wrong with a stack, where, and what to do about it.

use std::fmt;

/// A place in a compose file. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file's name as the caller gave it.
    pub file: std::sync::Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Compose files that cannot become a stack.
///
/// Its text is `FILE:LINE:COLUMN: KEY.PATH: what is wrong; what to do`, as far as each part is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// The file the fault is in, where one file can be blamed.
    pub file: Option<String>,
    /// Line in that file, from 1.
    pub line: Option<usize>,
    /// Column in that line, from 1.
    pub column: Option<usize>,
    /// The key path, such as `services.web.ports[0]`; empty for the whole file.
    pub path: String,
    /// What is wrong and what to do.
    pub problem: Box<Problem>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(out, "{file}")?;
            if let Some(line) = self.line {
                write!(out, ":{line}")?;
            }
            if let Some(column) = self.column {
                write!(out, ":{column}")?;
            }
            write!(out, ": ")?;
        }
        if !self.path.is_empty() {
            write!(out, "{}: ", self.path)?;
        }
        write!(out, "{}", self.problem)
    }
}

impl std::error::Error for LoadError {}

impl LoadError {
    pub(crate) fn new(path: impl Into<String>, problem: Problem) -> Self {
        Self {
            file: None,
            line: None,
            column: None,
            path: path.into(),
            problem: Box::new(problem),
        }
    }

    pub(crate) fn at(position: &Position, path: impl Into<String>, problem: Problem) -> Self {
        Self::new(path, problem).placed(position)
    }

    pub(crate) fn placed(mut self, position: &Position) -> Self {
        self.file = Some(position.file.to_string());
        self.line = Some(position.line);
        self.column = Some(position.column);
        self
    }
}

/// What is wrong with a stack, and what to do. The rules are those of `docker stack deploy`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is nothing to load.
    #[error("no compose file was given; name at least one")]
    NoFiles,
    /// The text is not YAML.
    #[error("not valid YAML: {0}")]
    Syntax(String),
    /// The document is deeper, larger or more repetitive than any real stack.
    #[error(
        "{what} is over the limit of {limit}; split the file or remove the aliases that repeat it"
    )]
    Limit {
        /// What was counted.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// The same key twice in one mapping.
    #[error("the key `{key}` was already given on line {first}; keep one of the two")]
    DuplicateKey {
        /// The key.
        key: String,
        /// The line of the first one.
        first: usize,
    },
    /// A key that YAML reads as something other than text.
    #[error("the key `{0}` is not text; put it in quotes")]
    KeyNotText(String),
    /// `<<` with something that is not a mapping.
    #[error("`<<` takes a mapping or a list of mappings")]
    Merge,
    /// An alias without its anchor, or one inside its own anchor.
    #[error("this alias stands for nothing that is complete here; define the anchor before it")]
    Alias,
    /// A tag whose value does not fit.
    #[error("`{value}` is not a {tag}; remove the tag or correct the value")]
    Tag {
        /// The tag.
        tag: String,
        /// The value.
        value: String,
    },
    /// The top of the file is not a mapping.
    #[error("the top of a compose file is a mapping; start with `services:`")]
    TopLevel,
    /// A version no schema exists for.
    #[error("unsupported compose file version `{0}`; use \"3.0\" to \"3.13\", or remove the line")]
    Version(String),
    /// Files of one stack that disagree about the version.
    #[error(
        "version {other} does not go with {first} of the first file; give all files the same version (none counts as 3.13)"
    )]
    VersionsDiffer {
        /// Version of the first file.
        first: String,
        /// Version of this one.
        other: String,
    },
    /// A key Swarm has no equivalent for.
    #[error("`{key}` cannot be used in a stack: {instead}")]
    Forbidden {
        /// The key.
        key: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A `$` that starts no substitution.
    #[error("invalid interpolation in {template:?}; write $$ for a plain $")]
    Interpolation {
        /// The whole value.
        template: String,
    },
    /// `${NAME:?message}` without a value.
    #[error("the variable {name} needs a value: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message in the file.
        message: String,
    },
    /// A substituted value of the wrong type.
    #[error("`{value}` is not {expected}; correct the variable it comes from")]
    Cast {
        /// The text after substitution.
        value: String,
        /// What is wanted here.
        expected: &'static str,
    },
    /// A key the schema does not know.
    #[error("the key `{key}` is not supported here{}", advice(.suggestion.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// What to do about it, where that can be guessed.
        suggestion: Option<String>,
    },
    /// A key that is missing.
    #[error("the key `{0}` is missing; add it")]
    MissingKey(&'static str),
    /// A value of the wrong type.
    #[error("must be {expected}, found {found}")]
    Type {
        /// What is wanted.
        expected: String,
        /// What is there.
        found: &'static str,
    },
    /// A value of the right type that cannot be understood.
    #[error("`{value}` is not {expected}")]
    Value {
        /// The value.
        value: String,
        /// What is wanted.
        expected: String,
    },
    /// Twice the same item in a list of distinct ones.
    #[error("items {first} and {second} are equal; keep one of them")]
    NotUnique {
        /// Index of the first, from 0.
        first: usize,
        /// Index of the second, from 0.
        second: usize,
    },
    /// A file the stack refers to cannot be read.
    #[error("cannot read {path}: {reason}; put the file there or correct the path")]
    Read {
        /// The absolute path.
        path: String,
        /// What the reader said.
        reason: String,
    },
    /// A line in an env file that cannot be used.
    #[error("{path}, line {line}: {reason}")]
    EnvFile {
        /// The absolute path of the file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A service without an image, or with one that is no reference.
    #[error("invalid image reference: {0}; set `image:` to NAME[:TAG][@DIGEST]")]
    Image(String),
    /// A reference to something that the files do not define.
    #[error("undefined {kind} `{name}`; define it at the top level or correct the name")]
    Undefined {
        /// `network`, `volume`, `secret` or `config`.
        kind: &'static str,
        /// Its key.
        name: String,
    },
    /// Two settings that exclude each other.
    #[error("{0}")]
    Conflict(String),
    /// A name the engine would refuse.
    #[error("the {kind} name `{name}` is not allowed in a Swarm: {rule}")]
    Name {
        /// What is named.
        kind: &'static str,
        /// The name.
        name: String,
        /// The rule it breaks.
        rule: &'static str,
    },
}

fn advice(text: Option<&str>) -> String {
    text.map(|text| format!("; {text}")).unwrap_or_default()
}

/// Something that was accepted and has no effect, or another one than it seems.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Warning {
    /// The key path, such as `services.web.restart`.
    pub path: String,
    /// What happens to it.
    pub message: String,
}
