//! A frozen release onto the Swarm, and how the Swarm stands to it.
//!
//! # Guarantees
//! - Nothing is sent when nothing differs: no version bump, no lost rollback target.
//! - Doing it again is doing it once; a step that was cut off is finished by the next try.
//! - Removing a stack's services removes nothing else.

mod apply;
mod measure;
mod secrets;

pub use apply::{apply, undeploy};
pub(crate) use apply::{is_predefined, split_tag};
pub use measure::{left_of, measure};
pub use secrets::insert_missing;

use std::collections::BTreeMap;

use ci_warm_engine::{Engine, EngineError, ErrorClass, ObjectKind};
use ci_warm_stack::{EngineView, Ids};
use thiserror::Error;

use crate::recipe::SecretError;
use crate::release::Frozen;

/// Why a release could not be put onto the Swarm.
#[derive(Debug, Error)]
pub enum DeployError {
    /// The engine said so, or did not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A secret is missing and cannot be made.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It cannot work as it is, however often it is tried.
    #[error("{0}")]
    Refused(String),
    /// Something is still on its way out.
    #[error("{0}")]
    NotYet(String),
}

impl DeployError {
    /// Whether trying again is of no use.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Engine(error) => error.class() == ErrorClass::Refused,
            Self::Secret(SecretError::Random(_)) | Self::NotYet(_) => false,
            Self::Secret(_) | Self::Refused(_) => true,
        }
    }
}

/// What has to be known of the engine to compare a release with it.
#[derive(Debug)]
struct Known {
    view: EngineView,
    ids: Ids,
    /// Names of secrets and configs that the release needs and the Swarm does not have.
    missing: Vec<String>,
}

impl Known {
    async fn of(engine: &Engine, frozen: &Frozen) -> Result<Self, EngineError> {
        let mut networks = BTreeMap::new();
        for network in &frozen.stack.networks {
            for found in engine.networks_named(&network.name).await? {
                networks.insert(found.id, found.name);
            }
        }
        let api_minor = engine
            .api_version()
            .rsplit('.')
            .next()
            .and_then(|minor| minor.parse().ok());
        let mut known = Self {
            view: EngineView {
                networks,
                api_minor: api_minor.unwrap_or(41),
            },
            ids: Ids::default(),
            missing: Vec::new(),
        };
        for (kind, objects) in [
            (ObjectKind::Secret, &frozen.stack.secrets),
            (ObjectKind::Config, &frozen.stack.configs),
        ] {
            for object in objects {
                match engine.object(kind, &object.name).await? {
                    Some(found) if kind == ObjectKind::Secret => {
                        known.ids.secrets.insert(found.name, found.id);
                    }
                    Some(found) => {
                        known.ids.configs.insert(found.name, found.id);
                    }
                    None => known.missing.push(object.name.clone()),
                }
            }
        }
        Ok(known)
    }
}
