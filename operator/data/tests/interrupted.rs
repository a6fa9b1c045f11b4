//! Stopped at every checkpoint and run again, the end is that of an undisturbed run.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use ci_warm_data::{
    Cancel, DataError, Digest, RestoreRequest, Restored, SealRequest, Sealed, Unwatched,
    VolumeName, Watch, open_sealed, pending, remove_aside, remove_snapshot, restore, seal, verify,
};
use common::{How, Mount, Stop, everything, hash, memory, name, stopped, tar};
use serde_json::json;

/// Two volumes that are sealed, and one that the failed release adds.
struct World {
    base: PathBuf,
    volumes: Vec<(VolumeName, PathBuf)>,
    added: Vec<(VolumeName, PathBuf)>,
}

impl World {
    fn new(base: &Path) -> Self {
        for dir in ["x", "v/one", "v/two", "v/three"] {
            fs::create_dir_all(base.join(dir)).unwrap();
        }
        let volume = |text: &str| (name(text), base.join("v").join(text).join("_data"));
        let world = Self {
            base: base.to_owned(),
            volumes: vec![volume("one"), volume("two")],
            added: vec![volume("three")],
        };
        everything(&world.volumes[0].1);
        fs::create_dir(&world.volumes[1].1).unwrap();
        fs::write(world.volumes[1].1.join("file"), "small").unwrap();
        world
    }

    fn snapshot(&self) -> PathBuf {
        self.base.join("x/snapshots/s")
    }

    fn aside(&self) -> PathBuf {
        self.base.join("x/aside/op")
    }

    fn seal(&self, watch: &dyn Watch) -> Result<Sealed, DataError> {
        let context = json!({"exitCodes": {"app": 0}});
        seal(
            &SealRequest {
                snapshot_dir: &self.snapshot(),
                volumes: &self.volumes,
                context: &context,
            },
            watch,
        )
    }

    /// What a failed release does to data.
    fn fail(&self) {
        fs::write(self.volumes[0].1.join("dir/file"), "migrated!").unwrap();
        fs::remove_file(self.volumes[0].1.join("sparse")).unwrap();
        fs::write(self.volumes[1].1.join("new"), "new").unwrap();
        fs::create_dir(&self.added[0].1).unwrap();
        fs::write(self.added[0].1.join("cache"), "cache").unwrap();
    }

    fn restore(&self, sealed: &Sealed, watch: &dyn Watch) -> Result<Restored, DataError> {
        let request = RestoreRequest {
            operation: "op",
            sealed: Some(sealed),
            targets: &self.volumes,
            added: &self.added,
            aside_dir: &self.aside(),
        };
        restore(&request, watch)
    }

    fn hashes(&self) -> Vec<Digest> {
        self.volumes
            .iter()
            .chain(&self.added)
            .filter(|(_, dir)| dir.exists())
            .map(|(_, dir)| hash(dir))
            .collect()
    }

    fn is_pending(&self) -> bool {
        self.volumes
            .iter()
            .chain(&self.added)
            .any(|(_, dir)| pending(dir).unwrap().is_some())
    }

    /// What lies beside the volumes, apart from themselves.
    fn beside(&self) -> Vec<PathBuf> {
        let all = ["one", "two", "three"]
            .map(|volume| fs::read_dir(self.base.join("v").join(volume)).unwrap());
        all.into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.ends_with("_data"))
            .collect()
    }
}

#[test]
fn a_seal_interrupted_anywhere_is_whole_or_absent() {
    let dir = memory();
    let world = World::new(&dir.path().join("undisturbed"));
    let before = world.hashes();
    let undisturbed = Stop::never();
    let expected = world.seal(&undisturbed).unwrap();
    let points = undisturbed.points.into_inner();
    assert!(points.len() > 30, "{points:?}");
    for how in [How::Crash, How::Fail] {
        for (at, point) in points.iter().enumerate() {
            if at > 0 {
                remove_snapshot(&world.snapshot(), &Unwatched).unwrap();
            }
            stopped(&Stop::at(at, how), |watch| {
                remove_snapshot(&world.snapshot(), &Unwatched)?;
                world.seal(watch)
            });
            if let Some(sealed) = open_sealed(&world.snapshot()).unwrap() {
                verify(&sealed, &Unwatched).unwrap();
            } else if how == How::Fail {
                assert_eq!(
                    fs::read_dir(world.base.join("x/snapshots"))
                        .unwrap()
                        .count(),
                    0,
                    "{at}"
                );
            }
            assert_eq!(
                world.seal(&Unwatched).unwrap(),
                expected,
                "{how:?} at {at} {point}"
            );
            verify(&expected, &Unwatched).unwrap();
            assert_eq!(
                fs::read_dir(world.base.join("x/snapshots"))
                    .unwrap()
                    .count(),
                1,
                "{at} {point}"
            );
        }
    }
    assert_eq!(world.hashes(), before);
}

fn every_restore(base: &Path) {
    let make = |number: &str| {
        let world = World::new(&base.join(number));
        let sealed = world.seal(&Unwatched).unwrap();
        let good = (world.hashes(), tar(&world.volumes[0].1));
        world.fail();
        (sealed, good, world.hashes(), world)
    };
    let (sealed, good, failed, world) = make("undisturbed");
    let undisturbed = Stop::never();
    let restored = world.restore(&sealed, &undisturbed).unwrap();
    let points = undisturbed.points.into_inner();
    assert!(points.len() > 40, "{points:?}");
    check(&world, &restored, &good, &failed, "undisturbed");
    fs::remove_dir_all(&world.base).unwrap();
    for how in [How::Crash, How::Fail] {
        for (at, point) in points.iter().enumerate() {
            let (sealed, good, failed, world) = make("disturbed");
            let context = format!("{how:?} at {at} {point}");
            stopped(&Stop::at(at, how), |watch| world.restore(&sealed, watch));
            // A volume is at every moment one or the other, whole, and nobody may start on it until it is done.
            for (number, now) in world.hashes().into_iter().enumerate() {
                let allowed = [Some(&failed[number]), good.0.get(number)];
                assert!(number == 2 || allowed.contains(&Some(&now)), "{context}");
            }
            assert!(
                world.is_pending() || *point == "restore:unmarked",
                "{context}"
            );
            // Stopped a second time, as far from the first as can be.
            let second = Stop::at((points.len() - at) / 2, how);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                world.restore(&sealed, &second).is_ok()
            }));
            let restored = world
                .restore(&sealed, &Unwatched)
                .unwrap_or_else(|e| panic!("{context}: {e}"));
            check(&world, &restored, &good, &failed, &context);
            assert_eq!(
                world.restore(&sealed, &Unwatched).unwrap(),
                restored,
                "{context}"
            );
            remove_aside(&world.aside(), &Unwatched).unwrap();
            assert_eq!(world.beside(), Vec::<PathBuf>::new(), "{context}");
            fs::remove_dir_all(world.base.join("x")).unwrap();
            fs::remove_dir_all(world.base.join("v/one/_data")).unwrap();
            fs::remove_dir_all(world.base.join("v/two/_data")).unwrap();
            fs::remove_dir_all(world.base.join("v/three/_data")).unwrap();
        }
    }
}

fn check(
    world: &World,
    restored: &Restored,
    good: &(Vec<Digest>, String),
    failed: &[Digest],
    context: &str,
) {
    assert_eq!(world.hashes()[..2], good.0[..], "{context}");
    assert_eq!(tar(&world.volumes[0].1), good.1, "{context}");
    assert_eq!(
        fs::read_dir(&world.added[0].1).unwrap().count(),
        0,
        "{context}"
    );
    let aside: Vec<Digest> = restored
        .volumes
        .iter()
        .map(|volume| hash(&volume.aside))
        .collect();
    assert_eq!(aside, failed, "{context}");
    assert!(!world.is_pending(), "{context}");
    let reported: Vec<Digest> = restored
        .volumes
        .iter()
        .map(|volume| volume.digest)
        .collect();
    assert_eq!(world.hashes(), reported, "{context}");
}

#[test]
fn a_restore_interrupted_anywhere_ends_as_if_it_had_not_been() {
    every_restore(memory().path());
}

#[test]
fn so_does_one_whose_aside_is_on_another_filesystem() {
    let dir = memory();
    let _mount = Mount::tmpfs(&dir.path().join("disturbed/v"), "size=256m");
    every_restore(dir.path());
}

#[test]
fn a_removal_interrupted_anywhere_never_shows_half_a_snapshot() {
    let dir = memory();
    let world = World::new(dir.path());
    world.seal(&Unwatched).unwrap();
    let undisturbed = Stop::never();
    remove_snapshot(&world.snapshot(), &undisturbed).unwrap();
    for at in 0..undisturbed.points.into_inner().len() {
        world.seal(&Unwatched).unwrap();
        stopped(&Stop::at(at, How::Crash), |watch| {
            remove_snapshot(&world.snapshot(), watch)
        });
        if let Some(sealed) = open_sealed(&world.snapshot()).unwrap() {
            verify(&sealed, &Unwatched).unwrap();
        }
        remove_snapshot(&world.snapshot(), &Unwatched).unwrap();
        assert_eq!(
            fs::read_dir(world.base.join("x/snapshots"))
                .unwrap()
                .count(),
            0
        );
    }
}

#[test]
fn another_operation_waits_for_an_unfinished_restore() {
    let dir = memory();
    let world = World::new(dir.path());
    let sealed = world.seal(&Unwatched).unwrap();
    world.fail();
    stopped(&Stop::at(30, How::Crash), |watch| {
        world.restore(&sealed, watch)
    });
    let marker = pending(&world.volumes[0].1).unwrap().unwrap();
    assert_eq!(
        (marker.operation.as_str(), &marker.volume),
        ("op", &world.volumes[0].0)
    );
    let before = world.hashes();
    let aside_dir = &world.base.join("x/aside/other");
    let request = RestoreRequest {
        operation: "other",
        sealed: Some(&sealed),
        targets: &world.volumes,
        added: &world.added,
        aside_dir,
    };
    assert!(matches!(
        restore(&request, &Unwatched),
        Err(DataError::RestorePending { .. })
    ));
    assert_eq!(world.hashes(), before);
    fs::write(world.base.join("v/one/._data.ci-warm-restoring"), "{").unwrap();
    assert!(matches!(
        pending(&world.volumes[0].1),
        Err(DataError::BadMarker { .. })
    ));
    assert!(world.restore(&sealed, &Unwatched).is_err());
}

#[test]
fn cancelling_leaves_nothing_behind() {
    let dir = memory();
    let world = World::new(dir.path());
    let cancel = Cancel::default();
    cancel.clone().cancel();
    assert!(matches!(world.seal(&cancel), Err(DataError::Cancelled)));
    assert_eq!(
        fs::read_dir(world.base.join("x/snapshots"))
            .unwrap()
            .count(),
        0
    );
}
