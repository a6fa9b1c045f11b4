//! Any tree comes back, and any change to it is seen.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

use ci_warm_data::{RestoreRequest, SealRequest, Unwatched, digest, restore, seal, verify};
use common::{memory, name, tar, touch, xattr};
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

#[derive(Debug, Clone)]
enum Make {
    Directory,
    /// Pieces of data: where, how much, and of what byte.
    File(Vec<(u32, u16, u8)>),
    Symlink(Vec<u8>),
    Node(u8, u16, u16),
    /// Another name of an entry made before.
    Link(prop::sample::Index),
}

#[derive(Debug, Clone)]
struct Thing {
    parent: prop::sample::Index,
    name: Vec<u8>,
    make: Make,
    mode: u32,
    owner: (u32, u32),
    time: (i64, i64),
    xattrs: Vec<(&'static str, Vec<u8>)>,
}

fn name_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop_oneof![Just(b'a'), Just(b'.'), Just(b'!'), Just(b'\\'), 1_u8..=255],
        1..8,
    )
    .prop_map(|bytes| {
        bytes
            .into_iter()
            .filter(|byte| *byte != b'/')
            .collect::<Vec<u8>>()
    })
    .prop_filter("no name", |name| {
        !name.is_empty() && name != b"." && name != b".."
    })
}

fn make() -> impl Strategy<Value = Make> {
    prop_oneof![
        3 => Just(Make::Directory),
        3 => prop::collection::vec((0_u32..3_000_000, 0_u16..5000, any::<u8>()), 0..4).prop_map(Make::File),
        1 => prop::collection::vec(1_u8..=255, 1..60).prop_map(Make::Symlink),
        1 => (0_u8..4, 0_u16..500, any::<u16>()).prop_map(|(kind, major, minor)| Make::Node(kind, major, minor)),
        1 => any::<prop::sample::Index>().prop_map(Make::Link),
    ]
}

fn thing() -> impl Strategy<Value = Thing> {
    let xattrs = prop::collection::vec(
        (
            prop::sample::select(vec!["trusted.a", "security.c"]),
            prop::collection::vec(any::<u8>(), 0..40),
        ),
        0..3,
    );
    let owner = (0_u32..u32::MAX, 0_u32..u32::MAX);
    let time = (-2_000_000_000_i64..4_000_000_000, 0_i64..1_000_000_000);
    (
        any::<prop::sample::Index>(),
        name_bytes(),
        make(),
        0_u32..=0o7777,
        owner,
        time,
        xattrs,
    )
        .prop_map(|(parent, name, make, mode, owner, time, xattrs)| Thing {
            parent,
            name,
            make,
            mode,
            owner,
            time,
            xattrs,
        })
}

fn build(root: &Path, things: &[Thing]) {
    fs::create_dir(root).unwrap();
    let mut directories = vec![root.to_owned()];
    let mut others: Vec<PathBuf> = Vec::new();
    let mut made: Vec<(PathBuf, &Thing)> = Vec::new();
    for thing in things {
        let path = thing
            .parent
            .get(&directories)
            .join(OsStr::from_bytes(&thing.name));
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match &thing.make {
            Make::Directory => {
                fs::create_dir(&path).unwrap();
                directories.push(path.clone());
            }
            Make::File(pieces) => {
                let file = File::create(&path).unwrap();
                for (at, length, byte) in pieces {
                    file.write_all_at(&vec![*byte; usize::from(*length)], u64::from(*at))
                        .unwrap();
                }
            }
            Make::Symlink(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            Make::Node(kind, major, minor) => {
                let kinds = [
                    FileType::Fifo,
                    FileType::Socket,
                    FileType::CharacterDevice,
                    FileType::BlockDevice,
                ];
                let device = makedev(u32::from(*major), u32::from(*minor));
                mknodat(CWD, &path, kinds[usize::from(*kind)], Mode::RUSR, device).unwrap();
            }
            Make::Link(first) if !others.is_empty() => {
                fs::hard_link(first.get(&others), &path).unwrap();
            }
            Make::Link(_) => continue,
        }
        if !matches!(thing.make, Make::Directory) {
            others.push(path.clone());
        }
        made.push((path, thing));
    }
    for (path, thing) in made.iter().rev() {
        lchown(path, Some(thing.owner.0), Some(thing.owner.1)).unwrap();
        if !fs::symlink_metadata(path).unwrap().is_symlink() {
            fs::set_permissions(path, fs::Permissions::from_mode(thing.mode)).unwrap();
        }
        for (name, value) in &thing.xattrs {
            xattr(path, name, value);
        }
        touch(path, thing.time.0, thing.time.1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back(good in prop::collection::vec(thing(), 0..30), bad in prop::collection::vec(thing(), 0..10)) {
        let dir = memory();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        build(&first, &good);
        build(&second, &bad);
        let before = (digest(&first, &Unwatched).unwrap(), tar(&first));
        let failed = digest(&second, &Unwatched).unwrap();
        let snapshot_dir = dir.path().join("x/s");
        let volumes = [(name("data"), first.clone())];
        let request = SealRequest { snapshot_dir: &snapshot_dir, volumes: &volumes, context: &serde_json::Value::Null };
        let sealed = seal(&request, &Unwatched).unwrap();
        verify(&sealed, &Unwatched).unwrap();
        prop_assert_eq!((sealed.volumes()[0].digest, sealed.volumes()[0].entries), (before.0.digest, before.0.entries));
        let (targets, aside_dir) = ([(name("data"), second.clone())], dir.path().join("aside/op"));
        let request = RestoreRequest { operation: "op", sealed: Some(&sealed), targets: &targets, added: &[], aside_dir: &aside_dir };
        let restored = restore(&request, &Unwatched).unwrap();
        prop_assert_eq!((digest(&second, &Unwatched).unwrap(), tar(&second)), before);
        prop_assert_eq!(digest(&restored.volumes[0].aside, &Unwatched).unwrap(), failed);
    }

    #[test]
    fn trees_made_alike_have_one_digest_and_others_another(things in prop::collection::vec(thing(), 1..20)) {
        let dir = memory();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        build(&first, &things);
        build(&second, &things);
        for root in [&first, &second] {
            // What was not set on purpose is when and how the root was made.
            touch(root, 5, 5);
        }
        let same = digest(&first, &Unwatched).unwrap();
        prop_assert_eq!(digest(&second, &Unwatched).unwrap(), same);
        touch(&second, 5, 6);
        prop_assert_ne!(digest(&second, &Unwatched).unwrap().digest, same.digest);
    }
}
