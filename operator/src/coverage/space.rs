//! Room for the copies.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ci_warm_api_types::conditions::reasons;
use ci_warm_api_types::journal::VolumeName;
use ci_warm_runtime::durable::DurableError;

use super::{Look, Stop, refuse};

/// Room for the copy where snapshots lie, and for the data that is put back beside the failed one, where each volume lies.
pub(super) fn space(look: Look<'_>, volumes: &BTreeMap<VolumeName, PathBuf>) -> Result<(), Stop> {
    const MARGIN_BYTES: u64 = 16 << 20;
    let mut total = 0;
    let mut demands = Vec::new();
    for (name, dir) in volumes {
        let bytes = match ci_warm_data::required_space(&[dir]) {
            Err(
                error @ (ci_warm_data::DataError::Unsupported { .. }
                | ci_warm_data::DataError::MountPoint { .. }),
            ) => {
                let message = format!("volume `{name}` cannot be copied: {error}");
                return refuse(reasons::DATA_NOT_COVERED, message);
            }
            bytes => bytes?,
        };
        total += bytes;
        demands.push((dir.as_path(), bytes));
    }
    let snapshots = look.instance.dir();
    let snapshots = snapshots.ancestors().find(|dir| dir.exists());
    demands.push((snapshots.unwrap_or(Path::new("/")), total));
    let mut disks = Vec::new();
    for (place, bytes) in demands {
        let device = std::fs::metadata(place)
            .map_err(DurableError::at("inspect", place))?
            .dev();
        disks.push((device, place, bytes));
    }
    for (place, need) in by_disk(&disks) {
        let free = ci_warm_data::free_space(place)?;
        if free < need + MARGIN_BYTES {
            let message = format!(
                "the disk of {} has {free} bytes free, and a snapshot and its restore need {}",
                place.display(),
                need + MARGIN_BYTES
            );
            return refuse(reasons::DATA_NOT_COVERED, message);
        }
    }
    Ok(())
}

/// The demands on each disk together, with a place on it.
fn by_disk<'a>(demands: &[(u64, &'a Path, u64)]) -> Vec<(&'a Path, u64)> {
    let mut disks: BTreeMap<u64, (&Path, u64)> = BTreeMap::new();
    for (device, place, bytes) in demands {
        disks.entry(*device).or_insert((place, 0)).1 += bytes;
    }
    disks.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_should_hold_everything_that_comes_to_lie_on_it() {
        let (root, data, other) = (Path::new("/root"), Path::new("/data"), Path::new("/other"));
        let demands = [(1, data, 10), (2, other, 5), (1, root, 15)];
        assert_eq!(by_disk(&demands), [(data, 25), (other, 5)]);
    }
}
