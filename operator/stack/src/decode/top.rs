//! Networks, volumes, secrets and configs at the top level of a file.

use super::{At, Surroundings, absolute};
use crate::error::{LoadError, Problem, Warning};
use crate::model::{FileObject, Network, Owner, Volume};
use crate::schema::Version;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    Config,
}

pub(super) fn network(
    key: &str,
    at: &At<'_>,
    version: Version,
    warnings: &mut Vec<Warning>,
) -> Result<Network, LoadError> {
    let mut network = Network {
        name: at.text("name")?,
        driver: at.text("driver")?,
        driver_opts: at.options("driver_opts"),
        internal: at.boolean("internal"),
        attachable: at.boolean("attachable"),
        labels: at.labels("labels")?,
        ..Network::default()
    };
    if let Some(ipam) = at.get("ipam") {
        network.ipam_driver = ipam.text("driver")?;
        for pool in ipam.items("config").unwrap_or_default() {
            network.subnets.push(pool.text("subnet")?);
        }
    }
    let deprecated = version >= Version(5);
    (network.owner, network.name) = owner(at, key, network.name, deprecated.then_some(warnings))?;
    Ok(network)
}

pub(super) fn volume(
    key: &str,
    at: &At<'_>,
    version: Version,
    warnings: &mut Vec<Warning>,
) -> Result<Volume, LoadError> {
    let mut volume = Volume {
        name: at.text("name")?,
        driver: at.text("driver")?,
        driver_opts: at.options("driver_opts"),
        labels: at.labels("labels")?,
        ..Volume::default()
    };
    let deprecated = version >= Version(4);
    (volume.owner, volume.name) = owner(at, key, volume.name, deprecated.then_some(warnings))?;
    let given = [
        ("driver", !volume.driver.is_empty()),
        (
            "driver_opts",
            volume
                .driver_opts
                .as_ref()
                .is_some_and(|opts| !opts.is_empty()),
        ),
        ("labels", !volume.labels.is_empty()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((other, _)) if volume.owner == Owner::External => Err(at.fail(Problem::Conflict(
            format!("`{other}` has no effect on an external volume; remove it or `external`"),
        ))),
        _ => Ok(volume),
    }
}

pub(super) fn file_object(
    kind: Kind,
    key: &str,
    at: &At<'_>,
    around: &Surroundings<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<FileObject, LoadError> {
    let mut object = FileObject {
        name: at.text("name")?,
        file: at.text("file")?,
        labels: at.labels("labels")?,
        template_driver: at.text("template_driver")?,
        ..FileObject::default()
    };
    if kind == Kind::Secret {
        object.driver = at.text("driver")?;
        object.driver_opts = at.options("driver_opts").unwrap_or_default();
    }
    let deprecated = around.version >= Version(5);
    (object.owner, object.name) = owner(at, key, object.name, deprecated.then_some(warnings))?;
    if object.owner == Owner::External {
        return Ok(object);
    }
    match (object.driver.is_empty(), object.file.is_empty()) {
        (false, false) => Err(at.fail(Problem::Conflict(
            "`driver` and `file` exclude each other; keep the one that holds the secret".to_owned(),
        ))),
        (true, true) => Err(at.fail(Problem::MissingKey("file"))),
        (false, true) => Ok(object),
        (true, false) => {
            object.file = absolute(around.working_dir, &object.file);
            Ok(object)
        }
    }
}

/// Who owns the object, and its real name, empty if it follows from the stack's.
fn owner(
    at: &At<'_>,
    key: &str,
    name: String,
    deprecations: Option<&mut Vec<Warning>>,
) -> Result<(Owner, String), LoadError> {
    let Some(external) = at.get("external") else {
        return Ok((Owner::Stack, name));
    };
    if external.node.map().is_none() {
        if !at.boolean("external") {
            return Ok((Owner::Stack, name));
        }
        let name = if name.is_empty() {
            key.to_owned()
        } else {
            name
        };
        return Ok((Owner::External, name));
    }
    let old = external.text("name")?;
    if old.is_empty() {
        let name = if name.is_empty() {
            key.to_owned()
        } else {
            name
        };
        return Ok((Owner::External, name));
    }
    if !name.is_empty() {
        return Err(external.fail(Problem::Conflict(
            "`external.name` and `name` exclude each other; keep `external: true` and `name`"
                .to_owned(),
        )));
    }
    if let Some(warnings) = deprecations {
        external.warn(
            warnings,
            "`external.name` is deprecated; use `external: true` and `name`",
        );
    }
    Ok((Owner::External, old))
}
