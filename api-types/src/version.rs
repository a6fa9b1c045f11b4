//! A recipe's versions: `<recipe-semver>+<app-version>`, the same text as the git tag.
//!
//! The text after the first `+` is the app's own version. It is not semver build metadata and need not be semver
//! at all (`v3.6.15`, `1.0.5-social-amd64`, `6-alpine`), so it has an ordering of its own, see [`AppVersion`].

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest accepted app version, in bytes. A version becomes a label, a file name and part of a result line.
pub const APP_VERSION_MAX_BYTES: usize = 128;

/// A version of a recipe. Displays as exactly the text it was parsed from.
///
/// Ordered by the recipe's semver, then by the app's version; equal only when the texts are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// The recipe's own version, before the first `+`. Never has build metadata.
    pub recipe: semver::Version,
    /// The version of the app that the recipe packages, after the first `+`.
    pub app: AppVersion,
}

/// The version of an app: one to [`APP_VERSION_MAX_BYTES`] letters, digits, `.`, `-`, `_` or `+`.
///
/// Ordered as people read it: a `v` before a number is ignored, runs of digits compare as numbers, words as text.
/// A word that announces a release (`alpha`, `beta`, `rc` …) sorts before its absence, any other word after it, and a
/// number after a word: `1.0-rc1 < 1.0 < 1.0-alpine < 1.0.1`. What reads the same (`v1.0`, `1.0`, `1.00`) is ordered by its text,
/// so that the order is total and agrees with equality.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AppVersion(String);

/// Why a text is not a [`Version`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VersionError {
    /// There is no `+`, so no app version.
    #[error("`{text}` is not a version: it needs the app's version after a `+`, as in `1.2.3+4.5`")]
    NoAppVersion {
        /// The text that was given.
        text: String,
    },
    /// The part before the `+` is not semver.
    #[error("`{text}` is not a version: its recipe part `{part}` is not semver ({why})")]
    Recipe {
        /// The text that was given.
        text: String,
        /// The part before the first `+`.
        part: String,
        /// What the semver parser says.
        why: String,
    },
    /// The part after the `+` is empty, too long or has a character that no version has.
    #[error("`{text}` is not a version: its app part {why}")]
    App {
        /// The text that was given, cut when it is very long.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((recipe, app)) = text.split_once('+') else {
            return Err(VersionError::NoAppVersion { text: shown(text) });
        };
        let recipe = recipe
            .parse()
            .map_err(|error: semver::Error| VersionError::Recipe {
                text: shown(text),
                part: shown(recipe),
                why: error.to_string(),
            })?;
        let app = AppVersion::new(app).map_err(|why| VersionError::App {
            text: shown(text),
            why,
        })?;
        Ok(Self { recipe, app })
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.recipe, self.app)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A version of a recipe: `<recipe-semver>+<app-version>`, the same text as the git tag.",
            "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?\+[0-9A-Za-z._+-]{1,128}$",
            "examples": ["10.7.1+26.6.2", "5.1.1+v3.6.15"],
        })
    }
}

impl AppVersion {
    fn new(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if text.len() > APP_VERSION_MAX_BYTES {
            return Err("is longer than 128 characters");
        }
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || is_separator(byte))
        {
            return Err("may have only letters, digits, `.`, `-`, `_` and `+`");
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as it stands in the tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text without a `v` that stands directly before a number.
    fn unprefixed(&self) -> &str {
        match self.0.strip_prefix(['v', 'V']) {
            Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit()) => rest,
            _ => &self.0,
        }
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        self.unprefixed()
            .split(['.', '-', '_', '+'])
            .filter(|part| !part.is_empty())
    }
}

impl fmt::Display for AppVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for AppVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        tokens(self)
            .cmp(tokens(other))
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for AppVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One step of reading an app version; the order of the variants is the order of versions. Every sequence ends in
/// `End`, so none is a prefix of another and comparing sequences is a total order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Token<'a> {
    Announcing(&'a str),
    End,
    Word(&'a str),
    /// Digits without leading zeros, by length first: any number of digits compares right.
    Number(usize, &'a str),
}

/// Words for a release that is still to come.
const ANNOUNCING: [&str; 10] = [
    "dev", "snapshot", "nightly", "alpha", "a", "beta", "b", "preview", "pre", "rc",
];

fn tokens(version: &AppVersion) -> impl Iterator<Item = Token<'_>> {
    version
        .parts()
        .flat_map(runs)
        .map(token)
        .chain(std::iter::once(Token::End))
}

/// Splits where digits meet other characters: `2rc1` is `2`, `rc`, `1`.
fn runs(part: &str) -> impl Iterator<Item = &str> {
    let mut rest = part;
    std::iter::from_fn(move || {
        let digits = rest.bytes().next()?.is_ascii_digit();
        let end = rest
            .bytes()
            .position(|byte| byte.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(run)
    })
}

fn token(run: &str) -> Token<'_> {
    if run.bytes().all(|byte| byte.is_ascii_digit()) {
        let digits = run.trim_start_matches('0');
        Token::Number(digits.len(), digits)
    } else if ANNOUNCING.iter().any(|word| run.eq_ignore_ascii_case(word)) {
        Token::Announcing(run)
    } else {
        Token::Word(run)
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b'-' | b'_' | b'+')
}

/// At most 160 characters of a text that may be hostile.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(160).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Which part of a version rises in its first component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MajorPart {
    /// The recipe's semver major.
    Recipe,
    /// The first component of the app's version.
    App,
}

impl fmt::Display for MajorPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recipe => "recipe",
            Self::App => "app",
        })
    }
}

/// Whether going from `from` to `to` is a major upgrade, and by which part; the recipe's part is named first.
///
/// The rule errs towards a hold where the app's version cannot be compared as a number:
/// - a first component that is a word on either side (`latest`, a commit's hash) and differs is a rise;
/// - one that is the same word on both sides (`release-3.1`, `release-4.0`) is passed over and the next one decides;
/// - a first component that *falls* while the recipe's version rises (`2024.1` to `5.0`: renumbered, or an older app on
///   data that a newer one wrote) is a rise.
pub fn major_rise(from: &Version, to: &Version) -> Option<MajorPart> {
    if to.recipe.major > from.recipe.major {
        return Some(MajorPart::Recipe);
    }
    let rises = match leading_difference(&from.app, &to.app) {
        None => false,
        Some(Difference::Numbers(order)) => order == Ordering::Less || to.recipe > from.recipe,
        Some(Difference::Words) => true,
    };
    rises.then_some(MajorPart::App)
}

enum Difference {
    /// How the number in `from` compares with that in `to`.
    Numbers(Ordering),
    Words,
}

fn leading_difference(from: &AppVersion, to: &AppVersion) -> Option<Difference> {
    let (mut from, mut to) = (from.parts(), to.parts());
    loop {
        let (before, after) = match (from.next(), to.next()) {
            (None, None) => return None,
            (Some(before), Some(after)) => (before, after),
            _ => return Some(Difference::Words),
        };
        match (number(before), number(after)) {
            (Some(before), Some(after)) => {
                let order = before.cmp(&after);
                return (order != Ordering::Equal).then_some(Difference::Numbers(order));
            }
            (None, None) if before == after => {}
            _ => return Some(Difference::Words),
        }
    }
}

/// A component as a number, by length first and then by digits; a `v` before it counts for nothing.
fn number(part: &str) -> Option<(usize, &str)> {
    let digits = part.strip_prefix(['v', 'V']).unwrap_or(part);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    Some((digits.len(), digits))
}

/// Which versions of a recipe an object wants: `latest`, a range over the recipe's part, or one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum VersionPolicy {
    /// The newest version that is not a pre-release of the recipe.
    #[default]
    Latest,
    /// Versions whose recipe part matches, with Cargo's operators: `~10.7`, `>=1.2, <2`, `10.*`.
    Range(semver::VersionReq),
    /// Exactly this version.
    Pin(Version),
}

/// Why a text is not a [`VersionPolicy`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VersionPolicyError {
    /// Empty text.
    #[error(
        "the version is empty; write `latest`, a range such as `~10.7`, or a whole version such as `10.7.1+26.6.2`"
    )]
    Empty,
    /// A number without an operator: one version to some, a range to others.
    #[error(
        "`{text}` can mean one version or many; write `={text}` for exactly that, `~{text}` to take fixes, `^{text}` to take everything up to the next major, or the whole tag (`{text}+<app version>`)"
    )]
    Ambiguous {
        /// The comparator without an operator.
        text: String,
    },
    /// Operators and `+` together.
    #[error(
        "`{text}` is a range with a `+`; a range is over the recipe's part only, leave out `+` and what follows"
    )]
    RangeWithApp {
        /// The text that was given.
        text: String,
    },
    /// Not a range the semver rules know.
    #[error("`{text}` is not a range of versions ({why}); examples: `~10.7`, `>=1.2, <2`, `10.*`")]
    Range {
        /// The text that was given.
        text: String,
        /// What the semver parser says.
        why: String,
    },
    /// Has a `+` but is not a version.
    #[error(transparent)]
    Pin(#[from] VersionError),
}

impl VersionPolicy {
    /// Whether this policy allows that version. A pre-release of the recipe (`2.0.0-rc.1+…`) needs a range or a pin that names it.
    pub fn matches(&self, version: &Version) -> bool {
        match self {
            Self::Latest => version.recipe.pre.is_empty(),
            Self::Range(range) => range.matches(&version.recipe),
            Self::Pin(pinned) => pinned == version,
        }
    }
}

impl FromStr for VersionPolicy {
    type Err = VersionPolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            return Err(VersionPolicyError::Empty);
        }
        if text.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        if text.contains('+') {
            if text.starts_with(['~', '^', '=', '<', '>', '*']) {
                return Err(VersionPolicyError::RangeWithApp { text: shown(text) });
            }
            return Ok(Self::Pin(text.parse()?));
        }
        let range = text
            .parse()
            .map_err(|error: semver::Error| VersionPolicyError::Range {
                text: shown(text),
                why: error.to_string(),
            })?;
        match text.split(',').map(str::trim).find(|part| is_bare(part)) {
            Some(part) => Err(VersionPolicyError::Ambiguous { text: shown(part) }),
            None => Ok(Self::Range(range)),
        }
    }
}

fn is_bare(comparator: &str) -> bool {
    comparator.starts_with(|first: char| first.is_ascii_digit())
        && !comparator.contains(['*', 'x', 'X'])
}

impl TryFrom<String> for VersionPolicy {
    type Error = VersionPolicyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VersionPolicy> for String {
    fn from(policy: VersionPolicy) -> Self {
        policy.to_string()
    }
}

impl fmt::Display for VersionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Range(range) => range.fmt(f),
            Self::Pin(version) => version.fmt(f),
        }
    }
}

impl JsonSchema for VersionPolicy {
    fn schema_name() -> Cow<'static, str> {
        "VersionPolicy".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "`latest`, a range over the recipe's part such as `~10.7` or `>=1.2, <2`, or one version such as `10.7.1+26.6.2`.",
            "default": "latest",
            "minLength": 1,
            "examples": ["latest", "~10.7", ">=1.2, <2", "10.7.1+26.6.2"],
        })
    }
}

#[cfg(test)]
mod tests;
