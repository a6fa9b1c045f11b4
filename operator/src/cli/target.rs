//! Which objects a command line names: `KIND NAME…`, `KIND/NAME…`, `KIND,KIND` or `all`.

use ci_warm_api_types::manifest::KindName;
use ci_warm_runtime::{ObjectName, Root};

use super::failure::Failure;
use super::objects::{self, Found};

/// What was named.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Every object of these kinds.
    Kinds(Vec<KindName>),
    /// These objects.
    Named(Vec<(KindName, ObjectName)>),
}

/// One object.
pub(super) type Name = (KindName, ObjectName);

fn usage(message: impl Into<String>) -> Failure {
    Failure::Usage(message.into())
}

fn kind(word: &str) -> Result<KindName, Failure> {
    KindName::from_word(word).ok_or_else(|| {
        let known: Vec<_> = KindName::ALL
            .iter()
            .map(|kind| format!("{} ({})", kind.plural(), kind.short()))
            .collect();
        usage(format!(
            "unknown kind `{word}`; the kinds are {}",
            known.join(", ")
        ))
    })
}

fn name(text: &str) -> Result<ObjectName, Failure> {
    ObjectName::new(text).map_err(|error| usage(error.to_string()))
}

fn pair(word: &str) -> Result<Option<Name>, Failure> {
    word.split_once('/')
        .map(|(word, text)| Ok((kind(word)?, name(text)?)))
        .transpose()
}

/// Reads the words of a command line.
pub(super) fn parse(words: &[String]) -> Result<Target, Failure> {
    let Some((first, rest)) = words.split_first() else {
        return Err(usage(
            "name a kind, such as `warmapps`, or an object, such as `warmapp/keycloak`",
        ));
    };
    if first.contains('/') {
        let named = words.iter().map(|word| {
            pair(word)?.ok_or_else(|| usage(format!("`{word}` is not KIND/NAME as the others are")))
        });
        return Ok(Target::Named(named.collect::<Result<_, _>>()?));
    }
    let mut kinds: Vec<KindName> = Vec::new();
    for word in first.split(',') {
        let more = if word.eq_ignore_ascii_case("all") {
            KindName::ALL.to_vec()
        } else {
            vec![kind(word)?]
        };
        kinds.extend(more);
    }
    let mut seen = Vec::new();
    kinds.retain(|kind| {
        !seen.contains(kind) && {
            seen.push(*kind);
            true
        }
    });
    if rest.is_empty() {
        return Ok(Target::Kinds(kinds));
    }
    let [kind] = kinds.as_slice() else {
        return Err(usage(
            "names go with one kind; use KIND/NAME for objects of several",
        ));
    };
    let named = rest.iter().map(|text| {
        if text.contains('/') {
            return Err(usage(format!(
                "`{text}` is a kind and a name, after a kind already; leave one kind out"
            )));
        }
        Ok((*kind, name(text)?))
    });
    Ok(Target::Named(named.collect::<Result<_, _>>()?))
}

/// Objects by name; a kind alone is not enough.
pub(super) fn parse_named(words: &[String]) -> Result<Vec<Name>, Failure> {
    match parse(words)? {
        Target::Named(names) => Ok(names),
        Target::Kinds(_) => Err(usage("name the object too, such as `warmapp/keycloak`")),
    }
}

/// The objects that a target means, and what is to be said of those that are not there.
pub(super) fn find(root: &Root, target: &Target) -> Result<(Vec<Found>, Vec<String>), Failure> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    match target {
        Target::Kinds(kinds) => {
            for kind in kinds {
                found.extend(objects::all(root, *kind)?);
            }
        }
        Target::Named(names) => {
            for (kind, name) in names {
                match Found::look(root, *kind, name)? {
                    Some(object) => found.push(object),
                    None => missing.push(not_found(root, *kind, name)),
                }
            }
        }
    }
    Ok((found, missing))
}

/// One object that has to be there.
pub(super) fn find_one(root: &Root, (kind, name): &Name) -> Result<Found, Failure> {
    Found::look(root, *kind, name)?.ok_or_else(|| Failure::NotFound(not_found(root, *kind, name)))
}

fn not_found(root: &Root, kind: KindName, name: &ObjectName) -> String {
    format!(
        "{} not found in {}; `ccctl get {}` lists what is there",
        objects::title(kind, name),
        root.path().display(),
        kind.plural()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expected: &str) {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let said = match parse(&words) {
            Ok(Target::Kinds(kinds)) => kinds
                .iter()
                .map(|kind| kind.plural())
                .collect::<Vec<_>>()
                .join(" "),
            Ok(Target::Named(names)) => names
                .iter()
                .map(|(kind, name)| objects::title(*kind, name))
                .collect::<Vec<_>>()
                .join(" "),
            Err(failure) => failure.to_string(),
        };
        assert!(said.contains(expected), "{words:?}: {said}");
    }

    #[test]
    fn targets_should_be_read_as_kubectl_reads_them() {
        check(&["wa"], "warmapps");
        check(&["WarmApps,snap,wa"], "warmapps snapshots");
        check(&["all"], "warmapps snapshots");
        check(&["warmapp", "a", "b"], "warmapp/a warmapp/b");
        check(&["wa/a", "snap/b"], "warmapp/a snapshot/b");
        check(&["pods"], "unknown kind `pods`");
        check(&["wa/A"], "cannot be an object's name");
        check(&["all", "a"], "names go with one kind");
        check(&["wa", "snap/b"], "leave one kind out");
        check(&[], "name a kind");
    }
}
