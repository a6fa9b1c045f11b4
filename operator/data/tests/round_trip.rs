//! A volume comes back exactly as it was, whatever is in it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use ci_warm_data::{
    DataError, RestoreRequest, SealRequest, Sealed, Unwatched, digest, open_sealed, pending,
    remove_aside, remove_leftovers, remove_snapshot, required_space, restore, seal, verify,
};
use common::{Mount, acl, disk, everything, hash, memory, name, run, tar, xattr};
use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat, openat, symlinkat};
use serde_json::json;

fn seal_one(snapshot: &Path, volume: &Path) -> Result<Sealed, DataError> {
    let volumes = [(name("data"), volume.to_owned())];
    seal(
        &SealRequest {
            snapshot_dir: snapshot,
            volumes: &volumes,
            context: &json!({"version": "1.0.0+1"}),
        },
        &Unwatched,
    )
}

fn restore_one(sealed: &Sealed, volume: &Path, aside_dir: &Path) -> Result<PathBuf, DataError> {
    let targets = [(name("data"), volume.to_owned())];
    let request = RestoreRequest {
        operation: "op-1",
        sealed: Some(sealed),
        targets: &targets,
        added: &[],
        aside_dir,
    };
    restore(&request, &Unwatched).map(|mut restored| restored.volumes.remove(0).aside)
}

/// Seals, damages and restores the volume in `base`; everything must be as it was.
fn round_trip(base: &Path, tar: fn(&Path) -> String) {
    let volume = base.join("v/_data");
    let before = (hash(&volume), tar(&volume));
    let blocks = required_space(&[&volume]).unwrap();
    let sealed = seal_one(&base.join("x/snapshots/s1"), &volume).unwrap();
    assert_eq!(sealed.volumes()[0].digest, before.0);
    assert_eq!(
        (hash(&volume), tar(&volume)),
        before,
        "sealing does not touch the volume"
    );
    fs::remove_dir_all(&volume).unwrap();
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("wrong"), "what the failed release left").unwrap();
    let failed = hash(&volume);
    let aside = restore_one(&sealed, &volume, &base.join("x/aside/op-1")).unwrap();
    assert_eq!(hash(&volume), before.0);
    assert_eq!(tar(&volume), before.1, "tar sees a difference");
    assert_eq!(hash(&aside), failed);
    assert_eq!(pending(&volume).unwrap(), None);
    assert_eq!(
        fs::read_dir(base.join("v")).unwrap().count(),
        1,
        "nothing is left beside the volume"
    );
    assert!(
        required_space(&[&volume]).unwrap() <= blocks + (64 << 10),
        "holes are kept"
    );
}

fn base(dir: &tempfile::TempDir) -> PathBuf {
    fs::create_dir_all(dir.path().join("v")).unwrap();
    fs::create_dir_all(dir.path().join("x")).unwrap();
    dir.path().to_owned()
}

#[test]
fn everything_comes_back_on_a_disk() {
    let dir = disk();
    everything(&base(&dir).join("v/_data"));
    round_trip(dir.path(), tar);
}

#[test]
fn everything_comes_back_in_memory() {
    let dir = memory();
    everything(&base(&dir).join("v/_data"));
    round_trip(dir.path(), tar);
}

#[test]
fn nothing_is_inherited_from_where_the_copies_are_made() {
    let dir = memory();
    everything(&base(&dir).join("v/_data"));
    for parent in ["v", "x"] {
        let parent = dir.path().join(parent);
        xattr(&parent, "system.posix_acl_default", &acl());
    }
    round_trip(dir.path(), tar);
}

#[test]
fn the_snapshot_can_be_checked_with_b3sum_lines() {
    let dir = memory();
    everything(&base(&dir).join("v/_data"));
    let sealed = seal_one(&dir.path().join("x/s"), &dir.path().join("v/_data")).unwrap();
    let manifest = fs::read(sealed.dir().join("manifests/data.jsonl")).unwrap();
    assert_eq!(
        blake3::hash(&manifest).to_hex().to_string(),
        sealed.volumes()[0].digest.to_string()
    );
    assert_eq!(
        String::from_utf8(manifest).unwrap().lines().count() as u64,
        sealed.volumes()[0].entries
    );
    assert_eq!(sealed.context()["version"], "1.0.0+1");
    assert_eq!(open_sealed(sealed.dir()).unwrap(), Some(sealed));
}

#[test]
fn a_sparse_gigabyte_stays_sparse() {
    let dir = disk();
    let volume = base(&dir).join("v/_data");
    fs::create_dir(&volume).unwrap();
    let file = File::create(volume.join("sparse")).unwrap();
    file.set_len(1 << 30).unwrap();
    for at in [0, 500 << 20, (1 << 30) - 5] {
        file.write_all_at(b"data!", at).unwrap();
    }
    let allocated = file.metadata().unwrap().blocks();
    // No second opinion here: it would be a gigabyte of zeros, many times.
    round_trip(dir.path(), |_| String::new());
    let copy = fs::metadata(volume.join("sparse")).unwrap();
    assert_eq!((copy.len(), copy.blocks()), (1 << 30, allocated));
}

/// Makes a directory in a directory and so on, with a file in the last one.
fn deep(root: &Path, name: &str, levels: usize) -> OwnedFd {
    let mut here = OwnedFd::from(File::open(root).unwrap());
    for _ in 0..levels {
        mkdirat(&here, name, Mode::RWXU).unwrap();
        here = openat(&here, name, OFlags::RDONLY, Mode::empty()).unwrap();
    }
    let file = openat(&here, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    rustix::io::write(file, b"deep").unwrap();
    here
}

#[test]
fn a_tree_deeper_than_any_path_comes_back() {
    let dir = memory();
    let volume = base(&dir).join("v/_data");
    fs::create_dir(&volume).unwrap();
    let deepest = deep(&volume, &"long".repeat(50), 40);
    linkat(&deepest, "file", &deepest, "again", AtFlags::empty()).unwrap();
    symlinkat("file", &deepest, "link").unwrap();
    // A chain of short names needs more open directories than a process may have, if they were all kept open.
    deep(&volume, "d", 1500);
    let before = digest(&volume, &Unwatched).unwrap();
    assert_eq!(before.entries, 1 + 40 + 3 + 1500 + 1);
    let sealed = seal_one(&dir.path().join("x/s"), &volume).unwrap();
    let aside = restore_one(&sealed, &volume, &dir.path().join("x/aside/op-1")).unwrap();
    assert_eq!(digest(&volume, &Unwatched).unwrap(), before);
    assert_eq!(hash(&aside), before.digest);
    remove_aside(&dir.path().join("x/aside/op-1"), &Unwatched).unwrap();
    remove_snapshot(sealed.dir(), &Unwatched).unwrap();
    assert_eq!(open_sealed(sealed.dir()).unwrap(), None);
    assert!(!aside.exists());
}

#[test]
fn sealing_twice_returns_the_first() {
    let dir = memory();
    let volume = base(&dir).join("v/_data");
    everything(&volume);
    let snapshot = dir.path().join("x/snapshots/s");
    let first = seal_one(&snapshot, &volume).unwrap();
    fs::write(volume.join("later"), "x").unwrap();
    assert_eq!(seal_one(&snapshot, &volume).unwrap(), first);
    let others = [(name("other"), volume.clone())];
    let request = SealRequest {
        snapshot_dir: &snapshot,
        volumes: &others,
        context: &json!(null),
    };
    assert!(matches!(
        seal(&request, &Unwatched),
        Err(DataError::OtherVolumes { .. })
    ));
}

#[test]
fn restoring_twice_sets_aside_once_and_never_undoes_later_work() {
    let dir = memory();
    let volume = base(&dir).join("v/_data");
    everything(&volume);
    let sealed = seal_one(&dir.path().join("x/s"), &volume).unwrap();
    fs::write(volume.join("failed"), "x").unwrap();
    let failed = hash(&volume);
    let aside_dir = dir.path().join("x/aside/op-1");
    let aside = restore_one(&sealed, &volume, &aside_dir).unwrap();
    assert_eq!(restore_one(&sealed, &volume, &aside_dir).unwrap(), aside);
    assert_eq!(hash(&aside), failed);
    fs::write(volume.join("later"), "x").unwrap();
    let later = hash(&volume);
    assert!(matches!(
        restore_one(&sealed, &volume, &aside_dir),
        Err(DataError::ChangedSince { .. })
    ));
    assert_eq!((hash(&volume), hash(&aside)), (later, failed));
}

#[test]
fn an_added_volume_is_emptied_and_kept() {
    let dir = memory();
    let added = base(&dir).join("v/_data");
    everything(&added);
    let before = hash(&added);
    let aside_dir = dir.path().join("x/aside/op-1");
    let volumes = [(name("added"), added.clone())];
    let request = RestoreRequest {
        operation: "op-1",
        sealed: None,
        targets: &[],
        added: &volumes,
        aside_dir: &aside_dir,
    };
    let restored = restore(&request, &Unwatched).unwrap();
    assert_eq!(fs::read_dir(&added).unwrap().count(), 0);
    let metadata = fs::metadata(&added).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o755, 0));
    assert_eq!(hash(&restored.volumes[0].aside), before);
    assert_eq!(restore(&request, &Unwatched).unwrap(), restored);
}

#[test]
fn failed_data_stays_beside_a_volume_on_another_filesystem() {
    let dir = disk();
    let _mount = Mount::tmpfs(&dir.path().join("v"), "size=64m");
    let volume = base(&dir).join("v/_data");
    everything(&volume);
    let sealed = seal_one(&dir.path().join("x/s"), &volume).unwrap();
    fs::write(volume.join("failed"), "x").unwrap();
    let failed = hash(&volume);
    let aside_dir = dir.path().join("x/aside/op-1");
    let aside = restore_one(&sealed, &volume, &aside_dir).unwrap();
    assert_eq!(hash(&volume), sealed.volumes()[0].digest);
    assert!(aside.starts_with(dir.path().join("v")));
    assert_eq!(fs::canonicalize(aside_dir.join("data")).unwrap(), aside);
    assert_eq!(hash(&aside), failed);
    assert_eq!(restore_one(&sealed, &volume, &aside_dir).unwrap(), aside);
    remove_aside(&aside_dir, &Unwatched).unwrap();
    assert!(!aside.exists() && !aside_dir.exists() && volume.exists());
}

#[test]
fn mounts_in_a_volume_are_refused_by_name() {
    let dir = disk();
    let volume = base(&dir).join("v/_data");
    fs::create_dir_all(volume.join("a/other")).unwrap();
    fs::create_dir(volume.join("b")).unwrap();
    let snapshot = dir.path().join("x/s");
    let refused = |at: &Path| {
        for failed in [
            seal_one(&snapshot, &volume).map(drop),
            required_space(&[&volume]).map(drop),
        ] {
            assert!(
                matches!(&failed, Err(DataError::MountPoint { path }) if Path::new(path) == at),
                "{failed:?}"
            );
        }
        assert_eq!(open_sealed(&snapshot).unwrap(), None);
        assert_eq!(
            fs::read_dir(dir.path().join("x")).unwrap().count(),
            0,
            "nothing half done stays"
        );
    };
    {
        let mount = Mount::tmpfs(&volume.join("a/other"), "size=1m");
        refused(&mount.0);
    }
    {
        // Same filesystem, same device number.
        let mount = Mount::bind(&volume.join("b"), &volume.join("a/other"));
        refused(&mount.0);
    }
    fs::write(volume.join("b/file"), "x").unwrap();
    {
        let mount = Mount::bind(&dir.path().join("v/_data/b/file"), &volume.join("b/file"));
        refused(&mount.0);
    }
    let mount = Mount::bind(&volume, &volume);
    refused(&mount.0);
}

#[test]
fn immutable_files_are_refused() {
    let dir = disk();
    let volume = base(&dir).join("v/_data");
    fs::create_dir(&volume).unwrap();
    let file = volume.join("file");
    fs::write(&file, "x").unwrap();
    run("chattr", &["+i".as_ref(), file.as_os_str()]);
    let failed = seal_one(&dir.path().join("x/s"), &volume);
    run("chattr", &["-i".as_ref(), file.as_os_str()]);
    assert!(matches!(failed, Err(DataError::Unsupported { path, .. }) if Path::new(&path) == file));
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    let dir = memory();
    let volume = base(&dir).join("v/_data");
    fs::create_dir(&volume).unwrap();
    let nothing = SealRequest {
        snapshot_dir: &dir.path().join("x/none"),
        volumes: &[],
        context: &json!(null),
    };
    let sealed = seal(&nothing, &Unwatched).unwrap();
    assert!(sealed.volumes().is_empty());
    verify(&sealed, &Unwatched).unwrap();
    assert!(matches!(
        seal_one(&volume.join("s"), &volume),
        Err(DataError::BadRequest(_))
    ));
    assert!(matches!(
        seal_one(&volume.join("new/s"), &volume),
        Err(DataError::BadRequest(_))
    ));
    assert!(matches!(
        seal_one(&dir.path().join("x/s"), &dir.path().join("gone")),
        Err(DataError::Io { .. })
    ));
    std::os::unix::fs::symlink(&volume, dir.path().join("symlink")).unwrap();
    assert!(matches!(
        seal_one(&dir.path().join("x/s"), &dir.path().join("symlink")),
        Err(DataError::Io { .. })
    ));
    for bad in ["", "..", "a/b", ".hidden", "ä"] {
        assert!(
            matches!(
                ci_warm_data::VolumeName::new(bad),
                Err(DataError::BadName { .. })
            ),
            "{bad}"
        );
    }
    let sealed = seal_one(&dir.path().join("x/s"), &volume).unwrap();
    let targets = [(name("other"), volume.clone())];
    for targets in [&targets[..], &[]] {
        let aside_dir = &dir.path().join("x/a");
        let request = RestoreRequest {
            operation: "op",
            sealed: Some(&sealed),
            targets,
            added: &[],
            aside_dir,
        };
        assert!(matches!(
            restore(&request, &Unwatched),
            Err(DataError::BadRequest(_))
        ));
    }
}

#[test]
fn nothing_there_is_only_said_when_it_is_known() {
    let dir = memory();
    base(&dir);
    assert_eq!(open_sealed(&dir.path().join("x/s")).unwrap(), None);
    assert_eq!(
        open_sealed(&dir.path().join("x/snapshots/s")).unwrap(),
        None
    );
    assert!(open_sealed(&dir.path().join("unmounted/x/snapshots/s")).is_err());
    fs::write(dir.path().join("x/file"), "x").unwrap();
    assert!(open_sealed(&dir.path().join("x/file/s")).is_err());
    assert!(
        open_sealed(&dir.path().join("x/file"))
            .unwrap_err()
            .is_corrupt()
    );
    assert!(pending(&dir.path().join("unmounted/_data")).is_err());
    assert_eq!(pending(&dir.path().join("v/_data")).unwrap(), None);
}

#[test]
fn leftovers_go_and_snapshots_stay() {
    let dir = memory();
    let volume = base(&dir).join("v/_data");
    everything(&volume);
    let sealed = seal_one(&dir.path().join("x/snapshots/s"), &volume).unwrap();
    for left in [".other.partial/volumes/data", ".third.removing/a"] {
        fs::create_dir_all(dir.path().join("x/snapshots").join(left)).unwrap();
    }
    remove_leftovers(&dir.path().join("x/snapshots"), &Unwatched).unwrap();
    assert_eq!(
        fs::read_dir(dir.path().join("x/snapshots"))
            .unwrap()
            .count(),
        1
    );
    verify(&sealed, &Unwatched).unwrap();
}
