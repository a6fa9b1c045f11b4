//! Manifests as the runtime takes them.

use std::path::Path;

use ci_warm_api_types::manifest::{self, Spec};
use ci_warm_runtime::{Manifest, ObjectName, OwnerReference, Problem, Uid};

/// Reads a manifest of one kind strictly.
///
/// # Errors
/// The first thing that is wrong with it, with its place.
pub fn read<S: Spec>(path: &Path, stem: &str, text: &str) -> Result<Manifest<S>, Problem> {
    let file = path.display().to_string();
    let manifest = manifest::read::<S>(&file, Some(stem), text)?;
    let name =
        |text: &str| ObjectName::new(text).map_err(|error| Problem::of(path, error.to_string()));
    let owner_references = manifest.metadata.owner_references.iter().map(|owner| {
        let uid = owner
            .uid
            .clone()
            .and_then(|uid| serde_json::from_value::<Uid>(uid.into()).ok());
        Ok(OwnerReference {
            kind: owner.kind.clone(),
            name: name(&owner.name)?,
            uid,
        })
    });
    Ok(Manifest {
        name: name(&manifest.metadata.name)?,
        labels: manifest.metadata.labels.clone(),
        annotations: manifest.metadata.annotations.clone(),
        owner_references: owner_references.collect::<Result<_, Problem>>()?,
        spec: manifest.spec,
    })
}
