//! Objects as they lie in the root: a manifest of a person's and a status of the operator's, either of which may be missing.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ci_warm_api_types::manifest::KindName;
use ci_warm_api_types::problem::Problem;
use ci_warm_api_types::relations::Declared;
use ci_warm_api_types::yaml;
use ci_warm_runtime::{Conditions, Meta, ObjectName, Root};
use serde::Deserialize;
use serde_json::Value;

use super::document::{self, AnySpec, Meaning};
use super::failure::{Failure, refused};

/// An object, by what is known of it here.
#[derive(Debug)]
pub(super) struct Found {
    /// Its kind.
    pub(super) kind: KindName,
    /// Its name.
    pub(super) name: ObjectName,
    /// What a person wrote.
    pub(super) manifest: ManifestFile,
    /// What the operator says.
    pub(super) status: StatusFile,
}

/// A manifest as it lies there.
#[derive(Debug)]
pub(super) enum ManifestFile {
    /// There is none.
    Missing,
    /// It can be accepted.
    Good {
        /// The bytes.
        text: String,
        /// What they mean.
        meaning: Meaning,
    },
    /// It cannot, for these reasons.
    Bad(Vec<Problem>),
}

/// A status as it lies there.
#[derive(Debug)]
pub(super) enum StatusFile {
    /// No operator has looked at the object yet.
    Missing,
    /// What it says.
    Read(Box<Observed>),
    /// It cannot be read, for this reason.
    Unreadable(String),
}

/// The status file's content.
#[derive(Debug)]
pub(super) struct Observed {
    /// `metadata`
    pub(super) meta: Meta,
    /// `spec`: the last accepted one.
    pub(super) spec: Option<Value>,
    /// `status.conditions`
    pub(super) conditions: Conditions,
    /// All of `status`.
    pub(super) status: Value,
}

/// The fields of a status file that every kind has; what is the kind's own stays untyped, because it is only shown.
#[derive(Deserialize)]
struct StatusText {
    metadata: Meta,
    #[serde(default)]
    spec: Option<Value>,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
struct Common {
    #[serde(default)]
    conditions: Conditions,
}

impl Found {
    /// Looks at one object; nothing when neither file is there.
    pub(super) fn look(
        root: &Root,
        kind: KindName,
        name: &ObjectName,
    ) -> Result<Option<Self>, Failure> {
        let found = Self {
            kind,
            name: name.clone(),
            manifest: manifest(root, kind, name)?,
            status: status(&root.status(kind.plural(), name)),
        };
        let nothing = matches!(
            (&found.manifest, &found.status),
            (ManifestFile::Missing, StatusFile::Missing)
        );
        Ok((!nothing).then_some(found))
    }

    /// The name as `ccctl` prints it: `warmapp/keycloak`.
    pub(super) fn title(&self) -> String {
        title(self.kind, &self.name)
    }

    /// What the operator says, if it can be read.
    pub(super) fn observed(&self) -> Option<&Observed> {
        match &self.status {
            StatusFile::Read(observed) => Some(observed),
            StatusFile::Missing | StatusFile::Unreadable(_) => None,
        }
    }

    /// What a person wrote, if it can be accepted.
    pub(super) fn meaning(&self) -> Option<&Meaning> {
        match &self.manifest {
            ManifestFile::Good { meaning, .. } => Some(meaning),
            ManifestFile::Missing | ManifestFile::Bad(_) => None,
        }
    }

    /// The spec: as written, or else the last that was accepted.
    pub(super) fn spec(&self) -> Option<AnySpec> {
        self.meaning()
            .map(|meaning| meaning.spec.clone())
            .or_else(|| {
                let kept = self.observed()?.spec.as_ref()?;
                AnySpec::from_value(self.kind, kept)
            })
    }

    /// A label's value.
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        let labels = match self.meaning() {
            Some(meaning) => &meaning.metadata.labels,
            None => &self.observed()?.meta.labels,
        };
        labels.get(key).map(String::as_str)
    }
}

/// The name of an object as `ccctl` prints it.
pub(super) fn title(kind: KindName, name: &ObjectName) -> String {
    format!("{}/{name}", kind.singular())
}

fn manifest(root: &Root, kind: KindName, name: &ObjectName) -> Result<ManifestFile, Failure> {
    let path = root.manifest(kind.plural(), name);
    let file = path.display().to_string();
    Ok(match read_text(&path) {
        Ok(text) => match document::read(&file, Some(name.as_str()), &text) {
            Ok(meaning) if meaning.spec.kind() == kind => ManifestFile::Good { text, meaning },
            Ok(meaning) => {
                let message = format!(
                    "is a {}, in the directory of {}",
                    meaning.spec.kind().kind(),
                    kind.plural()
                );
                ManifestFile::Bad(vec![Problem::whole(&file, message)])
            }
            Err(problems) => ManifestFile::Bad(problems),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.read_link() {
            Ok(target) => {
                let message = format!("is a symlink to {}, which does not exist", target.display());
                ManifestFile::Bad(vec![Problem::whole(&file, message)])
            }
            Err(_) => ManifestFile::Missing,
        },
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Failure::Refused(format!(
                "cannot read {file}: {error}\nrun ccctl as a user who may, for example with sudo"
            )));
        }
        Err(error) => ManifestFile::Bad(vec![Problem::whole(
            &file,
            format!("cannot be read: {error}"),
        )]),
    })
}

/// Reads a text file that is no device and no larger than an object may be.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if about.len() > yaml::LIMIT_BYTES as u64 {
        let limit = yaml::LIMIT_BYTES;
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    fs::read_to_string(path)
}

fn status(path: &Path) -> StatusFile {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return StatusFile::Missing,
        Err(error) => {
            return StatusFile::Unreadable(format!("cannot read {}: {error}", path.display()));
        }
    };
    let file = path.display().to_string();
    let damaged = |message: String| StatusFile::Unreadable(message);
    let read: StatusText = match yaml::read(&file, &text) {
        Ok(read) => read,
        Err(problem) => return damaged(problem.to_string()),
    };
    match Common::deserialize(&read.status) {
        Ok(common) => StatusFile::Read(Box::new(Observed {
            meta: read.metadata,
            spec: read.spec,
            conditions: common.conditions,
            status: read.status,
        })),
        Err(error) => damaged(format!("{file}: {error}")),
    }
}

/// What lies in the directories of a kind.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names of objects that have a manifest or a status.
    pub(super) objects: BTreeSet<ObjectName>,
    /// Files that are not read, and why.
    pub(super) strays: Vec<String>,
}

/// The objects of a kind, by name.
pub(super) fn names(root: &Root, kind: KindName) -> Result<Names, Failure> {
    let mut names = Names::default();
    for directory in [root.manifests(kind.plural()), root.statuses(kind.plural())] {
        for path in files(&directory)? {
            let stem = path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned());
            let stem = stem.unwrap_or_default();
            if stem.starts_with('.') || stem.ends_with(".events") {
                continue;
            }
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("yaml") => match ObjectName::new(&stem) {
                    Ok(name) => drop(names.objects.insert(name)),
                    Err(error) => names.strays.push(format!("{}: {error}", path.display())),
                },
                Some("yml") => names.strays.push(format!(
                    "{} is not read: rename it to end in .yaml",
                    path.display()
                )),
                _ => {}
            }
        }
    }
    Ok(names)
}

/// The entries of a directory; none when there is no such directory.
fn files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: io::Error| {
        Failure::Refused(format!("cannot list {}: {error}", directory.display()))
    };
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

/// All objects of a kind, by name.
pub(super) fn all(root: &Root, kind: KindName) -> Result<Vec<Found>, Failure> {
    let names = names(root, kind)?;
    let found = names
        .objects
        .iter()
        .map(|name| Found::look(root, kind, name));
    Ok(found
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect())
}

/// An app with its spec, ready to be compared with others.
pub(super) struct App {
    /// Its name.
    pub(super) name: String,
    /// When the operator first saw it.
    pub(super) created: Option<jiff::Timestamp>,
    /// What it asks for.
    pub(super) spec: ci_warm_api_types::warm_app::WarmAppSpec,
}

impl App {
    /// As others see it.
    pub(super) fn declared(&self) -> Declared<'_> {
        Declared {
            name: &self.name,
            created: self.created,
            spec: &self.spec,
        }
    }
}

/// All apps whose spec is known.
pub(super) fn apps(root: &Root) -> Result<Vec<App>, Failure> {
    let app = |found: Found| {
        Some(App {
            name: found.name.to_string(),
            created: found
                .observed()
                .map(|observed| observed.meta.creation_timestamp),
            spec: found.spec()?.warm_app()?.clone(),
        })
    };
    Ok(all(root, KindName::WarmApp)?
        .into_iter()
        .filter_map(app)
        .collect())
}

/// Refuses to write through a symlink, and says where it points.
pub(super) fn refuse_symlink(path: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.file_type().is_symlink() => {
            let target = path.read_link().map_err(refused)?;
            Err(Failure::Refused(format!(
                "{} is a symlink to {}: something else manages it, so change it there",
                path.display(),
                target.display()
            )))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::Refused(format!(
            "cannot look at {}: {error}",
            path.display()
        ))),
    }
}
