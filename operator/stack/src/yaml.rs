//! YAML text to a tree with positions: the first document only, `<<` merged, aliases copied within limits.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use indexmap::IndexMap;

use crate::error::{LoadError, Position, Problem};
use crate::scalar::{self, Scalar};

/// Real stacks stay under a twentieth of each of these; hostile text does not.
const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 100_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub at: Position,
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// A date, as Go prints it: text for the schema, but no text where text is wanted.
    Time(String),
    Text(String),
    List(Vec<Node>),
    Map(IndexMap<String, Entry>),
}

/// One value of a mapping, with the place of its key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key_at: Position,
    pub node: Node,
}

impl Node {
    pub(crate) fn map(&self) -> Option<&IndexMap<String, Entry>> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.get(key).map(|entry| &entry.node)
    }

    /// The value as Go's `fmt.Sprint` writes it; `None` for null and for collections.
    pub(crate) fn print(&self) -> Option<String> {
        match &self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.to_string()),
            Value::Float(value) => Some(scalar::print_float(*value)),
            Value::Time(text) | Value::Text(text) => Some(text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether two nodes are the same to a JSON Schema: positions, the order of keys and `3` against `3.0` do not count.
    pub(crate) fn same(&self, other: &Node) -> bool {
        match (&self.value, &other.value) {
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, entry)| {
                        b.get(key).is_some_and(|other| entry.node.same(&other.node))
                    })
            }
            (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
                self.print() == other.print()
            }
            (a, b) => a == b,
        }
    }
}

/// Reads the first document of `text`.
///
/// # Errors
/// Text that is not YAML, a repeated key, a key that is not text, and whatever is over the limits.
pub(crate) fn parse(file: &Arc<str>, text: &str) -> Result<Node, LoadError> {
    let mut builder = Builder {
        file: Arc::clone(file),
        parser: Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)),
        anchors: HashMap::new(),
        nodes: 0,
    };
    if text.len() > MAX_BYTES {
        let start = Position {
            file: Arc::clone(file),
            line: 1,
            column: 1,
        };
        let problem = Problem::Limit {
            what: "the number of bytes",
            limit: MAX_BYTES,
        };
        return Err(LoadError::at(&start, "", problem));
    }
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamEnd => return Err(builder.fail(span, Problem::TopLevel)),
            Event::StreamStart | Event::DocumentStart(..) => {}
            other => return builder.node(other, span, 0),
        }
    }
}

struct Builder<'text> {
    file: Arc<str>,
    parser: Parser<'text, StrInput<'text>>,
    /// Complete anchored nodes with what copying one costs, so that it is paid for before it is done.
    anchors: HashMap<usize, Anchor>,
    nodes: usize,
}

struct Anchor {
    node: Node,
    nodes: usize,
    height: usize,
}

/// A key before it is known whether it is a merge, with the raw text that duplicates are judged by.
struct Key {
    raw: String,
    at: Position,
    merge: bool,
}

impl<'text> Builder<'text> {
    fn position(&self, span: Span) -> Position {
        Position {
            file: Arc::clone(&self.file),
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }

    fn fail(&self, span: Span, problem: Problem) -> LoadError {
        LoadError::at(&self.position(span), "", problem)
    }

    fn next(&mut self) -> Result<(Event<'text>, Span), LoadError> {
        match self
            .parser
            .find(|event| !matches!(event, Ok((Event::Comment(..), _))))
        {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => {
                let marker = *error.marker();
                let problem = Problem::Syntax(error.info());
                Err(self.fail(Span::empty(marker), problem))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn count(&mut self, span: Span, nodes: usize) -> Result<(), LoadError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let problem = Problem::Limit {
                what: "the number of values, aliases counted in full,",
                limit: MAX_NODES,
            };
            return Err(self.fail(span, problem));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Node, LoadError> {
        self.deep(span, depth)?;
        let before = self.nodes;
        self.count(span, 1)?;
        let at = self.position(span);
        let (anchor, value) = match event {
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(&text, style, tag.as_deref(), span)?)
            }
            Event::SequenceStart(_, anchor, _) => (anchor, Value::List(self.list(depth)?)),
            Event::MappingStart(_, anchor, _) => (anchor, Value::Map(self.mapping(depth)?)),
            _ => return Err(self.fail(span, Problem::Syntax("a value was expected".to_owned()))),
        };
        let node = Node { at, value };
        if anchor > 0 {
            let copy = Anchor {
                node: node.clone(),
                nodes: self.nodes - before,
                height: height(&node),
            };
            self.anchors.insert(anchor, copy);
        }
        Ok(node)
    }

    fn deep(&self, span: Span, depth: usize) -> Result<(), LoadError> {
        if depth > MAX_DEPTH {
            let problem = Problem::Limit {
                what: "the depth of nesting",
                limit: MAX_DEPTH,
            };
            return Err(self.fail(span, problem));
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Node, LoadError> {
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(self.fail(span, Problem::Alias));
        };
        let nodes = anchor.nodes;
        self.deep(span, depth + anchor.height)?;
        self.count(span, nodes)?;
        match self.anchors.get(&id) {
            Some(anchor) => Ok(anchor.node.clone()),
            None => Err(self.fail(span, Problem::Alias)),
        }
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Value, LoadError> {
        let Some(tag) = tag else {
            return Ok(match style {
                ScalarStyle::Plain => from_scalar(scalar::resolve(text)),
                _ => Value::Text(text.to_owned()),
            });
        };
        if !tag.is_yaml_core_schema() {
            return Ok(Value::Text(text.to_owned()));
        }
        let value = from_scalar(scalar::resolve(text));
        match (tag.suffix(), &value) {
            ("str", _) => return Ok(Value::Text(text.to_owned())),
            #[expect(clippy::cast_precision_loss, reason = "what the tag asks for")]
            ("float", Value::Int(number)) => return Ok(Value::Float(*number as f64)),
            ("null", Value::Null)
            | ("bool", Value::Bool(_))
            | ("int", Value::Int(_))
            | ("float", Value::Float(_))
            | ("timestamp", Value::Time(_)) => return Ok(value),
            _ => {}
        }
        let problem = Problem::Tag {
            tag: format!("!!{}", tag.suffix()),
            value: text.to_owned(),
        };
        Err(self.fail(span, problem))
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, LoadError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<IndexMap<String, Entry>, LoadError> {
        let mut own: IndexMap<String, Entry> = IndexMap::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut merged: Option<(Node, Span)> = None;
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                found => found,
            };
            let key = self.key(event, span)?;
            if let Some(first) = seen.insert(key.raw.clone(), key.at.line) {
                let problem = Problem::DuplicateKey {
                    key: key.raw,
                    first,
                };
                return Err(self.fail(span, problem));
            }
            let (event, value_span) = self.next()?;
            let node = self.node(event, value_span, depth + 1)?;
            if key.merge {
                merged = Some((node, value_span));
            } else {
                own.insert(
                    key.raw,
                    Entry {
                        key_at: key.at,
                        node,
                    },
                );
            }
        }
        if let Some((node, span)) = merged {
            self.merge(&mut own, node, span)?;
        }
        Ok(own)
    }

    fn key(&mut self, event: Event<'text>, span: Span) -> Result<Key, LoadError> {
        let at = self.position(span);
        match event {
            Event::Scalar(text, style, _, tag) => {
                self.count(span, 1)?;
                let raw = text.to_string();
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let merge = plain && raw == "<<";
                match self.scalar(&text, style, tag.as_deref(), span)? {
                    Value::Text(_) => Ok(Key { raw, at, merge }),
                    _ => Err(self.fail(span, Problem::KeyNotText(raw))),
                }
            }
            Event::Alias(id) => match self.alias(id, span, 0)?.value {
                Value::Text(raw) => Ok(Key {
                    raw,
                    at,
                    merge: false,
                }),
                _ => Err(self.fail(span, Problem::KeyNotText("*".to_owned()))),
            },
            _ => Err(self.fail(span, Problem::KeyNotText("?".to_owned()))),
        }
    }

    /// Keys of the mapping itself win; of several merged mappings the first that has the key does.
    fn merge(
        &self,
        own: &mut IndexMap<String, Entry>,
        node: Node,
        span: Span,
    ) -> Result<(), LoadError> {
        let sources = match node.value {
            Value::List(items) => items,
            _ => vec![node],
        };
        for source in sources {
            let Value::Map(map) = source.value else {
                return Err(self.fail(span, Problem::Merge));
            };
            for (key, entry) in map {
                own.entry(key).or_insert(entry);
            }
        }
        Ok(())
    }
}

/// Levels below a node.
fn height(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => items.iter().map(|item| 1 + height(item)).max().unwrap_or(0),
        Value::Map(map) => map
            .values()
            .map(|entry| 1 + height(&entry.node))
            .max()
            .unwrap_or(0),
        _ => 0,
    }
}

fn from_scalar(scalar: Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(value),
        Scalar::Int(value) => Value::Int(value),
        Scalar::Float(value) => Value::Float(value),
        Scalar::Time(text) => Value::Time(text),
        Scalar::Text(text) => Value::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node, LoadError> {
        parse(&Arc::from("f.yml"), text)
    }

    fn fault(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn parse_should_read_the_first_document_only() {
        let node = read("a: 1\n---\n[broken").unwrap();
        assert_eq!(node.get("a").unwrap().value, Value::Int(1));
    }

    #[test]
    fn parse_should_merge_shallowly_and_let_own_keys_win() {
        let node =
            read("x: &x {a: 1, m: {k: 1}}\ny: &y {a: 2, b: 3}\nz: {<<: [*x, *y], m: {j: 2}}\n")
                .unwrap();
        let z = node.get("z").unwrap();
        assert_eq!(z.get("a").unwrap().value, Value::Int(1));
        assert_eq!(z.get("b").unwrap().value, Value::Int(3));
        assert!(z.get("m").unwrap().get("k").is_none());
    }

    #[test]
    fn parse_should_refuse_what_go_yaml_refuses() {
        assert_eq!(
            fault("a: 1\nb:\n  c: 1\n  \"c\": 2\n"),
            "f.yml:4:3: the key `c` was already given on line 3; keep one of the two"
        );
        assert_eq!(
            fault("a: {1: x}"),
            "f.yml:1:5: the key `1` is not text; put it in quotes"
        );
        assert_eq!(
            fault("a: {<<: 1}"),
            "f.yml:1:9: `<<` takes a mapping or a list of mappings"
        );
        assert!(fault("").contains("the top of a compose file is a mapping"));
        assert!(fault("a: [").starts_with("f.yml:"));
    }

    #[test]
    fn parse_should_bound_depth_and_aliases() {
        let levels: Vec<String> = (0..100).map(|level| " ".repeat(level) + "a:").collect();
        let deep = levels.join("\n");
        assert!(fault(&deep).contains("depth of nesting"));
        // The parser has a limit of its own for flow collections.
        assert!(read(&"[".repeat(100_000)).is_err());
        let tower = (1..40).fold("- &a0 [x]\n".to_owned(), |text, level| {
            text + &[
                "- &a",
                &level.to_string(),
                " [[*a",
                &(level - 1).to_string(),
                "]]\n",
            ]
            .concat()
        });
        assert!(fault(&tower).contains("depth of nesting"));
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let refs = vec![format!("*a{}", level - 1); 10].join(",");
            bomb += &[
                "a",
                &level.to_string(),
                ": &a",
                &level.to_string(),
                " [",
                &refs,
                "]\n",
            ]
            .concat();
        }
        assert!(fault(&bomb).contains("aliases counted in full"));
        assert!(fault(&"a".repeat(2 << 20)).contains("number of bytes"));
    }
}
