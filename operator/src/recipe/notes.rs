//! Release notes, and whether one of them asks for a person.
//!
//! Notes are `release/<tag>` and `releaseNotes/<version>.md`. Many versions have none, and that says nothing.

use ci_warm_api_types::version::Version;

use super::tree::{Tree, TreeError};

/// How much of a note is read.
pub const NOTE_MAX_BYTES: usize = 64 << 10;

/// A version's note in one file, as one commit has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The version that the note is about.
    pub version: Version,
    /// The file it was read from.
    pub path: String,
    /// The text, at most [`NOTE_MAX_BYTES`] of it; what is not UTF-8 is replaced.
    pub text: String,
    /// Whether that is all of it.
    pub extent: Extent,
}

/// Whether a note was read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// To its end.
    Whole,
    /// Only its beginning; the file has this many bytes.
    Cut {
        /// The size of the file.
        size_bytes: u64,
    },
}

/// Whether notes ask a person to do something for an upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManualMigration {
    /// No note has one of the [`PHRASES`]. A breaking change can still be meant; the check for major versions stands beside this one.
    NotFlagged,
    /// A note has one.
    Flagged {
        /// The version whose note it is.
        version: Version,
        /// The file.
        path: String,
        /// The phrase that was found, as in [`PHRASES`].
        phrase: &'static str,
    },
    /// A note is too long to be read whole and its beginning has none: a person must look.
    TooLong {
        /// The version whose note it is.
        version: Version,
        /// The file.
        path: String,
        /// Its size.
        size_bytes: u64,
    },
}

/// What marks a note as asking for a person. Matched in lower case, with every run of blanks, line ends, `-`, `*`, `_` and `` ` `` as
/// one blank. A note that says "no manual migration" is flagged as well: a hold costs a look, a missed migration costs the data.
pub const PHRASES: [&str; 22] = [
    "manual migration",
    "manually migrate",
    "migrate manually",
    "migrated manually",
    "manual intervention",
    "manual step",
    "manual action",
    "manual upgrade",
    "manual update",
    "manual change",
    "manual work",
    "requires manual",
    "must be done manually",
    "do this manually",
    "run manually",
    "manually run",
    "action required",
    "migration required",
    "breaking change",
    "before upgrading",
    "before you upgrade",
    "not backwards compatible",
];

/// The notes about a version in these trees: that of the version to be deployed, and the newest, where a note may have been
/// added or corrected since. A note that is the same in both is given once.
pub async fn notes_of(version: &Version, trees: &[&Tree]) -> Result<Vec<Note>, TreeError> {
    let mut notes: Vec<Note> = Vec::new();
    for tree in trees {
        for path in [
            format!("release/{version}"),
            format!("releaseNotes/{version}.md"),
        ] {
            let head = match tree.read_head(&path, NOTE_MAX_BYTES).await {
                Ok(Some(head)) => head,
                Ok(None) | Err(TreeError::NotAFile { .. } | TreeError::Outside { .. }) => continue,
                Err(error) => return Err(error),
            };
            let text = String::from_utf8_lossy(&head.bytes).into_owned();
            let whole = head.size_bytes <= NOTE_MAX_BYTES as u64;
            let extent = if whole {
                Extent::Whole
            } else {
                Extent::Cut {
                    size_bytes: head.size_bytes,
                }
            };
            let note = Note {
                version: version.clone(),
                path,
                text,
                extent,
            };
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    Ok(notes)
}

/// Looks for a note that asks for a person: the first that does, else the first that cannot be read whole.
pub fn manual_migration<'a>(notes: impl IntoIterator<Item = &'a Note>) -> ManualMigration {
    let mut result = ManualMigration::NotFlagged;
    for note in notes {
        let (version, path) = (note.version.clone(), note.path.clone());
        let text = flattened(&note.text);
        if let Some(phrase) = PHRASES.into_iter().find(|phrase| text.contains(phrase)) {
            return ManualMigration::Flagged {
                version,
                path,
                phrase,
            };
        }
        if let (ManualMigration::NotFlagged, Extent::Cut { size_bytes }) = (&result, note.extent) {
            result = ManualMigration::TooLong {
                version,
                path,
                size_bytes,
            };
        }
    }
    result
}

fn flattened(text: &str) -> String {
    let blank = |c: char| c.is_whitespace() || matches!(c, '-' | '*' | '_' | '`');
    let words: Vec<String> = text
        .split(blank)
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn note(text: &str) -> Note {
        Note {
            version: "1.0.0+1".parse().unwrap(),
            path: "release/1.0.0+1".to_owned(),
            text: text.to_owned(),
            extent: Extent::Whole,
        }
    }

    #[test]
    fn a_phrase_should_be_found_however_it_is_written() {
        for text in [
            "This release needs a Manual Migration.",
            "needs a **manual**\n   migration of the database",
            "BREAKING-CHANGE: the search backend was removed",
            "## Breaking changes\n- x",
            "Some manual steps: …",
        ] {
            assert!(
                matches!(
                    manual_migration(&[note(text)]),
                    ManualMigration::Flagged { .. }
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn a_note_without_one_and_no_note_should_not_be_flagged() {
        assert_eq!(manual_migration(&[]), ManualMigration::NotFlagged);
        assert_eq!(
            manual_migration(&[note("see the user manual; the search backend was removed")]),
            ManualMigration::NotFlagged
        );
    }

    #[test]
    fn a_note_that_was_cut_should_need_a_look_unless_another_is_flagged() {
        let cut = Note {
            extent: Extent::Cut {
                size_bytes: 100 << 20,
            },
            ..note("long")
        };
        assert!(matches!(
            manual_migration(std::slice::from_ref(&cut)),
            ManualMigration::TooLong {
                size_bytes: 104_857_600,
                ..
            }
        ));
        assert!(matches!(
            manual_migration(&[cut, note("manual step")]),
            ManualMigration::Flagged { .. }
        ));
    }
}
