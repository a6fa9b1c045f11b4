//! The shape of a compose file: which keys exist since which version, and what they hold.
//!
//! `rules` is the table, this is what checks a tree against it. The first fault found is the one reported.

mod rules;

use crate::error::{LoadError, Position, Problem, Warning};
use crate::ports;
use crate::quantity;
use crate::yaml::{Node, Value};

/// A version of the compose format: the `minor` of `3.minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub u8);

/// No version, an empty one and a plain `3` are all this one.
pub(crate) const LATEST: Version = Version(13);

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "3.{}", self.0)
    }
}

/// What a value may be.
pub(crate) enum Rule {
    /// Anything.
    Any,
    /// One of some scalar types.
    Scalar(&'static [Kind]),
    /// Text of a form.
    Text(Form),
    /// One of some texts.
    Choice(&'static [&'static str]),
    /// A list.
    List(&'static Rule, Items),
    /// A mapping with free keys.
    Map(Keys, &'static Rule),
    /// A mapping with known keys.
    Object(&'static Object),
    /// A short form, a list or a mapping: the first rule that takes the type of the value judges it.
    Either(&'static [&'static Rule]),
    /// A port: a number or text.
    Port,
    /// A rule before a version, another from it on.
    Since(u8, &'static Rule, &'static Rule),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Bool,
    /// A whole number; `3.0` is one.
    Int,
    /// A whole number from 0.
    Natural,
    Number,
    Null,
}

#[derive(Clone, Copy)]
pub(crate) enum Form {
    Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Items {
    Distinct,
    Free,
}

/// Which keys a mapping with free keys may have.
#[derive(Clone, Copy)]
pub(crate) enum Keys {
    /// Any but the empty one.
    Filled,
    /// Letters, digits, dot, dash and underscore; others are refused.
    Names,
    /// The same, but others are let through unchecked.
    NamesOrUnchecked,
    /// Lower case letters are checked, others let through unchecked.
    LowerOrUnchecked,
}

pub(crate) struct Object {
    pub fields: &'static [Field],
    pub required: &'static [&'static str],
    pub extra: Extra,
    pub null: Null,
}

pub(crate) struct Field(pub &'static str, pub u8, pub &'static Rule);

/// What happens to keys that are not listed.
#[derive(Clone, Copy)]
pub(crate) enum Extra {
    Refuse,
    Ignore,
    /// Keys that start with `x-` are let through from this version on.
    Extensions(u8),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Null {
    Refuse,
    Allow,
}

/// Checks a whole file.
///
/// # Errors
/// The first key or value that version does not know.
pub(crate) fn check(
    root: &Node,
    version: Version,
    warnings: &mut Vec<Warning>,
) -> Result<(), LoadError> {
    Check { version, warnings }.object(root, &rules::TOP, "")
}

struct Check<'check> {
    version: Version,
    warnings: &'check mut Vec<Warning>,
}

impl Check<'_> {
    fn node(&mut self, node: &Node, rule: &Rule, path: &str) -> Result<(), LoadError> {
        match rule {
            Rule::Any => Ok(()),
            Rule::Scalar(kinds) if kinds.iter().any(|kind| is(node, *kind)) => Ok(()),
            Rule::Scalar(kinds) => Err(wrong_type(node, path, &names(kinds))),
            Rule::Text(Form::Duration) => duration(node, path),
            Rule::Choice(texts) => match node.text() {
                Some(text) if texts.contains(&text) => Ok(()),
                Some(text) => Err(wrong_value(
                    node,
                    path,
                    text,
                    &format!("one of {}", texts.join(", ")),
                )),
                None => Err(wrong_type(node, path, "text")),
            },
            Rule::List(item, items) => self.list(node, item, *items, path),
            Rule::Map(keys, value) => self.map(node, *keys, value, path),
            Rule::Object(object) => self.object(node, object, path),
            Rule::Either(rules) => match rules.iter().find(|rule| takes(node, rule)) {
                Some(rule) => self.node(node, rule, path),
                None => Err(wrong_type(
                    node,
                    path,
                    &rules
                        .iter()
                        .map(|rule| shape(rule))
                        .collect::<Vec<_>>()
                        .join(" or "),
                )),
            },
            Rule::Port => port(node, path),
            Rule::Since(minor, before, after) => {
                let rule = if self.version.0 < *minor {
                    before
                } else {
                    after
                };
                self.node(node, rule, path)
            }
        }
    }

    fn list(
        &mut self,
        node: &Node,
        item: &Rule,
        items: Items,
        path: &str,
    ) -> Result<(), LoadError> {
        let Some(list) = node.list() else {
            return Err(wrong_type(node, path, "a list"));
        };
        for (index, node) in list.iter().enumerate() {
            self.node(node, item, &format!("{path}[{index}]"))?;
            if items == Items::Distinct
                && let Some(first) = list[..index].iter().position(|earlier| earlier.same(node))
            {
                let problem = Problem::NotUnique {
                    first,
                    second: index,
                };
                return Err(LoadError::at(&node.at, path, problem));
            }
        }
        Ok(())
    }

    fn map(&mut self, node: &Node, keys: Keys, value: &Rule, path: &str) -> Result<(), LoadError> {
        let Some(map) = node.map() else {
            return Err(wrong_type(node, path, "a mapping"));
        };
        for (key, entry) in map {
            match fit(keys, key) {
                Fit::Check => self.node(&entry.node, value, &child(path, key))?,
                Fit::Unchecked => {}
                Fit::Refuse => return Err(unknown(&entry.key_at, path, key, None)),
            }
        }
        Ok(())
    }

    fn object(&mut self, node: &Node, object: &Object, path: &str) -> Result<(), LoadError> {
        if node.is_null() && object.null == Null::Allow {
            return Ok(());
        }
        let Some(map) = node.map() else {
            return Err(wrong_type(node, path, "a mapping"));
        };
        for (key, entry) in map {
            match object.fields.iter().find(|Field(name, ..)| name == key) {
                Some(Field(_, since, rule)) if *since <= self.version.0 => {
                    self.node(&entry.node, rule, &child(path, key))?;
                }
                known => self.extra(object, known, &entry.key_at, path, key)?,
            }
        }
        match object.required.iter().find(|key| !map.contains_key(**key)) {
            Some(key) => Err(LoadError::at(&node.at, path, Problem::MissingKey(key))),
            None => Ok(()),
        }
    }

    fn extra(
        &mut self,
        object: &Object,
        known: Option<&Field>,
        at: &Position,
        path: &str,
        key: &str,
    ) -> Result<(), LoadError> {
        match object.extra {
            Extra::Ignore => {
                self.warnings.push(Warning {
                    path: child(path, key),
                    message: "is not a key known here and may be ignored".to_owned(),
                });
                Ok(())
            }
            Extra::Extensions(since) if key.starts_with("x-") && self.version.0 >= since => Ok(()),
            _ => {
                let advice = match known {
                    Some(Field(_, since, _)) => {
                        Some(format!("it needs `version: \"3.{since}\"` or later"))
                    }
                    None => advice(key, object.fields),
                };
                Err(unknown(at, path, key, advice))
            }
        }
    }
}

/// Keys of the Compose Specification that people meet elsewhere, and the closest known key otherwise.
fn advice(key: &str, fields: &[Field]) -> Option<String> {
    let known = match key {
        "name" => Some("the stack is named when it is deployed"),
        "profiles" | "include" => Some("list the files of the stack instead"),
        "scale" => Some("use deploy.replicas"),
        "cpus" => Some("use deploy.resources.limits.cpus"),
        _ => None,
    };
    if let Some(text) = known {
        return Some(text.to_owned());
    }
    fields
        .iter()
        .map(|Field(name, ..)| (distance(name, key), name))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

/// Edits between two keys.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

enum Fit {
    Check,
    Unchecked,
    Refuse,
}

fn fit(keys: Keys, key: &str) -> Fit {
    let name = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let lower = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase());
    match keys {
        Keys::Filled if key.is_empty() => Fit::Refuse,
        Keys::Names if !name => Fit::Refuse,
        Keys::NamesOrUnchecked if !name => Fit::Unchecked,
        Keys::LowerOrUnchecked if !lower => Fit::Unchecked,
        _ => Fit::Check,
    }
}

fn is(node: &Node, kind: Kind) -> bool {
    let whole = match &node.value {
        Value::Int(number) => Some(*number >= 0),
        Value::Float(number) if number.fract() == 0.0 => Some(*number >= 0.0),
        _ => None,
    };
    match kind {
        Kind::Text => matches!(node.value, Value::Text(_) | Value::Time(_)),
        Kind::Bool => matches!(node.value, Value::Bool(_)),
        Kind::Int => whole.is_some(),
        Kind::Natural => whole == Some(true),
        Kind::Number => match node.value {
            Value::Float(number) => number.is_finite(),
            _ => matches!(node.value, Value::Int(_)),
        },
        Kind::Null => node.is_null(),
    }
}

fn takes(node: &Node, rule: &Rule) -> bool {
    match rule {
        Rule::Any => true,
        Rule::Scalar(kinds) => kinds.iter().any(|kind| is(node, *kind)),
        Rule::Text(_) | Rule::Choice(_) => is(node, Kind::Text),
        Rule::List(..) => node.list().is_some(),
        Rule::Map(..) => node.map().is_some(),
        Rule::Object(object) => {
            node.map().is_some() || (node.is_null() && object.null == Null::Allow)
        }
        Rule::Either(rules) => rules.iter().any(|rule| takes(node, rule)),
        Rule::Port => is(node, Kind::Text) || is(node, Kind::Number),
        Rule::Since(_, before, after) => takes(node, before) || takes(node, after),
    }
}

fn names(kinds: &[Kind]) -> String {
    let names: Vec<&str> = kinds
        .iter()
        .map(|kind| match kind {
            Kind::Text => "text (put it in quotes)",
            Kind::Bool => "true or false",
            Kind::Int => "a whole number",
            Kind::Natural => "a whole number from 0",
            Kind::Number => "a number",
            Kind::Null => "nothing",
        })
        .collect();
    names.join(" or ")
}

fn shape(rule: &Rule) -> String {
    match rule {
        Rule::Any => "anything".to_owned(),
        Rule::Scalar(kinds) => names(kinds),
        Rule::Text(_) | Rule::Choice(_) => "text".to_owned(),
        Rule::List(..) => "a list".to_owned(),
        Rule::Map(..) | Rule::Object(_) => "a mapping".to_owned(),
        Rule::Either(rules) => rules
            .iter()
            .map(|rule| shape(rule))
            .collect::<Vec<_>>()
            .join(" or "),
        Rule::Port => "a port".to_owned(),
        Rule::Since(_, _, after) => shape(after),
    }
}

fn duration(node: &Node, path: &str) -> Result<(), LoadError> {
    match node.text() {
        Some(text) if quantity::duration(text).is_some() => Ok(()),
        Some(text) => Err(wrong_value(
            node,
            path,
            text,
            "a duration such as 1m30s (units ns, us, ms, s, m, h)",
        )),
        None => Err(wrong_type(
            node,
            path,
            "a duration such as 1m30s, in quotes where needed",
        )),
    }
}

fn port(node: &Node, path: &str) -> Result<(), LoadError> {
    let text = match &node.value {
        Value::Int(_) => node.print().unwrap_or_default(),
        Value::Text(text) => text.clone(),
        Value::Float(_) => {
            return Err(wrong_type(
                node,
                path,
                "a whole number without a point, or text",
            ));
        }
        _ => {
            return Err(wrong_type(
                node,
                path,
                "a port such as 8080:80, in quotes, or a mapping",
            ));
        }
    };
    match ports::parse(&text) {
        Ok(_) => Ok(()),
        Err(reason) => Err(wrong_value(
            node,
            path,
            &text,
            &format!(
                "a port of the form [IP:][HOST[-END]]:CONTAINER[-END][/tcp|udp|sctp]: {reason}"
            ),
        )),
    }
}

fn wrong_type(node: &Node, path: &str, expected: &str) -> LoadError {
    let found = match node.value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Time(_) => "a date",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    };
    let problem = Problem::Type {
        expected: expected.to_owned(),
        found,
    };
    LoadError::at(&node.at, path, problem)
}

fn wrong_value(node: &Node, path: &str, value: &str, expected: &str) -> LoadError {
    let problem = Problem::Value {
        value: value.to_owned(),
        expected: expected.to_owned(),
    };
    LoadError::at(&node.at, path, problem)
}

fn unknown(at: &Position, path: &str, key: &str, suggestion: Option<String>) -> LoadError {
    let problem = Problem::UnknownKey {
        key: key.to_owned(),
        suggestion,
    };
    LoadError::at(at, path, problem)
}

fn child(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
