//! Corrupt snapshots, full disks, and sources that do not keep still.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use ci_warm_data::{
    DataError, RestoreRequest, Restored, SealRequest, Sealed, Unwatched, Watch, free_space,
    open_sealed, pending, required_space, restore, seal, verify,
};
use common::{Mount, disk, everything, hash, memory, name, touch, xattr};
use serde_json::json;

fn seal_into(snapshot: &Path, volume: &Path, watch: &dyn Watch) -> Result<Sealed, DataError> {
    let volumes = [(name("data"), volume.to_owned())];
    seal(
        &SealRequest {
            snapshot_dir: snapshot,
            volumes: &volumes,
            context: &json!({"a": "b"}),
        },
        watch,
    )
}

fn restore_from(sealed: &Sealed, volume: &Path, aside_dir: &Path) -> Result<Restored, DataError> {
    let targets = [(name("data"), volume.to_owned())];
    let request = RestoreRequest {
        operation: "op",
        sealed: Some(sealed),
        targets: &targets,
        added: &[],
        aside_dir,
    };
    restore(&request, &Unwatched)
}

/// One way to spoil a tree.
type Damage = fn(&Path);

fn flip(path: &Path, at: u64) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut byte = fs::read(path).unwrap()[usize::try_from(at).unwrap()];
    byte ^= 1;
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte]).unwrap();
    file.set_modified(modified).unwrap();
}

fn cut(path: &Path) {
    let length = fs::metadata(path).unwrap().len();
    OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(length / 2)
        .unwrap();
}

const DAMAGES: [(&str, Damage); 20] = [
    ("a flipped byte", |s| {
        flip(&s.join("volumes/data/dir/sub/big"), 1_000_000);
    }),
    ("a byte in a hole", |s| {
        flip(&s.join("volumes/data/sparse"), 5);
    }),
    ("a missing file", |s| {
        fs::remove_file(s.join("volumes/data/zero")).unwrap();
    }),
    ("a missing last file", |s| {
        fs::remove_file(s.join("volumes/data/zero")).unwrap();
    }),
    ("an additional file", |s| {
        fs::write(s.join("volumes/data/dir/added"), "").unwrap();
    }),
    ("a missing directory", |s| {
        fs::remove_dir(s.join("volumes/data/dir/sub/empty")).unwrap();
    }),
    ("a missing volume", |s| {
        fs::remove_dir_all(s.join("volumes/data")).unwrap();
    }),
    ("missing volumes", |s| {
        fs::remove_dir_all(s.join("volumes")).unwrap();
    }),
    ("another mode", |s| {
        fs::set_permissions(
            s.join("volumes/data/fifo"),
            fs::Permissions::from_mode(0o600),
        )
        .unwrap();
    }),
    ("another time", |s| {
        touch(&s.join("volumes/data/link"), 77, 123_456_788);
    }),
    ("another time of the volume itself", |s| {
        touch(&s.join("volumes/data"), 1_600_000_000, 2);
    }),
    ("another owner", |s| {
        std::os::unix::fs::lchown(s.join("volumes/data/socket"), Some(5), None).unwrap();
    }),
    ("another attribute", |s| {
        xattr(&s.join("volumes/data/dir/file"), "user.comment", b"other");
    }),
    ("another target", |s| {
        let link = s.join("volumes/data/dangling-again");
        fs::remove_file(&link).unwrap();
        symlink("elsewhere", link).unwrap();
    }),
    ("a link less", |s| {
        let file = s.join("volumes/data/dir/sub/again");
        fs::copy(&file, s.join("copy")).unwrap();
        fs::rename(s.join("copy"), file).unwrap();
    }),
    ("a cut manifest", |s| cut(&s.join("manifests/data.jsonl"))),
    ("a missing manifest", |s| {
        fs::remove_file(s.join("manifests/data.jsonl")).unwrap();
    }),
    ("a cut seal", |s| cut(&s.join("seal.json"))),
    ("a missing seal", |s| {
        fs::remove_file(s.join("seal.json")).unwrap();
    }),
    ("a missing check", |s| {
        fs::remove_file(s.join("seal.b3")).unwrap();
    }),
];

#[test]
fn a_damaged_snapshot_is_recognised_and_never_restored() {
    let dir = memory();
    let (volume, snapshot) = (dir.path().join("v/_data"), dir.path().join("x/s"));
    fs::create_dir_all(dir.path().join("v")).unwrap();
    fs::create_dir_all(dir.path().join("x")).unwrap();
    everything(&volume);
    let before = hash(&volume);
    for (number, (what, damage)) in DAMAGES.into_iter().enumerate() {
        let snapshot = dir.path().join(format!("x/s{number}"));
        let sealed = seal_into(&snapshot, &volume, &Unwatched).unwrap();
        damage(&snapshot);
        let found = open_sealed(&snapshot)
            .and_then(|sealed| verify(&sealed.unwrap(), &Unwatched))
            .unwrap_err();
        assert!(found.is_corrupt(), "{what}: {found}");
        let again = seal_into(&snapshot, &volume, &Unwatched).unwrap_err();
        assert!(again.is_corrupt(), "{what} is not sealed over: {again}");
        if !what.contains("seal") && !what.contains("check") && !what.contains("manifest") {
            let failed =
                restore_from(&sealed, &volume, &dir.path().join("x/aside/op")).unwrap_err();
            assert!(failed.is_corrupt(), "{what}: {failed}");
            assert_eq!(
                hash(&volume),
                before,
                "{what}: the failed data is untouched"
            );
            assert!(pending(&volume).unwrap().is_some());
            fs::remove_file(dir.path().join("v/._data.ci-warm-restoring")).unwrap();
        }
        assert_eq!(
            fs::read_dir(dir.path().join("v")).unwrap().count(),
            1,
            "{what}"
        );
    }
    let text = fs::read_to_string(
        seal_into(&snapshot, &volume, &Unwatched)
            .unwrap()
            .dir()
            .join("seal.json"),
    )
    .unwrap();
    for at in 0..text.len() as u64 {
        flip(&snapshot.join("seal.json"), at);
        assert!(
            open_sealed(&snapshot).unwrap_err().is_corrupt(),
            "byte {at}"
        );
        flip(&snapshot.join("seal.json"), at);
    }
}

#[test]
fn differences_are_told_by_path() {
    let dir = memory();
    let volume = dir.path().join("_data");
    everything(&volume);
    fs::create_dir(dir.path().join("x")).unwrap();
    let sealed = seal_into(&dir.path().join("x/s"), &volume, &Unwatched).unwrap();
    let tree = sealed.dir().join("volumes/data");
    flip(&tree.join("dir/sub/big"), 3);
    fs::write(tree.join("added"), "").unwrap();
    fs::remove_file(tree.join("zero")).unwrap();
    fs::set_permissions(tree.join("fifo"), fs::Permissions::from_mode(0o600)).unwrap();
    let DataError::Differs { first, total, .. } = verify(&sealed, &Unwatched).unwrap_err() else {
        panic!()
    };
    let told: Vec<String> = first.iter().map(ToString::to_string).collect();
    // The time of the volume's own directory moved too, and the fifo has two names.
    assert_eq!(total, 6, "{told:?}");
    assert!(told[0].starts_with(". has modification time"), "{told:?}");
    assert_eq!(told[1], "added was not there when it was sealed");
    assert_eq!(told[3], "dir/sub/big has other contents");
    assert_eq!(told[4], "fifo has mode \"0600\" instead of \"0622\"");
    assert_eq!(told[5], "zero is missing");
}

fn fill(volume: &Path, files: usize) {
    fs::create_dir(volume).unwrap();
    for number in 0..files {
        fs::write(
            volume.join(format!("f{number}")),
            vec![u8::try_from(number).unwrap(); 100_000],
        )
        .unwrap();
    }
}

/// Sealing to, and restoring on, a filesystem that is too small: refused, clean, and done once there is room.
fn full_disk(dir: &Path, small: &Path) {
    let volume = dir.join("v/_data");
    fs::create_dir_all(dir.join("v")).unwrap();
    fs::create_dir_all(small.join("v")).unwrap();
    fs::create_dir(dir.join("x")).unwrap();
    fill(&volume, 20);
    let ballast = small.join("ballast");
    let block = |left: u64| {
        let bytes = usize::try_from(free_space(small).unwrap() - left).unwrap();
        fs::write(&ballast, vec![1; bytes]).unwrap();
    };
    block(500_000);
    let free = free_space(small).unwrap();
    assert!(required_space(&[&volume]).unwrap() > free);
    let snapshot = small.join("snapshots/s");
    let failed = seal_into(&snapshot, &volume, &Unwatched).unwrap_err();
    assert!(failed.is_no_space(), "{failed}");
    assert_eq!(open_sealed(&snapshot).unwrap(), None);
    assert!(
        free_space(small).unwrap() + 20_000 > free,
        "the space is given back"
    );
    fs::remove_file(&ballast).unwrap();
    let sealed = seal_into(&snapshot, &volume, &Unwatched).unwrap();
    verify(&sealed, &Unwatched).unwrap();
    fs::remove_dir_all(small.join("snapshots")).unwrap();

    let (there, aside) = (small.join("v/_data"), small.join("aside/op"));
    fill(&there, 5);
    let before = hash(&there);
    let sealed = seal_into(&dir.join("x/s"), &volume, &Unwatched).unwrap();
    block(500_000);
    let failed = restore_from(&sealed, &there, &aside).unwrap_err();
    assert!(failed.is_no_space(), "{failed}");
    assert_eq!(hash(&there), before, "the failed data is untouched");
    assert!(pending(&there).unwrap().is_some());
    fs::remove_file(&ballast).unwrap();
    let restored = restore_from(&sealed, &there, &aside).unwrap();
    assert_eq!(hash(&there), hash(&volume));
    assert_eq!(hash(&restored.volumes[0].aside), before);
    assert_eq!(pending(&there).unwrap(), None);
}

#[test]
fn a_full_tmpfs_costs_nothing() {
    let dir = memory();
    let small = Mount::tmpfs(&dir.path().join("small"), "size=4m");
    full_disk(dir.path(), &small.0);
}

#[test]
fn a_full_ext4_costs_nothing() {
    let dir = disk();
    let small = Mount::ext4(
        &dir.path().join("image"),
        8 << 20,
        &dir.path().join("small"),
    );
    full_disk(dir.path(), &small.0);
}

/// Does something at a checkpoint, in the middle of the work.
struct Meanwhile<'a> {
    point: &'static str,
    left: Cell<u32>,
    act: &'a dyn Fn(),
}

impl Watch for Meanwhile<'_> {
    fn reached(&self, point: &'static str) -> Result<(), DataError> {
        if point == self.point && self.left.replace(self.left.get().wrapping_sub(1)) == 0 {
            (self.act)();
        }
        Ok(())
    }

    fn advanced(&self, _bytes: u64) -> Result<(), DataError> {
        Ok(())
    }
}

#[test]
fn a_source_that_changes_during_the_copy_is_not_sealed() {
    let changes: [(&str, Damage, &str); 7] = [
        (
            "a file copied before is written to",
            |v| flip(&v.join("a"), 1),
            "a",
        ),
        (
            "a file copied before grows",
            |v| fs::write(v.join("a"), "longer than before").unwrap(),
            "a",
        ),
        (
            "a file yet to come is removed",
            |v| fs::remove_file(v.join("d/z")).unwrap(),
            "d",
        ),
        ("a file yet to come is cut", |v| cut(&v.join("d/z")), "d/z"),
        (
            "a file appears",
            |v| fs::write(v.join("b"), "").unwrap(),
            "",
        ),
        (
            "a mode changes",
            |v| fs::set_permissions(v.join("a"), fs::Permissions::from_mode(0o600)).unwrap(),
            "a",
        ),
        (
            "a symlink is replaced",
            |v| {
                fs::remove_file(v.join("l")).unwrap();
                symlink("other", v.join("l")).unwrap();
            },
            "",
        ),
    ];
    for (what, change, at) in changes {
        for (point, number) in [
            ("copy:entry-made", 0),
            ("seal:volume-copied", 0),
            ("seal:verified", 0),
        ] {
            let dir = memory();
            let (volume, snapshot) = (dir.path().join("_data"), dir.path().join("x/s"));
            fs::create_dir_all(volume.join("d")).unwrap();
            fs::create_dir(dir.path().join("x")).unwrap();
            fs::write(volume.join("a"), "first").unwrap();
            symlink("target", volume.join("l")).unwrap();
            fs::write(volume.join("d/z"), vec![1; 1 << 20]).unwrap();
            let watch = Meanwhile {
                point,
                left: Cell::new(number),
                act: &|| change(&volume),
            };
            let sealed = seal_into(&snapshot, &volume, &watch);
            if point == "copy:entry-made" && at.starts_with('d') {
                // Nothing of it had been looked at, so the copy may well be of the state after the change.
                if let Ok(sealed) = sealed {
                    assert_eq!(sealed.volumes()[0].digest, hash(&volume), "{what}");
                    continue;
                }
                panic!("{what} at {point}: {sealed:?}");
            }
            let Err(DataError::Changed { volume: told, path }) = &sealed else {
                panic!("{what} at {point}: {sealed:?}")
            };
            assert_eq!(told, &name("data"));
            assert_eq!(
                PathBuf::from(path),
                if at.is_empty() {
                    volume.clone()
                } else {
                    volume.join(at)
                },
                "{what}"
            );
            assert_eq!(open_sealed(&snapshot).unwrap(), None);
            assert_eq!(fs::read_dir(dir.path().join("x")).unwrap().count(), 0);
        }
    }
}

/// Cuts a file as soon as something was read.
struct Cutting<'a>(&'a Path);

impl Watch for Cutting<'_> {
    fn reached(&self, _point: &'static str) -> Result<(), DataError> {
        Ok(())
    }

    fn advanced(&self, _bytes: u64) -> Result<(), DataError> {
        OpenOptions::new()
            .write(true)
            .open(self.0)
            .unwrap()
            .set_len(10)
            .unwrap();
        Ok(())
    }
}

#[test]
fn a_file_cut_while_it_is_read_is_a_change() {
    let dir = memory();
    let volume = dir.path().join("_data");
    fs::create_dir(&volume).unwrap();
    fs::create_dir(dir.path().join("x")).unwrap();
    fs::write(volume.join("big"), vec![7; 3 << 20]).unwrap();
    let failed = seal_into(
        &dir.path().join("x/s"),
        &volume,
        &Cutting(&volume.join("big")),
    )
    .unwrap_err();
    assert!(matches!(failed, DataError::Changed { .. }), "{failed}");
}
