//! What one version of a recipe gives to an instance: compose files, environment, and the files that configs are made from.

use std::collections::BTreeMap;

use thiserror::Error;

use super::env_sample::{EnvInputs, EnvSample, RecipeEnv, abra_versions, compose_files};
use super::lint::{ComposeView, Finding, lint};
use super::secrets::{SecretError, SecretNeed, secret_needs, used_secrets};
use super::tree::{Files, TreeError};

/// Everything that rendering a stack needs, in memory, from one commit.
#[derive(Debug, Clone)]
pub struct ComposeSource {
    /// The compose files in the order of `COMPOSE_FILE`: path in the recipe, and text as it stands there.
    pub files: Vec<(String, String)>,
    /// The environment for interpolation.
    pub env: RecipeEnv,
    /// The directory of the first compose file, in the recipe; empty for the recipe's own. Paths in compose files are relative to it.
    pub working_dir: String,
    /// The recipe's `.env.sample`; none when it has none, which lint refuses.
    pub sample: Option<EnvSample>,
    stack: String,
    tree: Files,
}

/// Whose environment it is.
#[derive(Debug, Clone, Copy)]
pub struct InstanceNames<'a> {
    /// The recipe's name, for a sample without `TYPE`.
    pub recipe: &'a str,
    /// The app's domain.
    pub domain: &'a str,
    /// The stack's name.
    pub stack: &'a str,
}

/// Why a version gives nothing that could be rendered.
#[derive(Debug, Error)]
pub enum ComposeSourceError {
    /// A file that `COMPOSE_FILE` names cannot be had.
    #[error("COMPOSE_FILE is `{list}`: {source}")]
    ComposeFile {
        /// The names, with colons between them.
        list: String,
        /// Why the file cannot be had.
        source: TreeError,
    },
    /// `.env.sample` or `abra.sh` is there and cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl ComposeSource {
    /// Puts a commit's files, the instance's names and the user's values together.
    pub fn new(
        tree: Files,
        instance: InstanceNames<'_>,
        overrides: &BTreeMap<String, String>,
    ) -> Result<Self, ComposeSourceError> {
        let sample = optional(tree.read_text(".env.sample"))?.map(|text| EnvSample::parse(&text));
        let versions = optional(tree.read_text("abra.sh"))?
            .map(|script| abra_versions(&script))
            .unwrap_or_default();
        let env = sample.clone().unwrap_or_default().resolve(EnvInputs {
            recipe: instance.recipe,
            domain: instance.domain,
            stack: instance.stack,
            abra_versions: &versions,
            overrides,
        });
        let names = compose_files(&env);
        let mut files = Vec::new();
        for name in &names {
            let text = tree.read_text(name);
            let list = || names.join(":");
            files.push((
                name.clone(),
                text.map_err(|source| ComposeSourceError::ComposeFile {
                    list: list(),
                    source,
                })?,
            ));
        }
        let working_dir = names[0]
            .rsplit_once('/')
            .map_or("", |(dir, _)| dir)
            .to_owned();
        Ok(Self {
            files,
            env,
            working_dir,
            sample,
            stack: instance.stack.to_owned(),
            tree,
        })
    }

    /// The bytes of a file that a compose file names, relative to [`Self::working_dir`]. Never leads out of the recipe.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, TreeError> {
        self.tree.read(&self.working_dir, path)
    }

    /// The compose files, read loosely.
    pub fn view(&self) -> ComposeView {
        ComposeView::read(&self.files)
    }

    /// The secrets that the compose files use and the environment names a version of.
    pub fn secret_needs(&self) -> Result<Vec<SecretNeed>, SecretError> {
        let none = EnvSample::default();
        let needs = secret_needs(
            self.sample.as_ref().unwrap_or(&none),
            &self.env,
            &self.stack,
        )?;
        used_secrets(needs, &self.view(), &self.stack)
    }

    /// Everything that is wrong with this version, errors first.
    pub fn lint(&self) -> Vec<Finding> {
        lint(self.sample.as_ref(), &self.env, &self.view())
    }
}

/// A file that may be absent, which is not the same as unreadable.
fn optional(text: Result<String, TreeError>) -> Result<Option<String>, TreeError> {
    match text {
        Ok(text) => Ok(Some(text)),
        Err(TreeError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;

    use super::super::mirror::Mirror;
    use super::super::secrets::SecretSource;
    use super::super::testing::Host;
    use super::*;

    const NAMES: InstanceNames<'_> = InstanceNames {
        recipe: "app",
        domain: "app.example.org",
        stack: "app_example_org",
    };

    async fn source(
        host: &Host,
        overrides: &[(&str, &str)],
    ) -> Result<ComposeSource, ComposeSourceError> {
        host.publish("1.0.0+1");
        let mirror = Mirror::new(&host.root(), host.url().parse().unwrap());
        mirror.refresh(Timestamp::UNIX_EPOCH).await.unwrap();
        let newest = mirror.versions().await.unwrap().versions.pop().unwrap();
        let files = mirror
            .tree(&newest.commit)
            .await
            .unwrap()
            .load()
            .await
            .unwrap();
        let overrides = overrides
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        ComposeSource::new(files, NAMES, &overrides)
    }

    fn recipe() -> Host {
        let host = Host::new();
        host.write(".env.sample", "TYPE=app\nDOMAIN=app.example.com\n#COMPOSE_FILE=\"$COMPOSE_FILE:extra/compose.db.yml\"\nSECRET_KEY_VERSION=v1 # length=16\nSECRET_DB_PASSWORD_VERSION=v2 #generate=false\n");
        host.write("abra.sh", "export CONF_VERSION=v3\n");
        host.write("compose.yml", "services:\n  app:\n    image: a:1\n    healthcheck: { test: x }\nconfigs:\n  conf:\n    name: ${STACK_NAME}_conf_${CONF_VERSION}\n    file: conf/app.conf\nsecrets:\n  key:\n    external: true\n    name: ${STACK_NAME}_key_${SECRET_KEY_VERSION}\n");
        host.write("extra/compose.db.yml", "secrets:\n  db:\n    external: true\n    name: ${STACK_NAME}_db_password_${SECRET_DB_PASSWORD_VERSION}\n");
        host.write("conf/app.conf", "listen 80\n");
        host
    }

    #[tokio::test]
    async fn a_version_should_give_its_files_environment_and_secrets() {
        let host = recipe();
        let source = source(&host, &[("TIMEOUT", "600")]).await.unwrap();
        assert_eq!(source.files.len(), 1);
        assert_eq!(source.env["CONF_VERSION"], "v3");
        assert_eq!(source.env["DOMAIN"], "app.example.org");
        assert_eq!(source.env["TIMEOUT"], "600");
        assert_eq!(source.read("./conf/app.conf").unwrap(), b"listen 80\n");
        assert!(matches!(
            source.read("../../etc/passwd"),
            Err(TreeError::Outside { .. })
        ));
        let needs = source.secret_needs().unwrap();
        assert_eq!(needs.len(), 1);
        assert_eq!(needs[0].swarm_name, "app_example_org_key_v1");
        assert!(source.lint().is_empty(), "{:?}", source.lint());
    }

    #[tokio::test]
    async fn an_overlay_should_bring_its_secrets() {
        let host = recipe();
        let source = source(
            &host,
            &[("COMPOSE_FILE", "$COMPOSE_FILE:extra/compose.db.yml")],
        )
        .await
        .unwrap();
        assert_eq!(source.working_dir, "");
        let needs = source.secret_needs().unwrap();
        assert_eq!(needs[0].swarm_name, "app_example_org_db_password_v2");
        assert_eq!(needs[0].source, SecretSource::Manual);
        assert_eq!(needs.len(), 2);
    }

    #[tokio::test]
    async fn compose_files_that_are_absent_or_outside_should_be_errors() {
        let host = recipe();
        for list in ["compose.none.yml", "../compose.yml", "/etc/passwd", "conf"] {
            let error = source(&recipe(), &[("COMPOSE_FILE", list)])
                .await
                .unwrap_err();
            assert!(error.to_string().contains(list), "{error}");
        }
        host.write(".env.sample", [b'A', b'=', 0xff]);
        assert!(matches!(
            source(&host, &[]).await,
            Err(ComposeSourceError::Tree(TreeError::NotText { .. }))
        ));
    }

    #[tokio::test]
    async fn a_recipe_without_sample_should_be_readable_and_refused_by_lint() {
        let host = recipe();
        std::fs::remove_file(host.origin().join(".env.sample")).unwrap();
        let source = source(&host, &[]).await.unwrap();
        assert!(super::super::lint::refuses(&source.lint()));
    }
}
