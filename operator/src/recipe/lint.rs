//! Checks a recipe before it is deployed. An error refuses the version before anything stops; a warning is told and no more.
//!
//! The compose files are read loosely here, each for itself and without interpolation: enough to find what is missing and where. Whether the stack
//! can be rendered is the stack's own question.

use std::collections::BTreeMap;
use std::fmt;

use ci_warm_api_types::yaml::{self, Spanned};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::env_sample::{EnvSample, RecipeEnv};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Told, nothing more.
    Warning,
    /// The version is refused.
    Error,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A compose file is YAML of the usual shape. Error.
    ComposeReadable,
    /// There is a service `app`: it carries the version and the timeout. Error.
    ServiceApp,
    /// Every service has an image. Error.
    ServiceImage,
    /// There is a `.env.sample`. Error.
    EnvSample,
    /// Every line of `.env.sample` can be read. Warning.
    EnvSampleLine,
    /// Values in `environment` are text: true and false, lists and maps are errors, as they are to Docker; a bare number is a warning.
    EnvironmentText,
    /// The variable in a config's or secret's name has a value, from `abra.sh` or `.env.sample`. Error: without it a
    /// change of content would meet the old, immutable object.
    ObjectVersion,
    /// Every service has a healthcheck. Warning: without one a task counts as healthy when it runs.
    Healthcheck,
    /// Every image has a tag or digest. Warning.
    ImageTag,
    /// No image is `latest`. Warning.
    ImageLatest,
}

/// One thing that is wrong with a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule.
    pub rule: Rule,
    /// The file, as `COMPOSE_FILE` names it.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<u64>,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        match self.line {
            Some(line) => write!(f, "{severity}: {}:{line}: {}", self.file, self.message),
            None => write!(f, "{severity}: {}: {}", self.file, self.message),
        }
    }
}

/// Some compose files laid over each other, as far as the checks need it.
#[derive(Debug, Clone, Default)]
pub struct ComposeView {
    /// The services of all files.
    pub services: IndexMap<String, ServiceView>,
    /// The top-level `configs` of all files.
    pub configs: Vec<ObjectView>,
    /// The top-level `secrets` of all files.
    pub secrets: Vec<ObjectView>,
    /// The files, in order.
    pub files: Vec<String>,
    /// Files that cannot be read, and values that are not text.
    pub findings: Vec<Finding>,
}

/// A service, as far as the checks need it.
#[derive(Debug, Clone)]
pub struct ServiceView {
    /// The last file's image, not interpolated.
    pub image: Option<String>,
    /// What is known of its healthcheck.
    pub healthcheck: Healthcheck,
    /// The first file that has the service.
    pub file: String,
    /// Where in that file.
    pub line: u64,
}

/// Whether a service has a healthcheck in its compose file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Healthcheck {
    /// None is written; the image may have one.
    Unwritten,
    /// One is written.
    Written,
    /// It is switched off.
    Disabled,
}

/// A config or secret that a compose file declares.
#[derive(Debug, Clone)]
pub struct ObjectView {
    /// The key in the compose file.
    pub key: String,
    /// The name in Swarm, not interpolated.
    pub name: Option<String>,
    /// The file that it is declared in.
    pub file: String,
    /// Where in that file.
    pub line: u64,
}

type Section = Option<IndexMap<String, Spanned<Value>>>;

#[derive(Deserialize)]
struct ComposeText {
    #[serde(default)]
    services: Section,
    #[serde(default)]
    configs: Section,
    #[serde(default)]
    secrets: Section,
}

impl ComposeView {
    /// Reads the files, given as name and text, in the order of `COMPOSE_FILE`.
    pub fn read(files: &[(String, String)]) -> Self {
        let mut view = Self::default();
        for (file, text) in files {
            view.files.push(file.clone());
            match yaml::read::<Option<ComposeText>>(file, text) {
                Ok(Some(compose)) => view.add(file, compose),
                Ok(None) => {}
                Err(problem) => view.findings.push(Finding {
                    severity: Severity::Error,
                    rule: Rule::ComposeReadable,
                    file: file.clone(),
                    line: Some(problem.line).filter(|line| *line > 0),
                    message: format!("cannot be read: {}", problem.message),
                }),
            }
        }
        view
    }

    fn add(&mut self, file: &str, compose: ComposeText) {
        for (name, body) in compose.services.into_iter().flatten() {
            let line = body.referenced.line();
            self.check_environment(file, line, &name, &body.value["environment"]);
            let service = self.services.entry(name).or_insert_with(|| ServiceView {
                image: None,
                healthcheck: Healthcheck::Unwritten,
                file: file.to_owned(),
                line,
            });
            if let Some(image) = body.value["image"].as_str() {
                service.image = Some(image.to_owned());
            }
            let healthcheck = &body.value["healthcheck"];
            if healthcheck.is_object() {
                let off =
                    healthcheck["disable"] == Value::Bool(true) || healthcheck["test"][0] == "NONE";
                service.healthcheck = if off {
                    Healthcheck::Disabled
                } else {
                    Healthcheck::Written
                };
            }
        }
        let object = |(key, body): (String, Spanned<Value>)| ObjectView {
            key,
            name: body.value["name"].as_str().map(str::to_owned),
            file: file.to_owned(),
            line: body.referenced.line(),
        };
        self.configs
            .extend(compose.configs.into_iter().flatten().map(object));
        self.secrets
            .extend(compose.secrets.into_iter().flatten().map(object));
    }

    fn check_environment(&mut self, file: &str, line: u64, service: &str, environment: &Value) {
        let mut tell = |severity, key: &str, value: &Value| {
            let message = format!(
                "service `{service}`: {key} in `environment` is {value}, not text; put it in quotes"
            );
            let file = file.to_owned();
            self.findings.push(Finding {
                severity,
                rule: Rule::EnvironmentText,
                file,
                line: Some(line),
                message,
            });
        };
        match environment {
            Value::Object(entries) => {
                for (key, value) in entries {
                    match value {
                        Value::String(_) | Value::Null => {}
                        Value::Number(_) => tell(Severity::Warning, key, value),
                        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                            tell(Severity::Error, key, value);
                        }
                    }
                }
            }
            Value::Array(items) => {
                for item in items.iter().filter(|item| !item.is_string()) {
                    tell(Severity::Error, "an entry", item);
                }
            }
            Value::Null => {}
            other => tell(Severity::Error, "what stands", other),
        }
    }
}

/// Every finding about a recipe, errors first. `sample` is none when the recipe has no `.env.sample`; `env` is the final environment.
pub fn lint(sample: Option<&EnvSample>, env: &RecipeEnv, compose: &ComposeView) -> Vec<Finding> {
    let mut findings = compose.findings.clone();
    findings.extend(lint_sample(sample));
    findings.extend(lint_services(env, compose));
    findings.extend(lint_objects(env, compose));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Whether the findings refuse the version.
pub fn refuses(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}

fn lint_sample(sample: Option<&EnvSample>) -> Vec<Finding> {
    let finding = |severity, rule, line, message| Finding {
        severity,
        rule,
        file: ".env.sample".to_owned(),
        line,
        message,
    };
    let Some(sample) = sample else {
        let message =
            "the recipe has no `.env.sample`; it is the template of every app's environment"
                .to_owned();
        return vec![finding(Severity::Error, Rule::EnvSample, None, message)];
    };
    let line = |problem: &super::env_sample::EnvProblem| {
        finding(
            Severity::Warning,
            Rule::EnvSampleLine,
            Some(problem.line as u64),
            problem.what.clone(),
        )
    };
    sample.problems.iter().map(line).collect()
}

fn lint_services(env: &RecipeEnv, compose: &ComposeView) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Files that cannot be read may well have the service.
    let readable = !compose
        .findings
        .iter()
        .any(|finding| finding.rule == Rule::ComposeReadable);
    if readable && !compose.services.contains_key("app") {
        let names: Vec<&str> = compose.services.keys().map(String::as_str).collect();
        findings.push(Finding {
            severity: Severity::Error,
            rule: Rule::ServiceApp,
            file: compose.files.join(":"),
            line: None,
            message: format!(
                "there is no service `app`, only [{}]; the version and the timeout are its labels",
                names.join(", ")
            ),
        });
    }
    for (name, service) in &compose.services {
        let mut tell = |severity, rule, message| {
            findings.push(Finding {
                severity,
                rule,
                file: service.file.clone(),
                line: Some(service.line),
                message,
            });
        };
        match service.image.as_deref().map(|image| (image, tag(image))) {
            None => {
                if readable {
                    tell(
                        Severity::Error,
                        Rule::ServiceImage,
                        format!("service `{name}` has no image"),
                    );
                }
            }
            Some((image, None)) => {
                tell(
                    Severity::Warning,
                    Rule::ImageTag,
                    format!("service `{name}`: image `{image}` has no tag, which means `latest`"),
                );
            }
            Some((image, Some(tag))) if plain(tag, env) == "latest" => {
                tell(
                    Severity::Warning,
                    Rule::ImageLatest,
                    format!(
                        "service `{name}`: image `{image}` is whatever is newest when it is pulled"
                    ),
                );
            }
            Some(_) => {}
        }
        let about = match service.healthcheck {
            Healthcheck::Written => continue,
            Healthcheck::Disabled => "has its healthcheck switched off",
            Healthcheck::Unwritten => "has no healthcheck",
        };
        tell(
            Severity::Warning,
            Rule::Healthcheck,
            format!("service `{name}` {about}; it counts as healthy as soon as it runs"),
        );
    }
    findings
}

fn lint_objects(env: &RecipeEnv, compose: &ComposeView) -> Vec<Finding> {
    let mut findings = Vec::new();
    let kinds = [
        ("config", "abra.sh", &compose.configs),
        ("secret", ".env.sample", &compose.secrets),
    ];
    for (kind, home, objects) in kinds {
        for object in objects {
            for variable in object
                .name
                .as_deref()
                .map(unset_versions(env))
                .unwrap_or_default()
            {
                let key = &object.key;
                findings.push(Finding {
                    severity: Severity::Error,
                    rule: Rule::ObjectVersion,
                    file: object.file.clone(),
                    line: Some(object.line),
                    message: format!("{kind} `{key}` is named by {variable}, which has no value; set it in {home}"),
                });
            }
        }
    }
    findings
}

/// The variables `…_VERSION` in a name that have no value and no default of their own.
fn unset_versions(env: &RecipeEnv) -> impl Fn(&str) -> Vec<String> {
    let set: BTreeMap<&str, bool> = env
        .iter()
        .map(|(key, value)| (key.as_str(), !value.is_empty()))
        .collect();
    move |name| {
        let mut unset = Vec::new();
        for part in name.split('$').skip(1) {
            let braced = part
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
                .map(|(inner, _)| inner);
            let inner = braced.unwrap_or(part);
            let end = inner
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(inner.len());
            let (variable, rest) = inner.split_at(end);
            let defaulted =
                braced.is_some() && rest.trim_start_matches(':').starts_with('-') && rest.len() > 2;
            if variable.ends_with("_VERSION")
                && !defaulted
                && !set.get(variable).copied().unwrap_or(false)
            {
                unset.push(variable.to_owned());
            }
        }
        unset
    }
}

/// What follows the image's name: the tag, or the digest.
fn tag(image: &str) -> Option<&str> {
    if let Some((_, digest)) = image.split_once('@') {
        return Some(digest);
    }
    // A `:` before the last `/` belongs to the registry's port; one in `${…}` to a default.
    let last = image.rsplit('/').next().unwrap_or(image);
    let colon = last.char_indices().scan(0i32, |depth, (at, c)| {
        *depth += i32::from(c == '{') - i32::from(c == '}');
        Some((at, c, *depth))
    });
    let at = colon
        .filter(|(_, c, depth)| *c == ':' && *depth == 0)
        .last()
        .map(|(at, _, _)| at);
    match at {
        Some(at) => Some(&last[at + 1..]),
        // The whole reference may come from a variable.
        None => last.starts_with('$').then_some(last),
    }
}

/// A tag that is one variable, `$TAG` or `${TAG:-latest}`, as what it stands for.
fn plain(tag: &str, env: &RecipeEnv) -> String {
    let Some(variable) = tag.strip_prefix('$') else {
        return tag.to_owned();
    };
    let inner = variable
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(variable);
    let end = inner
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    match env.get(name).filter(|value| !value.is_empty()) {
        Some(value) => value.clone(),
        None => rest.trim_start_matches([':', '-']).to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
