//! Volumes of a service to mounts.

use serde_json::{Map, Value, json};

use super::{PutFilled, To, is_external};
use crate::error::{LoadError, Problem};
use crate::model::{Mount, Service};
use crate::stack::{VolumeKind, VolumeUse};

pub(super) struct Mounts {
    pub json: Vec<Value>,
    pub uses: Vec<VolumeUse>,
}

pub(super) fn mounts(to: &To<'_>, key: &str, service: &Service) -> Result<Mounts, LoadError> {
    let mut mounts = Mounts {
        json: Vec::new(),
        uses: Vec::new(),
    };
    for mount in service.volumes.iter().flatten() {
        let fail = |problem| LoadError::new(format!("services.{key}.volumes"), problem);
        let (json, used) = convert(to, key, mount).map_err(fail)?;
        mounts.json.push(json);
        mounts.uses.push(used);
    }
    Ok(mounts)
}

fn convert(to: &To<'_>, service: &str, mount: &Mount) -> Result<(Value, VolumeUse), Problem> {
    check(mount)?;
    let mut json = Map::new();
    json.put_text("Type", &mount.kind);
    json.put_text("Source", &mount.source);
    json.put_text("Target", &mount.target);
    json.put_true("ReadOnly", mount.read_only);
    json.put_text("Consistency", &mount.consistency);
    let mut used = VolumeUse {
        service: service.to_owned(),
        kind: VolumeKind::Anonymous,
        source: (!mount.source.is_empty()).then(|| mount.source.clone()),
        target: mount.target.clone(),
        read_only: mount.read_only,
        driver: None,
        driver_options: std::collections::BTreeMap::new(),
    };
    match mount.kind.as_str() {
        "bind" | "npipe" => {
            used.kind = if mount.kind == "bind" {
                VolumeKind::Bind
            } else {
                VolumeKind::Pipe
            };
            if let Some(propagation) = &mount.bind {
                let mut options = Map::new();
                options.put_text("Propagation", propagation);
                json.insert("BindOptions".to_owned(), options.into());
            }
        }
        "tmpfs" => {
            used.kind = VolumeKind::Tmpfs;
            if let Some(size) = mount.tmpfs {
                let mut options = Map::new();
                options.put_number("SizeBytes", size);
                json.insert("TmpfsOptions".to_owned(), options.into());
            }
        }
        "image" => used.kind = VolumeKind::Image,
        "cluster" => {
            used.kind = VolumeKind::Cluster;
            cluster(to, mount, &mut json, &mut used)?;
        }
        _ if mount.source.is_empty() => {}
        _ => named(to, mount, &mut json, &mut used)?,
    }
    Ok((json.into(), used))
}

fn named(
    to: &To<'_>,
    mount: &Mount,
    json: &mut Map<String, Value>,
    used: &mut VolumeUse,
) -> Result<(), Problem> {
    let volume = to
        .compose
        .volumes
        .get(&mount.source)
        .ok_or_else(|| undefined(mount))?;
    let source = to.real_name(&mount.source, &volume.name);
    json.insert("Source".to_owned(), json!(source));
    used.source = Some(source);
    let mut options = Map::new();
    if let Some(given) = &mount.volume {
        options.put_true("NoCopy", given.no_copy);
        options.put_text("Subpath", &given.subpath);
    }
    used.kind = VolumeKind::External;
    if !is_external(volume.owner) {
        used.kind = VolumeKind::Named;
        options.insert("Labels".to_owned(), to.labels(&volume.labels));
        let driver_opts = volume.driver_opts.clone();
        if !volume.driver.is_empty() || driver_opts.is_some() {
            let driver_opts = driver_opts.unwrap_or_default();
            let mut driver = Map::new();
            driver.put_text("Name", &volume.driver);
            driver.put_map("Options", &driver_opts);
            options.insert("DriverConfig".to_owned(), driver.into());
            used.driver = (!volume.driver.is_empty()).then(|| volume.driver.clone());
            used.driver_options = driver_opts;
        }
    }
    json.insert("VolumeOptions".to_owned(), options.into());
    Ok(())
}

fn cluster(
    to: &To<'_>,
    mount: &Mount,
    json: &mut Map<String, Value>,
    used: &mut VolumeUse,
) -> Result<(), Problem> {
    json.insert("ClusterOptions".to_owned(), json!({}));
    if mount.source.starts_with("group:") {
        return Ok(());
    }
    let volume = to
        .compose
        .volumes
        .get(&mount.source)
        .ok_or_else(|| undefined(mount))?;
    let source = to.real_name(&mount.source, &volume.name);
    json.insert("Source".to_owned(), json!(source));
    used.source = Some(source);
    Ok(())
}

fn undefined(mount: &Mount) -> Problem {
    Problem::Undefined {
        kind: "volume",
        name: mount.source.clone(),
    }
}

/// Which parts of a mount its type takes.
fn check(mount: &Mount) -> Result<(), Problem> {
    let kind = match mount.kind.as_str() {
        "" => "volume",
        kind => kind,
    };
    let takes: &[&str] = match kind {
        "volume" => &["source", "volume"],
        "bind" | "npipe" => &["source", "bind"],
        "tmpfs" => &["tmpfs"],
        "image" | "cluster" => &["source"],
        _ => {
            return Err(Problem::Value {
                value: kind.to_owned(),
                expected: "a type of volume: volume, bind, tmpfs, npipe, image or cluster"
                    .to_owned(),
            });
        }
    };
    let given = [
        ("source", !mount.source.is_empty()),
        ("bind", mount.bind.is_some()),
        ("volume", mount.volume.is_some()),
        ("tmpfs", mount.tmpfs.is_some()),
    ];
    if let Some((part, _)) = given
        .iter()
        .find(|(part, given)| *given && !takes.contains(part))
    {
        let part = if *part == "source" {
            "a source"
        } else {
            &format!("{part} options")
        };
        return Err(Problem::Conflict(format!(
            "a mount of type {kind} at {} does not take {part}; remove one of the two",
            mount.target
        )));
    }
    if mount.source.is_empty() && !matches!(kind, "volume" | "tmpfs") {
        return Err(Problem::MissingKey("source"));
    }
    Ok(())
}
