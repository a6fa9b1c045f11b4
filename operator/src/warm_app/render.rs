//! A version of a recipe as a release, under the spec as it is now.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::{Candidate, ConfigDigest, ReleaseId};
use ci_warm_api_types::version::Version;
use ci_warm_api_types::warm_app::{SecretSource, WarmAppSpec};
use ci_warm_stack::{ComposeFile, ReadFile, Stack, StackName, load};
use thiserror::Error;

use crate::probe::{GateHost, gate_host, router_hosts};
use crate::recipe::{
    ComposeSource, GitUrl, InstanceNames, MirrorError, SecretNeed, Tree, TreeError, refuses,
};
use crate::release::{Frozen, FrozenSecret, ValueSource};

/// Why a version is no release.
#[derive(Debug, Error)]
pub(super) enum RenderError {
    /// It cannot be told now.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be one.
    #[error("{message}")]
    Refused {
        /// A condition's reason.
        reason: &'static str,
        /// For a person.
        message: String,
    },
}

impl From<MirrorError> for RenderError {
    fn from(error: MirrorError) -> Self {
        Self::Unknown(error.to_string())
    }
}

impl From<TreeError> for RenderError {
    fn from(error: TreeError) -> Self {
        Self::Unknown(error.to_string())
    }
}

#[allow(clippy::needless_pass_by_value)] // taken by map_err
fn invalid(error: impl ToString) -> RenderError {
    RenderError::Refused {
        reason: reasons::INVALID_RECIPE,
        message: error.to_string(),
    }
}

/// A version's files under this spec.
pub(super) async fn source(
    spec: &WarmAppSpec,
    url: &GitUrl,
    tree: &Tree,
) -> Result<ComposeSource, RenderError> {
    let files = tree.load().await?;
    let stack = spec.stack_name();
    let names = InstanceNames {
        recipe: &url.short_name(),
        domain: &spec.domain,
        stack: &stack,
    };
    ComposeSource::new(files, names, &spec.env).map_err(invalid)
}

/// The generated secrets of a version, by short name, with their versions: those a database gets to know.
pub(super) fn generated(spec: &WarmAppSpec, needs: &[SecretNeed]) -> BTreeMap<String, String> {
    needs
        .iter()
        .filter(|need| {
            need.source != crate::recipe::SecretSource::Manual
                && !spec.secrets.contains_key(&need.name)
        })
        .map(|need| (need.name.clone(), need.version.clone()))
        .collect()
}

/// The release, not yet pinned to images, with what should be told about it.
pub(super) fn render(
    spec: &WarmAppSpec,
    version: &Version,
    commit: &str,
    source: &ComposeSource,
) -> Result<(Frozen, Vec<String>), RenderError> {
    let findings = source.lint();
    let mut warnings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    if refuses(&findings) {
        return Err(invalid(format!(
            "the recipe fails lint: {}",
            warnings.join("; ")
        )));
    }
    let stack = stack(spec, source)?;
    warnings.extend(
        stack
            .warnings
            .iter()
            .map(|warning| format!("warning: {}: {}", warning.path, warning.message)),
    );
    own_gate(spec, source, &stack)?;
    let needs = source.secret_needs().map_err(invalid)?;
    let secrets = secrets(spec, &needs)?;
    let digest = digest(spec, &stack, &secrets);
    let candidate = Candidate {
        id: release_id(version, &digest),
        version: version.clone(),
        commit: commit.to_owned(),
        digest,
        secrets: generated(spec, &needs),
    };
    let frozen = Frozen {
        candidate,
        stack,
        images: BTreeMap::new(),
        env: source.env.clone().into_iter().collect(),
        secrets,
        networks: spec.networks.clone(),
    };
    Ok((frozen, warnings))
}

fn stack(spec: &WarmAppSpec, source: &ComposeSource) -> Result<Stack, RenderError> {
    let files: Vec<ComposeFile> = source
        .files
        .iter()
        .map(|(name, text)| ComposeFile {
            name: name.clone(),
            text: text.clone(),
        })
        .collect();
    let env = source.env.clone().into_iter().collect();
    let name = StackName::new(spec.stack_name()).map_err(invalid)?;
    let loaded = load(&files, &env, Path::new(RECIPE), &Recipe(source)).map_err(invalid)?;
    loaded.stack(&name).map_err(invalid)
}

/// Where the recipe seems to lie for the compose files: no path of this host means anything in them.
const RECIPE: &str = "/recipe";

struct Recipe<'a>(&'a ComposeSource);

impl ReadFile for Recipe<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let inside = path.strip_prefix(RECIPE).map_err(|_| {
            io::Error::new(
                io::ErrorKind::PermissionDenied,
                "a recipe's compose files can only name files of the recipe",
            )
        })?;
        let plain: PathBuf = inside
            .components()
            .filter(|part| !matches!(part, Component::CurDir))
            .collect();
        self.0
            .read(&plain.to_string_lossy())
            .map_err(io::Error::other)
    }
}

/// A gate that waits for a host of another app, which may come after this one, waits for ever.
fn own_gate(spec: &WarmAppSpec, source: &ComposeSource, stack: &Stack) -> Result<(), RenderError> {
    let mut routed = std::collections::BTreeSet::new();
    for service in &stack.services {
        let labels = service
            .spec
            .get("Labels")
            .and_then(serde_json::Value::as_object);
        let labels = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
        routed.extend(router_hosts(labels));
    }
    let env = source.env.clone().into_iter().collect();
    match gate_host(&spec.health, &env, &spec.domain, &routed) {
        Ok(GateHost::Own | GateHost::NotApplicable) => Ok(()),
        Ok(GateHost::Foreign { host, own }) => Err(RenderError::Refused {
            reason: reasons::HEALTH_GATE_FOREIGN_HOST,
            message: format!(
                "spec.health.http asks {host}, which this app does not serve ({}): ask a host of its own, or say \
                 `allowForeignHost: true`",
                own.join(", ")
            ),
        }),
        Err(error) => Err(invalid(error)),
    }
}

fn secrets(spec: &WarmAppSpec, needs: &[SecretNeed]) -> Result<Vec<FrozenSecret>, RenderError> {
    needs
        .iter()
        .map(|need| {
            let source = match spec.secrets.get(&need.name) {
                Some(given) => ValueSource::File(file_of(given)?),
                None => ValueSource::from(&need.source),
            };
            Ok(FrozenSecret {
                name: need.name.clone(),
                swarm_name: need.swarm_name.clone(),
                source,
            })
        })
        .collect()
}

fn file_of(source: &SecretSource) -> Result<PathBuf, RenderError> {
    if let Some(path) = &source.from_file {
        return Ok(path.clone());
    }
    let name = source.from_credential.clone().unwrap_or_default();
    // systemd says where it put the credentials (systemd.exec(5), LoadCredential=).
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(directory) => Ok(Path::new(&directory).join(name)),
        None => Err(RenderError::Refused {
            reason: reasons::SECRET_MISSING,
            message: format!(
                "credential `{name}`: the operator was given no credentials (LoadCredential= in its unit)"
            ),
        }),
    }
}

fn digest(spec: &WarmAppSpec, stack: &Stack, secrets: &[FrozenSecret]) -> ConfigDigest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(stack.canonical_json().as_bytes());
    for part in [
        serde_json::to_vec(&spec.networks),
        serde_json::to_vec(secrets),
    ] {
        hasher.update(&part.unwrap_or_default());
    }
    ConfigDigest(hasher.finalize().to_hex()[..16].to_owned())
}

fn release_id(version: &Version, digest: &ConfigDigest) -> ReleaseId {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || ".-+".contains(c) {
            c
        } else {
            '_'
        }
    };
    ReleaseId(format!(
        "{}-{}",
        version.to_string().chars().map(plain).collect::<String>(),
        digest.short()
    ))
}
