//! A checked tree to the model: short forms spelled out, paths made absolute, env files read in.

mod service;
mod top;

use std::path::{Path, PathBuf};

use crate::ReadFile;
use crate::error::{LoadError, Problem, Warning};
use crate::interpolate::Environment;
use crate::model::{Compose, Texts};
use crate::quantity;
use crate::schema::Version;
use crate::yaml::{Node, Value};

/// What decoding needs to know besides the tree.
pub(crate) struct Surroundings<'load> {
    pub env: &'load Environment,
    pub working_dir: &'load Path,
    pub reader: &'load dyn ReadFile,
    pub version: Version,
}

/// Decodes a whole file.
pub(crate) fn decode(
    root: &Node,
    around: &Surroundings<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Compose, LoadError> {
    let root = At::root(root);
    let mut compose = Compose::default();
    for (key, service) in root.entries("services") {
        compose
            .services
            .insert(key, service::service(&service, around, warnings)?);
    }
    for (key, network) in root.entries("networks") {
        let network = top::network(&key, &network, around.version, warnings)?;
        compose.networks.insert(key, network);
    }
    for (key, volume) in root.entries("volumes") {
        let volume = top::volume(&key, &volume, around.version, warnings)?;
        compose.volumes.insert(key, volume);
    }
    for (key, secret) in root.entries("secrets") {
        let secret = top::file_object(top::Kind::Secret, &key, &secret, around, warnings)?;
        compose.secrets.insert(key, secret);
    }
    for (key, config) in root.entries("configs") {
        let config = top::file_object(top::Kind::Config, &key, &config, around, warnings)?;
        compose.configs.insert(key, config);
    }
    Ok(compose)
}

/// A node and the path to it. Absent keys read as Go's zero values.
#[derive(Clone)]
pub(super) struct At<'tree> {
    node: &'tree Node,
    path: String,
}

impl<'tree> At<'tree> {
    fn root(node: &'tree Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    fn child_path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of a key, unless it is absent or null.
    fn get(&self, key: &str) -> Option<Self> {
        let node = self.node.get(key).filter(|node| !node.is_null())?;
        let path = self.child_path(key);
        Some(Self { node, path })
    }

    /// The entries of the mapping under a key.
    fn entries(&self, key: &str) -> Vec<(String, Self)> {
        self.get(key).map(|at| at.all()).unwrap_or_default()
    }

    fn all(&self) -> Vec<(String, Self)> {
        let map = self.node.map().into_iter().flatten();
        map.map(|(key, entry)| {
            let path = self.child_path(key);
            let node = &entry.node;
            (key.clone(), Self { node, path })
        })
        .collect()
    }

    /// The items of the list under a key.
    fn items(&self, key: &str) -> Option<Vec<Self>> {
        let at = self.get(key)?;
        Some(at.each())
    }

    fn each(&self) -> Vec<Self> {
        let items = self.node.list().unwrap_or_default().iter().enumerate();
        items
            .map(|(index, node)| Self {
                node,
                path: format!("{}[{index}]", self.path),
            })
            .collect()
    }

    fn fail(&self, problem: Problem) -> LoadError {
        LoadError::at(&self.node.at, &self.path, problem)
    }

    fn wrong(&self, expected: &str) -> LoadError {
        self.fail(Problem::Value {
            value: self.node.print().unwrap_or_default(),
            expected: expected.to_owned(),
        })
    }

    fn warn(&self, warnings: &mut Vec<Warning>, message: &str) {
        warnings.push(Warning {
            path: self.path.clone(),
            message: message.to_owned(),
        });
    }

    fn as_text(&self) -> Result<String, LoadError> {
        match &self.node.value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(self.wrong("text; put it in quotes")),
        }
    }

    fn text(&self, key: &str) -> Result<String, LoadError> {
        self.get(key)
            .map_or_else(|| Ok(String::new()), |at| at.as_text())
    }

    fn boolean(&self, key: &str) -> bool {
        self.optional_boolean(key).unwrap_or_default()
    }

    fn optional_boolean(&self, key: &str) -> Option<bool> {
        match self.node.get(key)?.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A whole number; a fraction is cut off, as the reference does where its schema lets one through.
    fn number(&self, key: &str) -> Result<Option<i128>, LoadError> {
        let Some(at) = self.get(key) else {
            return Ok(None);
        };
        match at.node.value {
            Value::Int(number) => Ok(Some(number)),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "cutting off is the rule here"
            )]
            Value::Float(number) => Ok(Some(number as i128)),
            _ => Err(at.wrong("a whole number")),
        }
    }

    fn whole<T: TryFrom<i128>>(&self, key: &str) -> Result<Option<T>, LoadError> {
        let number = self.number(key)?;
        let at = self.get(key).unwrap_or_else(|| self.clone());
        number
            .map(|number| T::try_from(number).map_err(|_| at.wrong("in the range allowed here")))
            .transpose()
    }

    fn duration(&self, key: &str) -> Result<Option<i64>, LoadError> {
        let Some(at) = self.get(key) else {
            return Ok(None);
        };
        match quantity::duration(&at.as_text()?) {
            Some(ns) => Ok(Some(ns)),
            None => Err(at.wrong("a duration such as 1m30s")),
        }
    }

    fn as_texts(&self) -> Result<Vec<String>, LoadError> {
        self.each().iter().map(Self::as_text).collect()
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, LoadError> {
        self.get(key)
            .map_or_else(|| Ok(Vec::new()), |at| at.as_texts())
    }

    /// One text or a list of them.
    fn one_or_more(&self, key: &str) -> Result<Option<Vec<String>>, LoadError> {
        let Some(at) = self.get(key) else {
            return Ok(None);
        };
        match at.node.text() {
            Some(text) => Ok(Some(vec![text.to_owned()])),
            None => at.as_texts().map(Some),
        }
    }

    /// A mapping, or a list of `KEY=VALUE` and `KEY`; the value of a bare key and of null is `None`.
    fn pairs(&self, key: &str) -> Result<Vec<(String, Option<String>)>, LoadError> {
        let Some(at) = self.get(key) else {
            return Ok(Vec::new());
        };
        if at.node.map().is_some() {
            return Ok(at
                .all()
                .into_iter()
                .map(|(key, at)| (key, at.node.print()))
                .collect());
        }
        let pairs = at
            .as_texts()?
            .into_iter()
            .map(|item| match item.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (item, None),
            });
        Ok(pairs.collect())
    }

    /// The same with nothing read as empty.
    fn labels(&self, key: &str) -> Result<Texts, LoadError> {
        let pairs = self.pairs(key)?.into_iter();
        Ok(pairs
            .map(|(key, value)| (key, value.unwrap_or_default()))
            .collect())
    }

    /// A mapping of options; numbers become text.
    fn options(&self, key: &str) -> Option<Texts> {
        let at = self.get(key)?;
        let all = at.all().into_iter();
        Some(
            all.map(|(key, at)| (key, at.node.print().unwrap_or_default()))
                .collect(),
        )
    }
}

/// `path` below `base` unless it is absolute, without `.` and `..`. An absolute path stays as it is.
pub(super) fn absolute(base: &Path, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let mut clean = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean.to_string_lossy().into_owned()
}
