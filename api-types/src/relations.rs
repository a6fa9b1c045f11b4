//! What objects say about one another: dependencies that lead in a circle, and claims to one stack or one domain.
//!
//! Pure, so that the operator and `ccctl validate` come to the same verdict.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::conditions::reasons;
use crate::warm_app::{DependencyKind, WarmAppSpec};

/// A declared app, as far as others are concerned.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// `metadata.name`
    pub name: &'a str,
    /// When the operator first saw it; nothing when it has not yet, which makes it younger than all that it has seen.
    pub created: Option<Timestamp>,
    /// What it asks for.
    pub spec: &'a WarmAppSpec,
}

/// How much a relation matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The object is refused while it stands.
    Refused,
    /// It works out once the rest is there.
    Warning,
}

/// One thing wrong between objects, said of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Of which object, by name.
    pub object: String,
    /// Where in its manifest, such as `spec.dependsOn[0]`.
    pub path: String,
    /// As in conditions, from [`reasons`].
    pub reason: &'static str,
    /// For a person.
    pub message: String,
    /// What follows from it.
    pub weight: Weight,
    /// The other objects it is about, by name.
    pub with: BTreeSet<String>,
}

/// Everything that is wrong between these apps, by object and path.
///
/// Of several that claim one stack or one domain the oldest has it, of those of one age the first by name. One that is refused
/// claims nothing. Of a circle every object in it is refused, at the item that leads on; one that merely depends on a
/// circle is not in it.
pub fn relations(apps: &[Declared<'_>]) -> Vec<Relation> {
    let mut found = claims(apps);
    found.extend(dependencies(apps));
    found.sort_by(|a, b| (&a.object, &a.path).cmp(&(&b.object, &b.path)));
    found
}

fn claims(apps: &[Declared<'_>]) -> Vec<Relation> {
    let mut by_age: Vec<_> = apps.iter().collect();
    by_age.sort_by_key(|app| (app.created.is_none(), app.created, app.name));
    let mut stacks: BTreeMap<String, &str> = BTreeMap::new();
    let mut domains: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for app in by_age {
        let stack = app.spec.stack_name();
        let domain = app.spec.domain.as_str();
        let taken = |path: &str, what: String, owner: &str| Relation {
            object: app.name.to_owned(),
            path: path.to_owned(),
            reason: reasons::NAME_TAKEN,
            message: format!(
                "{what} belongs to WarmApp {owner}, which is older: choose another, or delete {owner} first"
            ),
            weight: Weight::Refused,
            with: [owner.to_owned()].into(),
        };
        // Without `spec.stack` the stack is made of the domain; of two that follow from one field one is said.
        if let Some(owner) = domains.get(domain) {
            found.push(taken(
                "spec.domain",
                format!("the domain `{domain}`"),
                owner,
            ));
        } else if let Some(owner) = stacks.get(&stack) {
            let path = match app.spec.stack {
                Some(_) => "spec.stack",
                None => "spec.domain",
            };
            found.push(taken(path, format!("the stack `{stack}`"), owner));
        } else {
            domains.insert(domain, app.name);
            stacks.insert(stack, app.name);
        }
    }
    found
}

fn dependencies(apps: &[Declared<'_>]) -> Vec<Relation> {
    let known: BTreeMap<&str, &WarmAppSpec> = apps.iter().map(|app| (app.name, app.spec)).collect();
    let mut found = Vec::new();
    for (name, spec) in &known {
        for (index, dependency) in spec.depends_on.iter().enumerate() {
            let DependencyKind::WarmApp = dependency.kind;
            let to = dependency.name.as_str();
            let relation = |reason, message, weight, with| Relation {
                object: (*name).to_owned(),
                path: format!("spec.dependsOn[{index}]"),
                reason,
                message,
                weight,
                with,
            };
            if !known.contains_key(to) {
                let message = format!(
                    "there is no WarmApp {to} yet; nothing is done here until there is one and it is Ready"
                );
                let reason = reasons::DEPENDENCY_NOT_READY;
                found.push(relation(
                    reason,
                    message,
                    Weight::Warning,
                    [to.to_owned()].into(),
                ));
            } else if let Some(way) = way(&known, to, name) {
                let circle: Vec<&str> = std::iter::once(*name).chain(way.iter().copied()).collect();
                let message = format!(
                    "each would wait for the other to be Ready: {}; take one of these dependencies out",
                    circle.join(" -> ")
                );
                let others = circle.iter().filter(|other| *other != name);
                let with = others.map(|other| (*other).to_owned()).collect();
                found.push(relation(
                    reasons::DEPENDENCY_CYCLE,
                    message,
                    Weight::Refused,
                    with,
                ));
            }
        }
    }
    found
}

/// A shortest way along dependencies, both ends included.
fn way<'a>(
    apps: &BTreeMap<&'a str, &'a WarmAppSpec>,
    from: &'a str,
    to: &str,
) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::from([from]);
    let mut ways = std::collections::VecDeque::from([vec![from]]);
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        if last == to {
            return Some(way);
        }
        for next in apps.get(last).into_iter().flat_map(|spec| &spec.depends_on) {
            if seen.insert(&next.name) {
                ways.push_back([way.as_slice(), &[next.name.as_str()]].concat());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(domain: &str, stack: Option<&str>, depends_on: &[&str]) -> WarmAppSpec {
        let on: Vec<_> = depends_on
            .iter()
            .map(|name| serde_json::json!({ "kind": "WarmApp", "name": name }))
            .collect();
        serde_json::from_value(serde_json::json!({
            "recipe": { "git": "https://git.example.org/app.git" }, "domain": domain, "stack": stack,
            "health": { "tcp": { "address": "localhost:80" } }, "dependsOn": on,
        }))
        .unwrap()
    }

    /// One line per relation: object, path, reason, the others.
    fn check(apps: &[(&str, Option<i64>, WarmAppSpec)], expected: &[&str]) {
        let declared: Vec<_> = apps
            .iter()
            .map(|(name, created, spec)| Declared {
                name,
                created: created.map(|second| Timestamp::from_second(second).unwrap()),
                spec,
            })
            .collect();
        let said: Vec<_> = relations(&declared)
            .iter()
            .map(|r| {
                let with: Vec<_> = r.with.iter().map(String::as_str).collect();
                format!("{} {} {} {}", r.object, r.path, r.reason, with.join(","))
            })
            .collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn the_oldest_should_have_the_name_and_of_one_age_the_first() {
        let same = || app("a.example.org", None, &[]);
        check(
            &[
                ("new", None, same()),
                ("b", Some(2), same()),
                ("old", Some(1), same()),
            ],
            &[
                "b spec.domain NameTaken old",
                "new spec.domain NameTaken old",
            ],
        );
        check(
            &[("b", None, same()), ("a", None, same())],
            &["b spec.domain NameTaken a"],
        );
        check(
            &[
                ("a", Some(1), app("a.example.org", Some("s"), &[])),
                ("b", Some(2), app("b.example.org", Some("s"), &[])),
            ],
            &["b spec.stack NameTaken a"],
        );
        check(
            &[
                ("a", Some(1), app("a.org", Some("b_org"), &[])),
                ("b", Some(2), app("b.org", None, &[])),
            ],
            &["b spec.domain NameTaken a"],
        );
    }

    #[test]
    fn the_refused_should_claim_nothing() {
        check(
            &[
                ("a", Some(1), app("a.org", Some("s"), &[])),
                ("b", Some(2), app("b.org", Some("s"), &[])),
                ("c", Some(3), app("b.org", Some("t"), &[])),
            ],
            &["b spec.stack NameTaken a"],
        );
    }

    #[test]
    fn circles_should_be_said_of_those_in_them() {
        check(
            &[("a", None, app("a.org", None, &["a"]))],
            &["a spec.dependsOn[0] DependencyCycle "],
        );
        check(
            &[
                ("a", None, app("a.org", None, &["d", "b"])),
                ("b", None, app("b.org", None, &["c"])),
                ("c", None, app("c.org", None, &["a"])),
                ("d", None, app("d.org", None, &[])),
                ("e", None, app("e.org", None, &["a"])),
            ],
            &[
                "a spec.dependsOn[1] DependencyCycle b,c",
                "b spec.dependsOn[0] DependencyCycle a,c",
                "c spec.dependsOn[0] DependencyCycle a,b",
            ],
        );
    }

    #[test]
    fn what_is_not_there_yet_should_be_a_warning() {
        let spec = app("a.org", None, &["proxy"]);
        let said = relations(&[Declared {
            name: "a",
            created: None,
            spec: &spec,
        }]);
        assert_eq!(said.len(), 1);
        assert_eq!(
            (said[0].weight, said[0].reason),
            (Weight::Warning, reasons::DEPENDENCY_NOT_READY)
        );
    }
}
