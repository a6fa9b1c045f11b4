//! The recipe's repository, and how its maintainer publishes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::Shell;

const FILES: [(&str, &str); 3] = [
    (
        "compose.yml",
        include_str!("../../../fixtures/recipe/compose.yml"),
    ),
    (
        ".env.sample",
        include_str!("../../../fixtures/recipe/env.sample"),
    ),
    ("abra.sh", include_str!("../../../fixtures/recipe/abra.sh")),
];

/// A recipe without versions at first.
#[derive(Debug)]
pub(crate) struct Recipe {
    path: PathBuf,
    shell: Shell,
}

impl Recipe {
    pub(crate) fn create(path: &Path, shell: &Shell) -> Self {
        fs::create_dir(path).expect("the demo's directory takes directories");
        for (name, text) in FILES {
            let text = text
                .replace("@IMAGE@", "e2e.test/records:0")
                .replace("@VERSION@", "0");
            fs::write(path.join(name), text).expect("the recipe takes files");
        }
        let mut shell = shell.clone();
        // Nothing of the user's configuration has a say, and nobody's name is needed.
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_AUTHOR_NAME", "Recipe Maintainer"),
            ("GIT_AUTHOR_EMAIL", "maintainer@recipes.test"),
            ("GIT_COMMITTER_NAME", "Recipe Maintainer"),
            ("GIT_COMMITTER_EMAIL", "maintainer@recipes.test"),
        ] {
            shell.set(name, value);
        }
        shell
            .quietly("git -C recipe init --quiet --initial-branch=main && git -C recipe add --all");
        Self {
            path: path.to_owned(),
            shell,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Commits and tags a version such as `1.1.0+1.1`, whose image is tagged with what stands behind the `+`.
    pub(crate) fn publish(&self, version: &str) {
        let app = version.rsplit('+').next().unwrap_or(version);
        for line in [
            format!(
                "sed -i 's/records:[0-9.]*/records:{app}/; s/version=[0-9.+]*/version={version}/' recipe/compose.yml"
            ),
            format!("git -C recipe commit --quiet --all --message 'Records {app}'"),
            format!("git -C recipe tag --annotate --message 'Records {app}' {version}"),
        ] {
            self.shell.run(&line);
        }
    }
}
