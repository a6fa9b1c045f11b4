//! `-f`: files, directories and standard input, taken apart into documents.
//!
//! A document of several keeps its place in the file: it is read with as many empty lines before it as stood there, so
//! that every problem has the line a person finds it at.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ci_warm_api_types::manifest::KindName;
use ci_warm_api_types::problem::Problem;
use ci_warm_api_types::yaml;
use ci_warm_runtime::{ObjectName, Root};
use clap::Args;

use super::document::{self, Meaning};
use super::failure::{Failure, refused};

/// What standard input is called in problems.
const STDIN: &str = "<stdin>";

/// Where manifests come from.
#[derive(Debug, Args)]
pub(super) struct Sources {
    /// A file, a directory, or `-` for standard input; may be repeated
    #[arg(short, long = "filename", required = true, value_name = "FILE")]
    pub(super) filename: Vec<PathBuf>,
    /// Take directories with all that is below them
    #[arg(short = 'R', long)]
    pub(super) recursive: bool,
}

/// One object as it was given.
#[derive(Debug)]
pub(super) struct Given {
    /// What problems call its file.
    pub(super) file: String,
    /// Its text, at its place in the file.
    pub(super) placed: String,
    /// Its text, as it is to be written.
    pub(super) text: String,
    /// What it means.
    pub(super) meaning: Meaning,
}

/// Everything that was given.
#[derive(Debug, Default)]
pub(super) struct All {
    /// What can be read.
    pub(super) given: Vec<Given>,
    /// What is wrong with the rest.
    pub(super) problems: Vec<Problem>,
}

/// Reads everything that was given. `root` tells manifests that lie where they belong, whose names must equal their file's.
///
/// # Errors
/// When something that was named is not there or cannot be read, or when nothing at all was given.
pub(super) fn read(sources: &Sources, root: Option<&Path>) -> Result<All, Failure> {
    let mut all = All::default();
    for source in &sources.filename {
        if source.as_os_str() == "-" {
            let mut bytes = Vec::new();
            let limit = 64 * yaml::LIMIT_BYTES as u64;
            io::stdin()
                .take(limit)
                .read_to_end(&mut bytes)
                .map_err(|error| {
                    Failure::Refused(format!("cannot read standard input: {error}"))
                })?;
            add(&mut all, STDIN, None, &bytes);
            continue;
        }
        let mut files = Vec::new();
        collect(source, sources.recursive, &mut files)?;
        for file in files {
            let bytes = fs::read(&file).map_err(|error| {
                Failure::Refused(format!("cannot read {}: {error}", file.display()))
            })?;
            add(
                &mut all,
                &file.display().to_string(),
                stem(&file, root).as_deref(),
                &bytes,
            );
        }
    }
    if all.given.is_empty() && all.problems.is_empty() {
        let named: Vec<_> = sources
            .filename
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(Failure::Refused(format!(
            "no object in {}: manifests are documents in files that end in .yaml, .yml or .json (with -R also in directories below)",
            named.join(", ")
        )));
    }
    twice(&mut all);
    Ok(all)
}

fn collect(path: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::Refused(format!("cannot read {}: {error}", path.display()));
    let about = fs::metadata(path).map_err(failed)?;
    if about.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    if !about.is_dir() {
        return Err(Failure::Refused(format!(
            "{} is neither a file nor a directory",
            path.display()
        )));
    }
    let entries = fs::read_dir(path).map_err(failed)?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let below = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Directories behind symlinks are not followed: they may lead in a circle.
        if entry.file_type().map_err(failed)?.is_dir() {
            if recursive {
                collect(&below, recursive, files)?;
            }
        } else if matches!(
            below.extension().and_then(|e| e.to_str()),
            Some("yaml" | "yml" | "json")
        ) {
            collect(&below, recursive, files)?;
        }
    }
    Ok(())
}

/// The name an object must have because of where its file lies.
fn stem(file: &Path, root: Option<&Path>) -> Option<String> {
    let directory = file.parent()?.canonicalize().ok()?;
    let ours = KindName::ALL
        .iter()
        .any(|kind| root.is_some_and(|root| root.join(kind.plural()) == directory));
    ours.then(|| {
        file.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    })?
}

fn add(all: &mut All, file: &str, stem: Option<&str>, bytes: &[u8]) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let message = format!("is not text in UTF-8 (at byte {at}); save it in that encoding");
            all.problems.push(Problem::whole(file, message));
            return;
        }
    };
    let documents = documents(text);
    let single = documents.len() == 1;
    for placed in documents {
        match document::read(file, stem, &placed) {
            Ok(meaning) => {
                // All of the file where it is one object, with what a person wrote before and after it. The operator must be
                // able to read it, which it cannot when there are empty documents around.
                let whole =
                    single && document::read(file, stem, text).is_ok_and(|read| read == meaning);
                let text = if whole {
                    text.to_owned()
                } else {
                    unplaced(&placed)
                };
                all.given.push(Given {
                    file: file.to_owned(),
                    placed,
                    text,
                    meaning,
                });
            }
            Err(problems) => all.problems.extend(problems),
        }
    }
}

/// The documents of a file that say something, each at its place.
///
/// A line that begins with `---` or `...` ends a document wherever it stands: YAML allows it nowhere else.
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let marks = |mark: &str| {
            line.strip_prefix(mark)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
        };
        if marks("---") || marks("...") {
            documents.push("\n".repeat(number));
            if let (Some(document), Some(rest)) = (documents.last_mut(), line.get(3..)) {
                document.push_str("   ");
                document.push_str(rest);
            }
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
        }
    }
    let says_something = |document: &String| {
        document.lines().any(|line| {
            let line = line.trim_start();
            !line.is_empty() && !line.starts_with('#') && !line.starts_with('%')
        })
    };
    documents.retain(says_something);
    documents
}

fn unplaced(placed: &str) -> String {
    let mut lines = placed
        .split_inclusive('\n')
        .skip_while(|line| line.trim().is_empty());
    let mut text: String = lines.by_ref().collect();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// One object given twice: the later one would silently win.
fn twice(all: &mut All) {
    let mut seen = std::collections::BTreeMap::new();
    for given in &all.given {
        let name = given.meaning.metadata.name.clone();
        let key = (given.meaning.spec.kind(), name);
        let at = yaml::locate(&given.placed, &yaml::path("metadata.name"));
        if let Some((file, line)) = seen.insert(key.clone(), (given.file.clone(), at.0)) {
            let message = format!(
                "{}/{} was given before, at {file}:{line}; keep one of them",
                key.0.singular(),
                key.1
            );
            all.problems
                .push(Problem::at(&given.file, &given.placed, at, message));
        }
    }
}

/// The file of an object in the root.
pub(super) fn path_of(root: &Root, meaning: &Meaning) -> Result<(ObjectName, PathBuf), Failure> {
    let name = ObjectName::new(&meaning.metadata.name).map_err(refused)?;
    let path = root.manifest(meaning.spec.kind().plural(), &name);
    Ok((name, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_should_keep_their_place() {
        let found =
            documents("# licence\n---\na: 1\n--- # two\nb: 2\n...\n---\n# nothing\n--- {c: 3}\n");
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], "\n   \na: 1\n");
        assert_eq!(yaml::locate(&found[1], &yaml::path("b")), (5, 1));
        assert_eq!(yaml::locate(&found[2], &yaml::path("c")), (9, 6));
        assert_eq!(unplaced(&found[0]), "a: 1\n");
    }

    #[test]
    fn a_block_of_text_should_not_be_cut() {
        let text = "a: |\n  ---\n  ...\n  x\n--more: 1\n";
        assert_eq!(documents(text), [text]);
    }
}
