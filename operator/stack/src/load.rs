//! The way from compose files to a model: parse, version, forbidden keys, interpolation, schema, decode, merge.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::convert::{self, Contents};
use crate::decode::{self, Surroundings};
use crate::error::{LoadError, Position, Problem, Warning};
use crate::interpolate;
use crate::merge;
use crate::model::{Compose, FileObject, Owner};
use crate::schema::{self, LATEST, Version};
use crate::stack::{Stack, StackName};
use crate::yaml::{self, Node, Value};

/// One compose file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeFile {
    /// How errors name it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Where the files come from that compose files refer to: env files, and the contents of secrets and configs.
///
/// Paths are absolute. An implementation decides what may be read.
pub trait ReadFile {
    /// The whole content of one file.
    ///
    /// # Errors
    /// Whatever keeps it from being read; the error ends up in [`Problem::Read`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

impl ReadFile for BTreeMap<PathBuf, Vec<u8>> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Loaded and merged compose files, with the content of every file they refer to: a stack that lacks only its name.
#[derive(Debug, Clone)]
pub struct Loaded {
    compose: Compose,
    contents: Contents,
    places: BTreeMap<String, Position>,
    warnings: Vec<Warning>,
}

impl Loaded {
    /// What has no effect, or another one than it seems.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The stack of this name.
    ///
    /// # Errors
    /// What only shows in the whole: references to undefined objects, settings that exclude each other, images and
    /// names the engine refuses.
    pub fn stack(&self, name: &StackName) -> Result<Stack, LoadError> {
        let stack = convert::convert(&self.compose, name, &self.contents, &self.warnings);
        stack.map_err(|error| self.place(error))
    }

    /// Points an error at the deepest part of its path that stands in a file.
    fn place(&self, error: LoadError) -> LoadError {
        let mut path = error.path.as_str();
        loop {
            if let Some(position) = self.places.get(path) {
                let position = position.clone();
                return error.placed(&position);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return error,
            }
        }
    }
}

/// Loads compose files as `docker stack deploy -c FIRST -c SECOND …` does.
///
/// `env` is the process environment; `.env` files are not looked for. Relative paths of every file start at
/// `working_dir`, which must be absolute and is the directory of the first file.
///
/// # Errors
/// The first fault found, with its place where that is known.
pub fn load(
    files: &[ComposeFile],
    env: &BTreeMap<String, String>,
    working_dir: &Path,
    reader: &dyn ReadFile,
) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded {
        compose: Compose::default(),
        contents: Contents::new(),
        places: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let mut first: Option<Version> = None;
    for file in files {
        let mut root = yaml::parse(&Arc::from(file.name.as_str()), &file.text)?;
        if root.map().is_none() {
            return Err(LoadError::at(&root.at, "", Problem::TopLevel));
        }
        let version = version(&root)?;
        let expected = *first.get_or_insert(version);
        if version != expected {
            let problem = Problem::VersionsDiffer {
                first: expected.to_string(),
                other: version.to_string(),
            };
            let at = root.get("version").map_or(&root.at, |node| &node.at);
            return Err(LoadError::at(at, "version", problem));
        }
        forbidden(&root)?;
        interpolate::interpolate(&mut root, env, &mut loaded.warnings)?;
        schema::check(&root, version, &mut loaded.warnings)?;
        ignored(&root, &mut loaded.warnings);
        note_places(&root, "", &mut loaded.places);
        let around = Surroundings {
            env,
            working_dir,
            reader,
            version,
        };
        let compose = decode::decode(&root, &around, &mut loaded.warnings)?;
        merge::merge(&mut loaded.compose, compose);
    }
    if first.is_none() {
        return Err(LoadError::new("", Problem::NoFiles));
    }
    loaded.contents = contents(&loaded.compose, reader).map_err(|error| loaded.place(error))?;
    Ok(loaded)
}

fn version(root: &Node) -> Result<Version, LoadError> {
    let Some(node) = root.get("version") else {
        return Ok(LATEST);
    };
    let text = node.print().unwrap_or_else(|| "nothing".to_owned());
    if text.is_empty() || text == "3" {
        return Ok(LATEST);
    }
    let minor = text
        .strip_prefix("3.")
        .and_then(|minor| minor.parse::<u8>().ok());
    let known = minor
        .map(Version)
        .filter(|known| *known <= LATEST && known.to_string() == text);
    known.ok_or_else(|| LoadError::at(&node.at, "version", Problem::Version(text)))
}

const FORBIDDEN: &[(&str, &str)] = &[
    (
        "extends",
        "write the service out, or use an anchor and `<<`",
    ),
    (
        "volume_driver",
        "set the driver of the volume at the top level",
    ),
    ("volumes_from", "mount the same volume in both services"),
    ("cpu_quota", "use deploy.resources.limits.cpus"),
    ("cpu_shares", "use deploy.resources.reservations.cpus"),
    ("cpuset", "use deploy.resources"),
    ("mem_limit", "use deploy.resources.limits.memory"),
    ("memswap_limit", "use deploy.resources.limits.memory"),
];

fn forbidden(root: &Node) -> Result<(), LoadError> {
    for (service, entry) in root
        .get("services")
        .and_then(Node::map)
        .into_iter()
        .flatten()
    {
        for (key, value) in entry.node.map().into_iter().flatten() {
            if let Some((key, instead)) = FORBIDDEN.iter().find(|(forbidden, _)| forbidden == key) {
                let path = format!("services.{service}.{key}");
                return Err(LoadError::at(
                    &value.key_at,
                    path,
                    Problem::Forbidden { key, instead },
                ));
            }
        }
    }
    Ok(())
}

const NOT_IN_A_SWARM: &str = "is ignored: a Swarm service has no such setting";
const IGNORED: &[(&str, &str)] = &[
    (
        "build",
        "is ignored: nothing is built for a stack, the image must exist",
    ),
    ("cgroup_parent", NOT_IN_A_SWARM),
    ("cgroupns_mode", NOT_IN_A_SWARM),
    (
        "container_name",
        "is ignored: a service has several containers, and names them itself",
    ),
    ("depends_on", "is ignored: services start in any order"),
    ("devices", NOT_IN_A_SWARM),
    ("domainname", NOT_IN_A_SWARM),
    (
        "expose",
        "is ignored: services on one network reach each other on any port",
    ),
    ("external_links", NOT_IN_A_SWARM),
    ("ipc", NOT_IN_A_SWARM),
    ("links", NOT_IN_A_SWARM),
    ("mac_address", NOT_IN_A_SWARM),
    ("network_mode", NOT_IN_A_SWARM),
    ("oom_score_adj", NOT_IN_A_SWARM),
    ("pid", NOT_IN_A_SWARM),
    ("privileged", NOT_IN_A_SWARM),
    (
        "restart",
        "only counts while deploy.restart_policy is absent; write that instead",
    ),
    ("security_opt", NOT_IN_A_SWARM),
    ("shm_size", NOT_IN_A_SWARM),
    ("tmpfs", "is ignored: use a volume of type tmpfs"),
    ("userns_mode", NOT_IN_A_SWARM),
];

fn ignored(root: &Node, warnings: &mut Vec<Warning>) {
    for (service, entry) in root
        .get("services")
        .and_then(Node::map)
        .into_iter()
        .flatten()
    {
        let mut warn = |path: String, message: &str| {
            warnings.push(Warning {
                path: format!("services.{service}.{path}"),
                message: message.to_owned(),
            });
        };
        for key in entry.node.map().into_iter().flatten().map(|(key, _)| key) {
            if let Some((_, message)) = IGNORED.iter().find(|(ignored, _)| ignored == key) {
                warn(key.clone(), message);
            }
        }
        for (network, entry) in entry
            .node
            .get("networks")
            .and_then(Node::map)
            .into_iter()
            .flatten()
        {
            for key in ["ipv4_address", "ipv6_address"] {
                if entry.node.get(key).is_some() {
                    warn(
                        format!("networks.{network}.{key}"),
                        "is ignored: Swarm gives out addresses itself",
                    );
                }
            }
        }
    }
}

fn note_places(node: &Node, path: &str, places: &mut BTreeMap<String, Position>) {
    match &node.value {
        Value::Map(map) => {
            for (key, entry) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                note_places(&entry.node, &path, places);
                places.insert(path, entry.key_at.clone());
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                note_places(item, &path, places);
                places.insert(path, item.at.clone());
            }
        }
        _ => {}
    }
}

/// Everything the stack creates is created, used or not, so every file is read.
fn contents(compose: &Compose, reader: &dyn ReadFile) -> Result<Contents, LoadError> {
    let mut contents = Contents::new();
    let mut read = |kind: &str, objects: &BTreeMap<String, FileObject>| {
        for (key, object) in objects {
            if object.owner == Owner::External || !object.driver.is_empty() {
                continue;
            }
            let bytes = reader.read(Path::new(&object.file)).map_err(|error| {
                let problem = Problem::Read {
                    path: object.file.clone(),
                    reason: error.to_string(),
                };
                LoadError::new(format!("{kind}.{key}.file"), problem)
            })?;
            contents.insert(object.file.clone(), bytes);
        }
        Ok(())
    };
    read("secrets", &compose.secrets)?;
    read("configs", &compose.configs)?;
    Ok(contents)
}
