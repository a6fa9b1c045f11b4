//! What refs a remote or a mirror has, and how they differ.

use std::collections::BTreeMap;

use super::super::tags::{self, CommitId};
use super::MovedTag;

/// Every ref's name and the object it names.
pub(super) type Refs = BTreeMap<Vec<u8>, String>;

pub(super) struct Remote {
    pub(super) refs: Refs,
    pub(super) default_branch: Option<String>,
}

pub(super) fn count_tags(refs: &Refs) -> usize {
    refs.keys()
        .filter(|name| name.starts_with(b"refs/tags/"))
        .count()
}

/// Reads `<object>\t<ref>` lines, as for-each-ref and ls-remote write them.
pub(super) fn parse_refs(output: &[u8]) -> Remote {
    let mut remote = Remote {
        refs: Refs::new(),
        default_branch: None,
    };
    for line in output.split(|byte| *byte == b'\n') {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else {
            continue;
        };
        let (object, name) = (&line[..tab], &line[tab + 1..]);
        if name == b"HEAD" {
            if let Some(branch) = object.strip_prefix(b"ref: refs/heads/") {
                let branch = String::from_utf8_lossy(branch);
                remote.default_branch =
                    tags::is_plain_name(&branch).then(|| format!("refs/heads/{branch}"));
            }
        } else if !name.ends_with(b"^{}") {
            remote.refs.insert(
                name.to_owned(),
                String::from_utf8_lossy(object).into_owned(),
            );
        }
    }
    remote
}

pub(super) type TagCommits = BTreeMap<Vec<u8>, CommitId>;

pub(super) fn compare(
    old: &TagCommits,
    new: &TagCommits,
    remote: &Refs,
) -> (Vec<MovedTag>, Vec<String>) {
    let shown = |tag: &[u8]| String::from_utf8_lossy(tag).into_owned();
    let (mut moved, mut gone) = (Vec::new(), Vec::new());
    for (tag, from) in old {
        match new.get(tag) {
            Some(to) if to != from => moved.push(MovedTag {
                tag: shown(tag),
                from: from.clone(),
                to: to.clone(),
            }),
            None if !remote.contains_key(&[b"refs/tags/", tag.as_slice()].concat()) => {
                gone.push(shown(tag));
            }
            _ => {}
        }
    }
    (moved, gone)
}
