//! What `ccctl get -o yaml` printed, on its way back: the operator's own fields are taken out, line by line, so that what a person
//! wrote around them stays.

use ci_warm_api_types::yaml::{self, Step};

/// Fields of `metadata` that are the operator's.
const METADATA: [&str; 5] = [
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
];

/// The text without the operator's fields; nothing when it has none. Only whole lines go, so a manifest in one line keeps
/// them: they do no harm. Whoever calls checks that the text still means the same.
pub(super) fn without_observed(text: &str) -> Option<String> {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let before = lines.len();
    cut(&mut lines, &[Step::Key("status")]);
    for field in METADATA {
        cut(&mut lines, &[Step::Key("metadata"), Step::Key(field)]);
    }
    (lines.len() < before).then(|| lines.concat())
}

/// Takes out the lines of a key and its value: the key's line and all that are indented deeper, or are items under it.
fn cut(lines: &mut Vec<&str>, path: &[Step<'_>]) {
    let Some(Step::Key(key)) = path.last() else {
        return;
    };
    let (line, column) = yaml::locate(&lines.concat(), path);
    let (Ok(line), Ok(column)) = (usize::try_from(line), usize::try_from(column)) else {
        return;
    };
    let (first, indent) = (line.saturating_sub(1), column.saturating_sub(1));
    let is_there = lines.get(first).is_some_and(|text| {
        let rest = text.trim_start_matches(' ');
        text.len() - rest.len() == indent
            && rest
                .strip_prefix(key)
                .is_some_and(|rest| rest.starts_with(':'))
    });
    if !is_there {
        return;
    }
    let belongs = |text: &&&str| {
        let rest = text.trim_start_matches(' ');
        let deep = text.len() - rest.len();
        rest.trim().is_empty() || deep > indent || (deep == indent && rest.starts_with("- "))
    };
    let mut count = 1 + lines.iter().skip(first + 1).take_while(belongs).count();
    // Empty lines at its end stand between it and what follows.
    while count > 1 && lines[first + count - 1].trim().is_empty() {
        count -= 1;
    }
    lines.drain(first..first + count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operators_fields_should_go() {
        let text = "kind: WarmApp # mine\nmetadata:\n  name: a\n  uid: 1\n  finalizers:\n  - x\n  labels:\n    uid: mine\nspec:\n  x: 1\n\nstatus:\n  uid: 2\n";
        let expected = "kind: WarmApp # mine\nmetadata:\n  name: a\n  labels:\n    uid: mine\nspec:\n  x: 1\n\n";
        assert_eq!(without_observed(text).unwrap(), expected);
        assert_eq!(without_observed(expected), None);
        assert_eq!(without_observed("{status: {}, metadata: {uid: 1}}\n"), None);
    }
}
