//! YAML in and out: the one place that knows the library.
//!
//! Reading is strict: unknown fields and duplicate keys are errors, `yes` is a string (not true), `0440` is octal as every
//! compose file means it, and aliases, depth and size are bounded. The limits are for files that people write by hand.

use serde::Serialize;
use serde::de::DeserializeOwned;
pub use serde_saphyr::Spanned;
use serde_saphyr::granit_parser::{Event, Parser, Span};
use serde_saphyr::{Error, Options};

use crate::problem::Problem;

/// The largest manifest that is read, in bytes. Every object of ours is far below; a larger file is a mistake or an attack.
pub const LIMIT_BYTES: usize = 1 << 20;

fn options() -> Options {
    let mut options = Options::default();
    options.strict_booleans = true;
    options.legacy_octal_numbers = true;
    options.with_snippet = false;
    options
}

/// Reads one YAML document strictly. `file` is what problems call it.
///
/// # Errors
/// A [`Problem`] with line, column, the line itself and, for a misspelt name, what was probably meant.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Problem> {
    if text.len() > LIMIT_BYTES {
        return Err(Problem::whole(
            file,
            format!("larger than {LIMIT_BYTES} bytes, the limit for one object"),
        ));
    }
    serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| problem(file, text, &error))
}

/// Writes a value as YAML.
///
/// # Errors
/// Only when a value cannot be said in YAML (a map with a sequence for a key); none of our types is such.
pub fn write<T: Serialize>(value: &T) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}

fn problem(file: &str, text: &str, error: &Error) -> Problem {
    let error = error.without_snippet();
    let (message, suggestion) = match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => (
            format!("unknown field `{field}`"),
            did_you_mean(field, expected),
        ),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => (
            format!(
                "unknown value `{variant}`: expected one of {}",
                expected.join(", ")
            ),
            did_you_mean(variant, expected),
        ),
        Error::SerdeMissingField { field, .. } => (format!("missing field `{field}`"), None),
        other => (bare_message(other), None),
    };
    let place = error
        .location()
        .filter(|at| at.line() > 0)
        .map(|at| (at.line(), at.column()));
    // The library says where the mapping ended; a person looks where it begins.
    let place = match error {
        Error::SerdeMissingField { .. } => place.map(|at| owner_of(text, at)),
        _ => place,
    };
    match place {
        Some(at) => Problem::at(file, text, at, message).suggesting(suggestion),
        None => Problem::whole(file, message).suggesting(suggestion),
    }
}

/// The place of the key whose mapping has a key at `at`; `at` itself where there is no such mapping.
fn owner_of(text: &str, at: (u64, u64)) -> (u64, u64) {
    /// A mapping or sequence that is open: the place it is known by, and in a mapping that of the key whose value is next.
    struct Open {
        owner: (u64, u64),
        key: Option<(u64, u64)>,
        is_mapping: bool,
    }
    let mut open: Vec<Open> = Vec::new();
    let mut found = None;
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else {
            return at;
        };
        let place = (span.start.line() as u64, span.start.col() as u64 + 1);
        let is_mapping = matches!(event, Event::MappingStart(..));
        if let Some(owner) = found {
            // A key without a value is itself what lacks the field.
            let empty =
                matches!(&event, Event::Scalar(text, ..) if matches!(text.as_ref(), "" | "~"));
            return if empty { at } else { owner };
        }
        match event {
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                continue;
            }
            Event::MappingStart(..)
            | Event::SequenceStart(..)
            | Event::Scalar(..)
            | Event::Alias(..) => {}
            _ => continue,
        }
        let opens = is_mapping || matches!(event, Event::SequenceStart(..));
        let owner = match open.last_mut() {
            None => (1, 1),
            Some(Open {
                is_mapping: false, ..
            }) => place,
            Some(mapping) => match mapping.key.take() {
                Some(key) => key,
                None if place == at => {
                    found = Some(mapping.owner);
                    continue;
                }
                None => {
                    mapping.key = Some(place);
                    place
                }
            },
        };
        if opens {
            open.push(Open {
                owner,
                key: None,
                is_mapping,
            });
        }
    }
    at
}

/// The library ends its messages with the place, which a [`Problem`] already says.
fn bare_message(error: &Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let text = text.split(" at line ").next().unwrap_or(text);
    // What the library says in Rust's words, in a person's.
    if text.starts_with("cannot deserialize null") {
        return "there is no value: write one, or leave the field out".to_owned();
    }
    match text {
        "expected string scalar" => return "expected a text here".to_owned(),
        "expected mapping start" => return "expected fields here, as `name: value`".to_owned(),
        "expected sequence start" => return "expected a list here, as `- item`".to_owned(),
        "invalid boolean (strict mode expects true/false)" => {
            return "expected true or false here".to_owned();
        }
        _ => {}
    }
    match text.strip_prefix("invalid ") {
        Some(number) if number.starts_with(['u', 'i']) && number[1..].parse::<u8>().is_ok() => {
            "not a whole number, or too small or large".to_owned()
        }
        _ => text.to_owned(),
    }
}

pub(crate) fn did_you_mean(word: &str, known: &[&str]) -> Option<String> {
    let lower = word.to_lowercase();
    let nearest = known
        .iter()
        .min_by_key(|k| strsim::damerau_levenshtein(&lower, &k.to_lowercase()))?;
    let distance = strsim::damerau_levenshtein(&lower, &nearest.to_lowercase());
    (distance <= (word.len() / 3).max(2))
        .then(|| format!("did you mean `{nearest}`?"))
        .or_else(|| {
            (!known.is_empty() && known.len() <= 24)
                .then(|| format!("known here: {}", known.join(", ")))
        })
}

/// One step of a path into a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The value under this key; its place is that of the key.
    Key(&'a str),
    /// The item at this index.
    Item(usize),
}

/// Where `path` stands in `text`: line and column from 1. The longest part of the path that exists answers; a text that
/// does not parse answers (1, 1).
pub fn locate(text: &str, path: &[Step<'_>]) -> (u64, u64) {
    let mut walk = Walk {
        events: Parser::new_from_str(text),
        best: (1, 1),
        done: false,
    };
    while let Some((event, span)) = walk.next() {
        if !matches!(
            event,
            Event::StreamStart | Event::DocumentStart(..) | Event::Comment(..)
        ) {
            walk.node(&event, span, Some(path));
            break;
        }
    }
    walk.best
}

/// Turns `spec.dependsOn[0].name` into steps.
pub fn path(text: &str) -> Vec<Step<'_>> {
    text.split(['.', '[', ']'])
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_or(Step::Key(part), Step::Item))
        .collect()
}

struct Walk<
    't,
    I: Iterator<Item = Result<(Event<'t>, Span), serde_saphyr::granit_parser::ScanError>>,
> {
    events: I,
    best: (u64, u64),
    done: bool,
}

impl<'t, I: Iterator<Item = Result<(Event<'t>, Span), serde_saphyr::granit_parser::ScanError>>>
    Walk<'t, I>
{
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        if self.done {
            return None;
        }
        self.events
            .find_map(|event| match event {
                Ok((Event::Comment(..), _)) => None,
                other => Some(other),
            })?
            .ok()
    }

    fn mark(&mut self, span: Span) {
        self.best = (span.start.line() as u64, span.start.col() as u64 + 1);
    }

    /// Walks over one node. `path` is what is still to be found below it, or nothing when this is another branch.
    fn node(&mut self, event: &Event<'t>, span: Span, path: Option<&[Step<'_>]>) {
        if path.is_some_and(<[_]>::is_empty) {
            self.done = true;
            return;
        }
        match event {
            Event::MappingStart(..) => self.mapping(path),
            Event::SequenceStart(..) => self.sequence(span, path),
            _ => {}
        }
    }

    fn mapping(&mut self, path: Option<&[Step<'_>]>) {
        while let Some((key, span)) = self.next() {
            if matches!(key, Event::MappingEnd) {
                return;
            }
            let mut below = None;
            if let (Event::Scalar(text, ..), Some([Step::Key(wanted), rest @ ..])) = (&key, path)
                && text.as_ref() == *wanted
            {
                self.mark(span);
                below = Some(rest);
            } else {
                self.node(&key, span, None);
            }
            let Some((value, span)) = self.next() else {
                return;
            };
            self.node(&value, span, below);
        }
    }

    fn sequence(&mut self, _span: Span, path: Option<&[Step<'_>]>) {
        let mut index = 0;
        while let Some((item, span)) = self.next() {
            if matches!(item, Event::SequenceEnd) {
                return;
            }
            let below = match path {
                Some([Step::Item(wanted), rest @ ..]) if *wanted == index => {
                    self.mark(span);
                    Some(rest)
                }
                _ => None,
            };
            self.node(&item, span, below);
            index += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[allow(dead_code)]
    struct Sample {
        recipe: String,
        #[serde(default)]
        depends_on: Vec<String>,
        #[serde(default)]
        env: BTreeMap<String, String>,
        #[serde(default)]
        flag: bool,
    }

    #[test]
    fn read_should_say_where_and_what_was_meant() {
        let problem = read::<Sample>("a.yaml", "recipe: x\ndependson: [a]\n").unwrap_err();
        assert_eq!((problem.line, problem.column), (2, 1), "{problem}");
        assert_eq!(problem.source_line, "dependson: [a]");
        assert!(
            problem.to_string().contains("did you mean `dependsOn`?"),
            "{problem}"
        );
    }

    #[test]
    fn read_should_refuse_duplicate_keys_and_loose_booleans() {
        assert!(read::<Sample>("a.yaml", "recipe: x\nrecipe: y\n").is_err());
        assert!(read::<Sample>("a.yaml", "recipe: x\nflag: yes\n").is_err());
        let sample = read::<Sample>("a.yaml", "recipe: x\nenv: {A: yes, B: '1'}\n").unwrap();
        assert_eq!(sample.env["A"], "yes");
    }

    #[test]
    fn read_should_survive_hostile_input() {
        let deep = "[".repeat(100_000);
        assert!(read::<Sample>("a.yaml", &deep).is_err());
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            use std::fmt::Write as _;
            let before = if i == 1 {
                "a".to_owned()
            } else {
                format!("a{}", i - 1)
            };
            writeln!(bomb, "b{i}: &a{i} [*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before}]").unwrap();
        }
        assert!(read::<BTreeMap<String, Vec<Vec<String>>>>("a.yaml", &bomb).is_err());
        assert!(read::<Sample>("a.yaml", &"x".repeat(LIMIT_BYTES + 1)).is_err());
    }

    #[test]
    fn missing_fields_should_be_said_of_the_mapping() {
        #[derive(serde::Deserialize, Debug)]
        #[allow(dead_code)]
        struct Outer {
            list: Vec<BTreeMap<String, Inner>>,
        }
        #[derive(serde::Deserialize, Debug)]
        #[allow(dead_code)]
        struct Inner {
            a: u8,
            b: u8,
        }
        let place = |text: &str| {
            let problem = read::<Outer>("a.yaml", text).unwrap_err();
            (problem.line, problem.column)
        };
        assert_eq!(place("list:\n  - x:\n      a: 1\n"), (2, 5));
        assert_eq!(place("list: [{x: {b: 1}}]\n"), (1, 9));
        assert_eq!(place("list:\n  - {x: {a: 1}, y: {}}\n"), (2, 6));
        assert_eq!(place("other: 1\nmore: {a: 1}\n"), (1, 1));
    }

    #[test]
    fn locate_should_find_a_nested_item() {
        let text = "spec:\n  a: {b: 1}\n  dependsOn:\n    - kind: WarmApp\n      name: x\n    - kind: WarmApp\n      name: y\n";
        assert_eq!(locate(text, &path("spec.dependsOn[1].name")), (7, 7));
        assert_eq!(locate(text, &path("spec.a.b")), (2, 7));
        assert_eq!(locate(text, &path("spec.dependsOn[7].name")), (3, 3));
        assert_eq!(locate("{{{", &path("spec")), (1, 1));
    }
}
