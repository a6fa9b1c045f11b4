//! A recipe's `.env.sample`: defaults for the environment, and notes on secrets in trailing comments.
//!
//! ```text
//! TYPE=keycloak
//! DOMAIN=keycloak.example.com
//! EXTRA='`www.keycloak.example.com`'      # single quotes: as it stands
//! COMPOSE_FILE="compose.yml"
//! #COMPOSE_FILE="$COMPOSE_FILE:compose.smtp.yml"     # commented out: not set
//! SECRET_DB_PASSWORD_VERSION=v1           # length=32 charset=hex
//! ```
//!
//! A line is `[export] KEY=value [# comment]`. A comment starts at a `#` after a blank. `$NAME` and `${NAME}` in an unquoted or
//! double-quoted value are what the lines above gave that name, and empty when they gave none; `\$` is a dollar sign. Nothing is
//! executed, and the operator's own environment is never looked at. Words `key=value` in the comment are the entry's modifiers.

use std::collections::BTreeMap;

/// The final environment for one instance: what a compose file's `${NAME}` stands for.
pub type RecipeEnv = BTreeMap<String, String>;

/// A recipe's `.env.sample`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvSample {
    /// The lines in force, in order. A key can come more than once.
    pub entries: Vec<EnvEntry>,
    /// Lines that are assignments behind a `#`: optional settings with their defaults.
    pub commented: Vec<EnvEntry>,
    /// Lines that are neither assignments nor comments; they set nothing.
    pub problems: Vec<EnvProblem>,
}

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvEntry {
    /// The name.
    pub key: String,
    /// The line, from 1.
    pub line: usize,
    /// What `key=value` words the trailing comment has: `length=32`, `charset=hex`, `generate=false`.
    pub modifiers: BTreeMap<String, String>,
    value: Value,
}

/// A line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvProblem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Literal(String),
    /// May refer to other names.
    Template(String),
}

/// What the environment is made from, beside the sample.
#[derive(Debug, Clone, Copy)]
pub struct EnvInputs<'a> {
    /// The recipe's name, for a sample without `TYPE`.
    pub recipe: &'a str,
    /// The app's domain.
    pub domain: &'a str,
    /// The stack's name, see [`stack_name`].
    pub stack: &'a str,
    /// The versions of configs from `abra.sh`; these win over the sample.
    pub abra_versions: &'a BTreeMap<String, String>,
    /// The user's own values; these win over all. They are taken as they stand, except that `$COMPOSE_FILE` in `COMPOSE_FILE` is the
    /// sample's own list, so that `$COMPOSE_FILE:compose.smtp.yml` adds a file.
    pub overrides: &'a BTreeMap<String, String>,
}

const COMPOSE_FILE: &str = "COMPOSE_FILE";
/// What is deployed when nothing says otherwise.
const DEFAULT_COMPOSE_FILE: &str = "compose.yml";
/// The length at which abra cuts stack names, so that the names of services, configs and secrets stay within Swarm's 63 and 64.
const STACK_NAME_MAX_CHARS: usize = 45;

/// The stack's name for a domain: `.` becomes `_`, and what follows the 45th character is cut.
pub fn stack_name(domain: &str) -> String {
    domain
        .replace('.', "_")
        .chars()
        .take(STACK_NAME_MAX_CHARS)
        .collect()
}

/// The compose files that a `COMPOSE_FILE` names, in order, each once; `compose.yml` when it names none.
pub fn compose_files(env: &RecipeEnv) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    let list = env.get(COMPOSE_FILE).map_or("", String::as_str);
    for name in list
        .split(':')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        if !files.iter().any(|file| file == name) {
            files.push(name.to_owned());
        }
    }
    if files.is_empty() {
        files.push(DEFAULT_COMPOSE_FILE.to_owned());
    }
    files
}

impl EnvSample {
    /// Reads the text. What cannot be understood is kept in `problems`.
    pub fn parse(text: &str) -> Self {
        let mut sample = Self::default();
        for (index, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let (line, text) = (index + 1, raw.trim());
            if text.is_empty() {
                continue;
            }
            if let Some(comment) = text.strip_prefix('#') {
                // Prose is not an assignment, and not a problem either.
                sample
                    .commented
                    .extend(parse_line(comment.trim_start_matches('#').trim(), line).ok());
                continue;
            }
            match parse_line(text, line) {
                Ok(entry) => sample.entries.push(entry),
                Err(what) => sample.problems.push(EnvProblem { line, what }),
            }
        }
        sample
    }

    /// The environment for one instance.
    pub fn resolve(&self, inputs: EnvInputs<'_>) -> RecipeEnv {
        let mut fixed = inputs.abra_versions.clone();
        fixed.extend(inputs.overrides.clone());
        let own_list = fixed.remove(COMPOSE_FILE);
        fixed.insert("DOMAIN".to_owned(), inputs.domain.to_owned());
        fixed.insert("STACK_NAME".to_owned(), inputs.stack.to_owned());
        let mut env = RecipeEnv::new();
        env.insert(COMPOSE_FILE.to_owned(), DEFAULT_COMPOSE_FILE.to_owned());
        // A fixed value is in place before the lines that refer to it, wherever they stand.
        env.extend(fixed.clone());
        for entry in self
            .entries
            .iter()
            .filter(|entry| !fixed.contains_key(&entry.key))
        {
            let value = match &entry.value {
                Value::Literal(text) => text.clone(),
                Value::Template(text) => expand(text, &env),
            };
            env.insert(entry.key.clone(), value);
        }
        if let Some(list) = own_list {
            let list = list
                .replace("${COMPOSE_FILE}", "$COMPOSE_FILE")
                .replace("$COMPOSE_FILE", &env[COMPOSE_FILE]);
            env.insert(COMPOSE_FILE.to_owned(), list);
        }
        env.entry("TYPE".to_owned())
            .or_insert_with(|| inputs.recipe.to_owned());
        env
    }

    /// The modifiers of a key: those of its last line that has any, else those of a commented-out one.
    pub fn modifiers(&self, key: &str) -> BTreeMap<String, String> {
        let of = |entries: &[EnvEntry]| {
            let mut found = entries
                .iter()
                .rev()
                .filter(|entry| entry.key == key && !entry.modifiers.is_empty());
            found.next().map(|entry| entry.modifiers.clone())
        };
        of(&self.entries)
            .or_else(|| of(&self.commented))
            .unwrap_or_default()
    }

    /// The line where a key is set last.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.key == key)
            .map(|entry| entry.line)
    }
}

fn parse_line(text: &str, line: usize) -> Result<EnvEntry, String> {
    let text = text
        .strip_prefix("export")
        .filter(|rest| rest.starts_with([' ', '\t']))
        .map_or(text, str::trim_start);
    let Some((key, rest)) = text.split_once('=') else {
        return Err(format!("`{}` is not `KEY=value`", shown(text)));
    };
    let key = key.trim_end();
    if !is_name(key) {
        return Err(format!("`{}` cannot be a variable's name", shown(key)));
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    let (value, comment) = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(quote, &rest[1..])?,
        // `KEY= # comment` has no value.
        Some('#') if text.len() > key.len() + 1 + rest.len() => {
            (Value::Literal(String::new()), rest)
        }
        _ => unquoted(rest),
    };
    let modifiers = modifiers(comment);
    Ok(EnvEntry {
        key: key.to_owned(),
        line,
        modifiers,
        value,
    })
}

fn quoted(quote: char, rest: &str) -> Result<(Value, &str), String> {
    let mut value = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => {
                let after = rest[at + 1..].trim_start();
                if !after.is_empty() && !after.starts_with('#') {
                    return Err(format!("`{}` follows the closing quote", shown(after)));
                }
                let value = if quote == '"' {
                    Value::Template(value)
                } else {
                    Value::Literal(value)
                };
                return Ok((value, after));
            }
            '\\' if quote == '"' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                // Kept escaped for the expansion.
                Some((_, '$')) => value.push_str("\\$"),
                Some((_, '\\')) => value.push_str("\\\\"),
                Some((_, other)) => value.push(other),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    Err(format!("the value has no closing {quote}"))
}

fn unquoted(rest: &str) -> (Value, &str) {
    let comment = rest
        .match_indices('#')
        .map(|(at, _)| at)
        .find(|at| rest[..*at].ends_with([' ', '\t']));
    let (value, comment) = rest.split_at(comment.unwrap_or(rest.len()));
    (Value::Template(value.trim_end().to_owned()), comment)
}

/// The `key=value` words of a comment; `#generate=false` too.
fn modifiers(comment: &str) -> BTreeMap<String, String> {
    let words = comment.split(|c: char| c.is_whitespace() || c == '#');
    let pairs = words.filter_map(|word| word.split_once('='));
    pairs
        .filter(|(key, _)| {
            !key.is_empty()
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Puts in what `$NAME` and `${NAME}` stand for; a name without a value gives nothing.
fn expand(text: &str, env: &RecipeEnv) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if rest[at..].starts_with('\\') {
            let escaped = after.starts_with(['$', '\\']);
            out.push(if escaped && after.starts_with('$') {
                '$'
            } else {
                '\\'
            });
            rest = if escaped { &after[1..] } else { after };
            continue;
        }
        let braced = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let (name, end) = if let Some((name, _)) = braced {
            (name, name.len() + 2)
        } else {
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(after.len());
            (&after[..end], end)
        };
        if is_name(name) {
            out.push_str(env.get(name).map_or("", String::as_str));
            rest = &after[end..];
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn is_name(text: &str) -> bool {
    let first = text.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The versions of configs that a recipe's `abra.sh` exports: lines `export NAME_VERSION=v3`, quoted or not. The script is read, never
/// run: a value that the shell would have to work out is left out.
pub fn abra_versions(script: &str) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for line in script.lines() {
        let Some(assignment) = line.trim().strip_prefix("export ") else {
            continue;
        };
        let Some((name, value)) = assignment.trim().split_once('=') else {
            continue;
        };
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
            _ => value
                .split([' ', '\t', ';', '#'])
                .next()
                .unwrap_or_default(),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if is_name(name)
            && name.ends_with("_VERSION")
            && !value.is_empty()
            && value.bytes().all(plain)
        {
            versions.insert(name.to_owned(), value.to_owned());
        }
    }
    versions
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
