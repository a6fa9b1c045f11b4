//! A recipe's git repository, with versions that a test publishes, moves and removes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::command::Ran;

const COMPOSE: &str = include_str!("../fixtures/recipe/compose.yml");
const ENV_SAMPLE: &str = include_str!("../fixtures/recipe/env.sample");
const ABRA: &str = include_str!("../fixtures/recipe/abra.sh");

/// A recipe `records`, in a temporary directory that goes with it.
#[derive(Debug)]
pub struct RecipeRepo {
    directory: TempDir,
}

impl RecipeRepo {
    /// One without any version.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let repo = Self { directory };
        fs::create_dir(repo.path()).expect("a temporary directory takes directories");
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// Its work tree.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("records")
    }

    /// What a manifest calls it: `file://…`.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// A version to publish. As it is, it runs `image` as its service `app`.
    pub fn version(&self, version: &str, image: &str) -> Draft<'_> {
        let compose = COMPOSE
            .replace("@IMAGE@", image)
            .replace("@VERSION@", version);
        let files = [
            ("compose.yml", compose),
            (".env.sample", ENV_SAMPLE.to_owned()),
            ("abra.sh", ABRA.to_owned()),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text)).to_vec();
        Draft {
            repo: self,
            version: version.to_owned(),
            files,
        }
    }

    /// Commits and tags a version without anything special; returns its commit.
    pub fn publish(&self, version: &str, image: &str) -> String {
        self.version(version, image).publish()
    }

    /// Deletes a version's tag.
    pub fn remove_tag(&self, version: &str) {
        self.git(&["tag", "--delete", version]);
    }

    /// Lets a version's tag point to another commit, as no upstream should.
    pub fn move_tag(&self, version: &str, commit: &str) {
        self.git(&[
            "tag",
            "--annotate",
            "--force",
            "--message",
            &format!("chore: publish {version} release"),
            version,
            commit,
        ]);
    }

    /// Deletes the repository, as if its host were gone. What uses it afterwards fails.
    pub fn delete(&self) {
        fs::remove_dir_all(self.path()).expect("the repository can be removed");
    }

    /// Runs git in it and returns the output.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(self.path()).args(arguments);
        // Neither the user's configuration nor a hook's environment may change what is committed.
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null");
        command
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Recipe Maintainer");
            command.env(format!("GIT_{role}_EMAIL"), "maintainer@recipes.test");
        }
        Ran::of(&mut command).ok()
    }
}

impl Default for RecipeRepo {
    fn default() -> Self {
        Self::new()
    }
}

/// A version that is not published yet.
#[derive(Debug)]
#[must_use = "a draft is published by publish()"]
pub struct Draft<'a> {
    repo: &'a RecipeRepo,
    version: String,
    files: Vec<(String, String)>,
}

impl Draft<'_> {
    /// Adds `release/<version>`.
    pub fn notes(self, text: &str) -> Self {
        let path = format!("release/{}", self.version);
        self.file(&path, text)
    }

    /// Adds or replaces a file, by its path in the repository.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.retain(|(name, _)| name != path);
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Changes a file that the draft has, such as `compose.yml`.
    #[track_caller]
    pub fn edit(mut self, path: &str, change: impl FnOnce(&str) -> String) -> Self {
        let file = self.files.iter_mut().find(|(name, _)| name == path);
        let (_, text) = file.unwrap_or_else(|| panic!("the draft has no {path}"));
        *text = change(text);
        self
    }

    /// Replaces a piece of `compose.yml`, which must be there.
    #[track_caller]
    pub fn replace(self, from: &str, to: &str) -> Self {
        self.edit("compose.yml", |text| {
            assert!(text.contains(from), "compose.yml has no {from:?}:\n{text}");
            text.replace(from, to)
        })
    }

    /// Adds lines to `.env.sample`.
    pub fn env(self, lines: &str) -> Self {
        self.edit(".env.sample", |text| format!("{text}{lines}\n"))
    }

    /// Commits it and makes its annotated tag. Returns the commit.
    pub fn publish(self) -> String {
        let commit = self.commit();
        let message = format!("chore: publish {} release", self.version);
        self.repo
            .git(&["tag", "--annotate", "--message", &message, &self.version]);
        commit
    }

    /// Commits it without a tag.
    pub fn commit(&self) -> String {
        for (name, text) in &self.files {
            write(&self.repo.path().join(name), text);
        }
        self.repo.git(&["add", "--all"]);
        self.repo.git(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "--message",
            &format!("chore: {}", self.version),
        ]);
        self.repo.git(&["rev-parse", "HEAD"])
    }
}

fn write(path: &Path, text: &str) {
    let directory = path.parent().expect("a file is in a directory");
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(path, text))
        .expect("the repository takes files");
}
