//! Setting `spec.suspend` in a person's manifest, with one line changed and every other byte as it was.

use ci_warm_api_types::yaml;
use ci_warm_runtime::{Root, Suspension};

use super::apply;
use super::ask;
use super::document::{self, AnySpec, Meaning};
use super::failure::{Exit, Failure};
use super::objects::{self, Found, ManifestFile};
use super::target;
use super::terminal::Terminal;

/// Suspends or resumes every app named.
pub(super) fn run(
    words: &[String],
    to: Suspension,
    root: &Root,
    terminal: &mut Terminal,
) -> Result<Exit, Failure> {
    let (verb, done, already) = match to {
        Suspension::Suspended => ("suspend", "suspended", "it is suspended already"),
        Suspension::Active => ("resume", "resumed", "it is not suspended"),
    };
    let found = target::parse_named(words)?
        .iter()
        .map(|name| ask::warm_app(root, name, verb))
        .collect::<Result<Vec<_>, _>>()?;
    let edits = found
        .iter()
        .map(|object| edit(root, object, to))
        .collect::<Result<Vec<_>, _>>()?;
    for (object, edited) in found.iter().zip(edits) {
        let title = object.title();
        match edited {
            Some(text) => {
                apply::write(&root.manifest(object.kind.plural(), &object.name), &text)?;
                terminal.line(&format!("{title} {done}"))?;
            }
            None => terminal.line(&format!("{title} unchanged: {already}"))?,
        }
    }
    Ok(Exit::Done)
}

/// The new text of an object's manifest; nothing when it says so already.
fn edit(root: &Root, object: &Found, to: Suspension) -> Result<Option<String>, Failure> {
    let path = root.manifest(object.kind.plural(), &object.name);
    let (text, meaning) = match &object.manifest {
        ManifestFile::Good { text, meaning } => (text, meaning),
        ManifestFile::Missing => {
            let title = object.title();
            return Err(Failure::Refused(format!(
                "{} is gone, so {title} cannot be changed",
                path.display()
            )));
        }
        ManifestFile::Bad(problems) => {
            let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
            return Err(Failure::Refused(format!(
                "{}\nmend the manifest first",
                said.join("\n")
            )));
        }
    };
    let Some(wanted) = switched(meaning, to) else {
        return Ok(None);
    };
    objects::refuse_symlink(&path)?;
    let value = to == Suspension::Suspended;
    let file = path.display().to_string();
    let same = |text: &String| document::read(&file, None, text).is_ok_and(|read| read == wanted);
    // Whatever the edit does to an unusual layout, only a text that means exactly what is wanted is written.
    edited(text, value).filter(same).map(Some).ok_or_else(|| {
        Failure::Refused(format!(
            "cannot edit {file} as it is laid out; set `spec.suspend: {value}` by hand"
        ))
    })
}

/// The meaning with the switch set; nothing when it is.
fn switched(meaning: &Meaning, to: Suspension) -> Option<Meaning> {
    let mut wanted = meaning.clone();
    let AnySpec::WarmApp(spec) = &mut wanted.spec else {
        return None;
    };
    spec.suspend = to == Suspension::Suspended;
    (wanted != *meaning).then_some(wanted)
}

/// The text with `spec.suspend` set, as far as its layout is one of the usual.
fn edited(text: &str, value: bool) -> Option<String> {
    let place = |path: &str| {
        let (line, column) = yaml::locate(text, &yaml::path(path));
        let line = usize::try_from(line).ok()?.checked_sub(1)?;
        Some((line, usize::try_from(column).ok()?.checked_sub(1)?))
    };
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let (line, column) = place("spec.suspend")?;
    let found = lines.get(line)?;
    // The column counts characters.
    let at = found
        .char_indices()
        .nth(column)
        .map_or(found.len(), |(at, _)| at);
    let (before, rest) = found.split_at(at);
    if let Some(after) = rest.strip_prefix("suspend:") {
        let old = after
            .trim_start()
            .split([' ', '\n', '\r', ',', '}', '#'])
            .next()?;
        let (gap, tail) = after.split_once(old).filter(|_| !old.is_empty())?;
        lines[line] = format!("{before}suspend:{gap}{value}{tail}");
        return Some(lines.concat());
    }
    // Not there: the place is that of `spec`.
    let after = rest.strip_prefix("spec:")?;
    if let Some(inside) = after.trim_start().strip_prefix('{') {
        lines[line] = format!("{before}spec: {{ suspend: {value}, {}", inside.trim_start());
        return Some(lines.concat());
    }
    let (_, indent) = place("spec.recipe")?;
    let last = lines.get_mut(line)?;
    if !last.ends_with('\n') {
        return None;
    }
    lines.insert(
        line + 1,
        format!("{}suspend: {value}\n", " ".repeat(indent)),
    );
    Some(lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, value: bool, expected: &str) {
        assert_eq!(edited(text, value).as_deref(), Some(expected));
    }

    #[test]
    fn one_line_should_change() {
        check(
            "spec:\n  # why\n  suspend:  false # by night\n  recipe: {}\n",
            true,
            "spec:\n  # why\n  suspend:  true # by night\n  recipe: {}\n",
        );
        check(
            "spec: # mine\n    recipe: {}\n",
            true,
            "spec: # mine\n    suspend: true\n    recipe: {}\n",
        );
        check(
            "spec: { recipe: {} }\n",
            true,
            "spec: { suspend: true, recipe: {} }\n",
        );
        check(
            "spec: {recipe: {}, suspend: true}\n",
            false,
            "spec: {recipe: {}, suspend: false}\n",
        );
        check("spec:\n  suspend: true", false, "spec:\n  suspend: false");
    }

    #[test]
    fn what_is_not_understood_should_be_left_to_a_person() {
        assert_eq!(edited("\"spec\":\n  recipe: {}\n", true), None);
        assert_eq!(edited("kind: x\n", true), None);
    }
}
