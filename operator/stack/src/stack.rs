//! A stack in the terms of the Engine API, ready to be sent, stored and compared.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Warning;
use crate::image::Reference;

/// The label that says which stack an object belongs to.
pub const NAMESPACE_LABEL: &str = "com.docker.stack.namespace";
/// The label of a service that keeps its image as the compose file has it.
pub const IMAGE_LABEL: &str = "com.docker.stack.image";

/// The name of a stack: what every object of it starts with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackName(String);

/// A name no stack can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a stack: use up to 63 letters, digits, dashes and underscores, with a letter or digit at both ends"
)]
pub struct StackNameError(String);

impl StackName {
    /// Checks a name.
    ///
    /// # Errors
    /// Names that would make every service name invalid.
    pub fn new(name: impl Into<String>) -> Result<Self, StackNameError> {
        let name = name.into();
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = name.as_bytes();
        if name.len() <= 63
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|byte| inner(*byte))
        {
            Ok(Self(name))
        } else {
            Err(StackNameError(name))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn scope(&self, key: &str) -> String {
        format!("{}_{key}", self.0)
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for StackName {
    type Error = StackNameError;

    fn try_from(name: String) -> Result<Self, StackNameError> {
        Self::new(name)
    }
}

impl From<StackName> for String {
    fn from(name: StackName) -> Self {
        name.0
    }
}

/// Everything that one deployment sends, before the engine's ids are known.
///
/// Each list is sorted by name. What is stored as JSON or YAML comes back equal, config bytes included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// The stack's name.
    pub name: StackName,
    /// Its services.
    pub services: Vec<Service>,
    /// The networks its services use.
    pub networks: Vec<Network>,
    /// Its secrets, and the external ones its services use.
    pub secrets: Vec<FileObject>,
    /// Its configs, and the external ones its services use.
    pub configs: Vec<FileObject>,
    /// What the services mount, service by service in the order of the mounts.
    pub volumes: Vec<VolumeUse>,
    /// What has no effect, or another one than it seems.
    pub warnings: Vec<Warning>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its key in the compose file.
    pub key: String,
    /// Its name in the Swarm, `STACK_KEY`.
    pub name: String,
    /// Its image as the compose file has it.
    pub image: String,
    /// The `ServiceSpec` that `POST /services/create` takes. Networks are targeted by name. Secrets and configs are
    /// named but have no ids yet: see [`Service::spec_with_ids`]. `TaskTemplate.Placement` is always an object: an
    /// engine to which an update sends none where there was one panics, and again at each start.
    pub spec: Value,
}

/// A network some service is attached to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Its key in the compose file.
    pub key: String,
    /// Its real name.
    pub name: String,
    /// What `POST /networks/create` takes; `None` for an external network, which must exist.
    pub body: Option<Value>,
}

/// A secret or a config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileObject {
    /// Its key in the compose file.
    pub key: String,
    /// Its real name.
    pub name: String,
    /// What `POST /secrets/create` or `/configs/create` takes, `Data` in base64; `None` for an external one, which
    /// must exist.
    pub body: Option<Value>,
}

impl FileObject {
    /// The bytes of the object; `None` for external ones and secrets of a driver.
    pub fn content(&self) -> Option<Vec<u8>> {
        STANDARD
            .decode(self.body.as_ref()?.get("Data")?.as_str()?)
            .ok()
    }
}

/// What a mount is backed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeKind {
    /// A named volume of this stack.
    Named,
    /// A named volume that exists apart from this stack.
    External,
    /// A volume without a name: each task gets its own.
    Anonymous,
    /// A path of the host.
    Bind,
    /// Memory.
    Tmpfs,
    /// A pipe of a Windows host.
    Pipe,
    /// The contents of an image.
    Image,
    /// A cluster volume.
    Cluster,
}

/// One mount of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeUse {
    /// The service's key.
    pub service: String,
    /// What backs it.
    pub kind: VolumeKind,
    /// The volume's real name, or the absolute path; `None` where there is neither.
    pub source: Option<String>,
    /// Where it is mounted in the container.
    pub target: String,
    /// Whether the container cannot write to it.
    pub read_only: bool,
    /// The volume driver the stack asks for; `None` leaves it to the engine.
    pub driver: Option<String>,
    /// Its options: with some, `local` puts the data elsewhere than in the volume's directory.
    pub driver_options: BTreeMap<String, String>,
}

/// Engine ids by real name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// Secrets.
    pub secrets: BTreeMap<String, String>,
    /// Configs.
    pub configs: BTreeMap<String, String>,
}

/// A secret or config whose id is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} not found: {name}; service {service} uses it, so create it before the service")]
pub struct MissingId {
    /// `secret` or `config`.
    pub kind: &'static str,
    /// The real name.
    pub name: String,
    /// The service's name.
    pub service: String,
}

/// An image that cannot replace the one of a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The text is no image reference.
    #[error("cannot pin service {service}: {reason}")]
    NotAReference {
        /// The service's name.
        service: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The reference has no digest, so it pins nothing.
    #[error("cannot pin service {service}: `{image}` has no digest; append @sha256:…")]
    NoDigest {
        /// The service's name.
        service: String,
        /// The reference.
        image: String,
    },
    /// The reference is of another image.
    #[error(
        "cannot pin service {service}: `{pinned}` is not `{image}`; pin it to a digest of its own image"
    )]
    OtherImage {
        /// The service's name.
        service: String,
        /// The reference.
        pinned: String,
        /// The service's image.
        image: String,
    },
    /// There is no such service.
    #[error("cannot pin service {0}: the stack has no such service")]
    NoService(String),
}

impl Service {
    /// The image that is sent, as the docker CLI writes it: familiar, with a tag or a digest.
    pub fn sent_image(&self) -> &str {
        let image = self.spec.pointer("/TaskTemplate/ContainerSpec/Image");
        image.and_then(Value::as_str).unwrap_or_default()
    }

    /// Sends `pinned`, a reference with a digest, instead of the image. The label [`IMAGE_LABEL`] keeps the text of
    /// the compose file.
    ///
    /// # Errors
    /// A text that is no reference, has no digest, or is of another repository or tag.
    pub fn pin_image(&mut self, pinned: &str) -> Result<(), PinError> {
        let not_a_reference = |reason| PinError::NotAReference {
            service: self.name.clone(),
            reason,
        };
        let reference = Reference::parse(pinned).map_err(not_a_reference)?;
        let own = Reference::parse(self.sent_image()).map_err(not_a_reference)?;
        if reference.digest.is_none() {
            return Err(PinError::NoDigest {
                service: self.name.clone(),
                image: pinned.to_owned(),
            });
        }
        let tags_differ = reference.tag.is_some() && own.tag.is_some() && reference.tag != own.tag;
        if reference.name != own.name || tags_differ {
            return Err(PinError::OtherImage {
                service: self.name.clone(),
                pinned: pinned.to_owned(),
                image: self.sent_image().to_owned(),
            });
        }
        if let Some(image) = self.spec.pointer_mut("/TaskTemplate/ContainerSpec/Image") {
            *image = Value::String(reference.to_string());
        }
        Ok(())
    }

    /// The spec with the ids of its secrets and configs: what is to be sent.
    ///
    /// # Errors
    /// The first secret or config without an id.
    pub fn spec_with_ids(&self, ids: &Ids) -> Result<Value, MissingId> {
        let mut spec = self.spec.clone();
        let Some(container) = spec.pointer_mut("/TaskTemplate/ContainerSpec") else {
            return Ok(spec);
        };
        for (list, kind, known) in [
            ("Secrets", "Secret", &ids.secrets),
            ("Configs", "Config", &ids.configs),
        ] {
            let references = container.get_mut(list).and_then(Value::as_array_mut);
            for reference in references.into_iter().flatten() {
                let name = reference
                    .get(format!("{kind}Name"))
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let id = self.id(kind, name, known)?;
                reference[format!("{kind}ID")] = Value::String(id);
            }
        }
        let credentials = container.pointer_mut("/Privileges/CredentialSpec/Config");
        if let Some(config) = credentials
            && let Some(name) = config.as_str().filter(|name| !name.is_empty())
        {
            *config = Value::String(self.id("Config", name, &ids.configs)?);
        }
        Ok(spec)
    }

    fn id(
        &self,
        kind: &str,
        name: &str,
        known: &BTreeMap<String, String>,
    ) -> Result<String, MissingId> {
        known.get(name).cloned().ok_or_else(|| MissingId {
            kind: if kind == "Secret" { "secret" } else { "config" },
            name: name.to_owned(),
            service: self.name.clone(),
        })
    }
}

impl Stack {
    /// The image of each service as its compose file has it, by service key.
    pub fn images(&self) -> BTreeMap<&str, &str> {
        let services = self.services.iter();
        services
            .map(|service| (service.key.as_str(), service.image.as_str()))
            .collect()
    }

    /// A service by its key.
    pub fn service(&self, key: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.key == key)
    }

    /// Pins several services at once, by service key. Nothing changes unless all can be pinned.
    ///
    /// # Errors
    /// As [`Service::pin_image`], and a key that is no service's.
    pub fn pin_images(&mut self, pins: &BTreeMap<String, String>) -> Result<(), PinError> {
        let mut services = self.services.clone();
        for (key, pinned) in pins {
            let service = services.iter_mut().find(|service| service.key == *key);
            service
                .ok_or_else(|| PinError::NoService(key.clone()))?
                .pin_image(pinned)?;
        }
        self.services = services;
        Ok(())
    }

    /// The stack as one line of JSON with sorted keys: equal stacks give equal bytes, so a digest of it identifies
    /// what would be deployed. Warnings are left out, since they change nothing.
    pub fn canonical_json(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(stack) = value.as_object_mut() {
            stack.remove("warnings");
        }
        canonical_json(&value)
    }
}

/// Any JSON with the keys of each object sorted and no white space.
pub fn canonical_json(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let entries: BTreeMap<&String, &Value> = map.iter().collect();
                Value::Object(
                    entries
                        .into_iter()
                        .map(|(key, value)| (key.clone(), sorted(value)))
                        .collect(),
                )
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}
