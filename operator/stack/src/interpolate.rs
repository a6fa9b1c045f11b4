//! `$NAME` and `${NAME:-default}` in values, with the quirks of `docker stack deploy`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::error::{LoadError, Problem, Warning};
use crate::yaml::{Node, Value};

/// The variables of the process: nothing else is ever substituted, no `.env` file is read.
pub(crate) type Environment = BTreeMap<String, String>;

// The unbraced form takes defaults too, as the reference does: in `repo/$A-suffix` the suffix is a default.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    const NAME: &str = "[_a-z][_a-z0-9]*(?::?[-?][^}]*)?";
    Regex::new(&format!(
        r"\$(?i:(?P<escaped>\$)|(?P<named>{NAME})|\{{(?P<braced>{NAME})\}}|(?P<invalid>))"
    ))
    .expect("a constant pattern")
});

/// What came of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Substituted {
    pub text: String,
    /// A fault that the reference forgets because a good substitution follows it in the same text.
    pub forgotten: Option<Problem>,
}

/// Substitutes the variables in one text.
///
/// # Errors
/// A `$` that starts nothing, and a required variable without a value, unless another substitution follows it:
/// the reference then drops the error and goes on with an empty text. That is kept, and reported in `forgotten`.
pub(crate) fn substitute(template: &str, env: &Environment) -> Result<Substituted, Problem> {
    let mut fault = None;
    let mut forgotten = None;
    let text = VARIABLE
        .replace_all(template, |found: &Captures<'_>| {
            if found.name("escaped").is_some() {
                return "$".to_owned();
            }
            let Some(variable) = found.name("named").or_else(|| found.name("braced")) else {
                fault = Some(Problem::Interpolation {
                    template: template.to_owned(),
                });
                return String::new();
            };
            match value(variable.as_str(), env) {
                Ok(value) => {
                    if let Some(fault) = fault.take() {
                        forgotten = Some(fault);
                    }
                    value
                }
                Err(problem) => {
                    fault = Some(problem);
                    String::new()
                }
            }
        })
        .into_owned();
    match fault {
        Some(problem) => Err(problem),
        None => Ok(Substituted { text, forgotten }),
    }
}

/// The order of these checks is the reference's: `${X:?must-be}` holds a `-`, so it is a default.
fn value(variable: &str, env: &Environment) -> Result<String, Problem> {
    if let Some((name, default)) = variable.split_once(":-") {
        let set = env.get(name).filter(|value| !value.is_empty());
        return Ok(set.cloned().unwrap_or_else(|| default.to_owned()));
    }
    if let Some((name, default)) = variable.split_once('-') {
        return Ok(env.get(name).cloned().unwrap_or_else(|| default.to_owned()));
    }
    let required = |name: &str, message: &str, found: Option<&String>| {
        found.cloned().ok_or_else(|| Problem::Required {
            name: name.to_owned(),
            message: message.to_owned(),
        })
    };
    if let Some((name, message)) = variable.split_once(":?") {
        return required(
            name,
            message,
            env.get(name).filter(|value| !value.is_empty()),
        );
    }
    if let Some((name, message)) = variable.split_once('?') {
        return required(name, message, env.get(name));
    }
    Ok(env.get(variable).cloned().unwrap_or_default())
}

#[derive(Clone, Copy)]
enum Cast {
    Int,
    Float,
    Bool,
}

const CASTS: &[(&str, Cast)] = &[
    ("services.*.configs.[].mode", Cast::Int),
    ("services.*.secrets.[].mode", Cast::Int),
    ("services.*.healthcheck.retries", Cast::Int),
    ("services.*.healthcheck.disable", Cast::Bool),
    ("services.*.deploy.replicas", Cast::Int),
    ("services.*.deploy.update_config.parallelism", Cast::Int),
    (
        "services.*.deploy.update_config.max_failure_ratio",
        Cast::Float,
    ),
    ("services.*.deploy.rollback_config.parallelism", Cast::Int),
    (
        "services.*.deploy.rollback_config.max_failure_ratio",
        Cast::Float,
    ),
    ("services.*.deploy.restart_policy.max_attempts", Cast::Int),
    (
        "services.*.deploy.placement.max_replicas_per_node",
        Cast::Int,
    ),
    ("services.*.ports.[].target", Cast::Int),
    ("services.*.ports.[].published", Cast::Int),
    ("services.*.ulimits.*", Cast::Int),
    ("services.*.ulimits.*.hard", Cast::Int),
    ("services.*.ulimits.*.soft", Cast::Int),
    ("services.*.privileged", Cast::Bool),
    ("services.*.oom_score_adj", Cast::Int),
    ("services.*.read_only", Cast::Bool),
    ("services.*.stdin_open", Cast::Bool),
    ("services.*.tty", Cast::Bool),
    ("services.*.volumes.[].read_only", Cast::Bool),
    ("services.*.volumes.[].volume.nocopy", Cast::Bool),
    ("networks.*.external", Cast::Bool),
    ("networks.*.internal", Cast::Bool),
    ("networks.*.attachable", Cast::Bool),
    ("volumes.*.external", Cast::Bool),
    ("secrets.*.external", Cast::Bool),
    ("configs.*.external", Cast::Bool),
];

/// Substitutes in every text below `node`. Keys are left alone and results are not looked at again.
///
/// # Errors
/// As [`substitute`], and a substituted value that does not fit a place that takes a number or a boolean.
pub(crate) fn interpolate(
    node: &mut Node,
    env: &Environment,
    warnings: &mut Vec<Warning>,
) -> Result<(), LoadError> {
    let mut walk = Walk { env, warnings };
    walk.node(node, "", "")
}

struct Walk<'walk> {
    env: &'walk Environment,
    warnings: &'walk mut Vec<Warning>,
}

impl Walk<'_> {
    /// `shape` is the path as the casts name it, with `[]` for any item of a list.
    fn node(&mut self, node: &mut Node, path: &str, shape: &str) -> Result<(), LoadError> {
        let at = node.at.clone();
        match &mut node.value {
            Value::Map(map) => {
                for (key, entry) in map {
                    self.node(&mut entry.node, &child(path, key), &child(shape, key))?;
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.node(item, &format!("{path}[{index}]"), &child(shape, "[]"))?;
                }
            }
            Value::Text(text) => {
                let done = substitute(text, self.env)
                    .map_err(|problem| LoadError::at(&at, path, problem))?;
                if let Some(problem) = done.forgotten {
                    self.warnings.push(Warning {
                        path: path.to_owned(),
                        message: format!("part of the value is empty: {problem}"),
                    });
                }
                if done.text != *text {
                    let value = cast(shape, done.text)
                        .map_err(|problem| LoadError::at(&at, path, problem))?;
                    node.value = value;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn child(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Only what substitution changed is cast. A path is compared by its parts between dots, so nothing inside a service
/// whose key has a dot is ever cast: as in the reference.
fn cast(shape: &str, text: String) -> Result<Value, Problem> {
    let parts: Vec<&str> = shape.split('.').collect();
    let found = CASTS.iter().find(|(pattern, _)| {
        let pattern: Vec<&str> = pattern.split('.').collect();
        pattern.len() == parts.len()
            && pattern
                .iter()
                .zip(&parts)
                .all(|(want, part)| *want == "*" || want == part)
    });
    let Some((_, cast)) = found else {
        return Ok(Value::Text(text));
    };
    let wrong = |text: &str, expected| Problem::Cast {
        value: text.to_owned(),
        expected,
    };
    match cast {
        // Decimal only: `0440` from a variable is four hundred and forty.
        Cast::Int => text
            .parse::<i64>()
            .map(|number| Value::Int(number.into()))
            .map_err(|_| wrong(&text, "a whole decimal number")),
        Cast::Float => text
            .parse()
            .map(Value::Float)
            .map_err(|_| wrong(&text, "a number")),
        Cast::Bool => match text.to_lowercase().as_str() {
            "y" | "yes" | "true" | "on" => Ok(Value::Bool(true)),
            "n" | "no" | "false" | "off" => Ok(Value::Bool(false)),
            _ => Err(wrong(&text, "one of y, yes, true, on, n, no, false, off")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Environment {
        [("A", "aval"), ("E", ""), ("N", "12")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    fn becomes(template: &str) -> String {
        match substitute(template, &env()) {
            Ok(done) if done.forgotten.is_some() => format!("{} (forgot a fault)", done.text),
            Ok(done) => done.text,
            Err(problem) => format!("error: {problem}"),
        }
    }

    #[test]
    fn substitute_should_have_the_quirks_of_the_reference() {
        for (template, expected) in [
            ("plain", "plain"),
            ("$A ${A} $a", "aval aval "),
            ("$$A $$$A", "$A $aval"),
            ("${E:-d}|${E-d}|${U:-d}|${U-d}", "d||d|d"),
            ("repo/$A-suffix:1", "repo/aval"),
            ("repo/$U-suffix:1", "repo/suffix:1"),
            ("$A$A-$A.x", "avalaval"),
            ("${A:?must-be-set}", "be-set"),
            ("${U-a:-b}", "b"),
            ("${U:-${A}}", "${A}"),
            ("${A?err}", "aval"),
            ("${E?err}", ""),
            ("$1 ${A}", "1 aval (forgot a fault)"),
            ("${X?must} ${A}", " aval (forgot a fault)"),
            ("$2y$05$abc", "2y05 (forgot a fault)"),
        ] {
            assert_eq!(becomes(template), expected, "{template}");
        }
    }

    #[test]
    fn substitute_should_say_what_is_wrong() {
        for template in ["${A", "$1", "$", "${A:+x}", "${A} $"] {
            assert_eq!(
                becomes(template),
                format!("error: invalid interpolation in {template:?}; write $$ for a plain $")
            );
        }
        assert_eq!(
            becomes("${E:?no value}"),
            "error: the variable E needs a value: no value"
        );
        assert_eq!(
            becomes("${U?gone}"),
            "error: the variable U needs a value: gone"
        );
    }

    #[test]
    fn casts_should_be_decimal_and_only_where_listed() {
        let text = |text: &str| text.to_owned();
        assert_eq!(
            cast("services.a.configs.[].mode", text("0440")),
            Ok(Value::Int(440))
        );
        assert_eq!(cast("services.a.tty", text("Yes")), Ok(Value::Bool(true)));
        assert!(cast("services.a.tty", text("1")).is_err());
        assert_eq!(
            cast("services.a.init", text("true")),
            Ok(Value::Text(text("true")))
        );
        assert_eq!(
            cast("services.a.b.tty", text("yes")),
            Ok(Value::Text(text("yes")))
        );
    }

    proptest::proptest! {
        #[test]
        fn substitute_should_never_panic(template in "[$\\{\\}A-Za-z:?+ -]{0,24}|.{0,24}") {
            let _ = substitute(&template, &env());
        }
    }
}
