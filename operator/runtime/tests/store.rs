//! The store over real files: what is kept, what counts as a deletion, what survives a restart.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ci_warm_runtime::store::Listed;
use ci_warm_runtime::*;
use common::*;

fn hold(store: &Store<Thing>, of: &str) {
    let uid = get(store, of).unwrap().meta.uid;
    store
        .update(&name(of), &uid, |record, _| {
            record.meta.finalizers.push("test".into());
        })
        .unwrap();
}

fn let_go(store: &Store<Thing>, of: &str) {
    let uid = get(store, of).unwrap().meta.uid;
    store
        .update(&name(of), &uid, |record, _| record.meta.finalizers.clear())
        .unwrap();
}

#[test]
fn store_should_swap_a_relist_whole() {
    let home = Home::new();
    let store = home.store();
    for n in 0..30 {
        home.put(&format!("a{n}"), 1);
    }
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done) = (store.clone(), done.clone());
        std::thread::spawn(move || {
            let mut sizes = std::collections::BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                sizes.insert(store.snapshot().iter().count());
            }
            sizes.insert(store.snapshot().iter().count());
            sizes
        })
    };
    let before = store.snapshot();
    relist(&store);
    done.store(true, Ordering::Relaxed);
    let sizes = reader.join().unwrap();
    assert!(
        sizes.iter().all(|size| [0, 30].contains(size)),
        "a half-loaded directory was seen: {sizes:?}"
    );
    assert_eq!(before.iter().count(), 0, "a snapshot does not change");
    home.remove("a7");
    relist(&store);
    assert!(
        get(&store, "a7").is_none(),
        "absent after a complete list means deleted"
    );
}

#[test]
fn store_should_keep_the_last_accepted_spec_of_a_broken_file() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    home.put("b", 1);
    relist(&store);
    fs::write(home.file("a"), "metadata:\n  name: a\nspec:\n  sise: 2\n").unwrap();
    home.put("b", 2);
    relist(&store);
    let broken = get(&store, "a").unwrap();
    assert_eq!(broken.spec.as_ref().unwrap().size, 1);
    assert_eq!(broken.meta.generation, Generation(1));
    assert_eq!(
        condition(&broken, "Accepted"),
        Some((ConditionStatus::False, "LastAcceptedKept".into()))
    );
    assert!(
        home.status_text("a").contains("a.yaml"),
        "the problem names the file"
    );
    assert_eq!(
        get(&store, "b").unwrap().spec.unwrap().size,
        2,
        "the others go on"
    );
    fs::write(home.file("a"), "").unwrap();
    relist(&store);
    let empty = get(&store, "a").unwrap();
    assert!(
        empty.meta.deletion_timestamp.is_none(),
        "an empty file is a broken one, not a deletion"
    );
    let restarted = home.store();
    assert_eq!(
        get(&restarted, "a").unwrap().spec.unwrap().size,
        1,
        "also after a restart"
    );
    home.put("a", 1);
    relist(&store);
    let mended = get(&store, "a").unwrap();
    assert_eq!(
        condition(&mended, "Accepted"),
        Some((ConditionStatus::True, "Accepted".into()))
    );
    assert_eq!(mended.meta.generation, Generation(1));
}

#[test]
fn store_should_say_why_an_object_was_never_accepted() {
    let home = Home::new();
    let store = home.store();
    fs::write(home.file("a"), "metadata: { name: b }\nspec: { size: 1 }\n").unwrap();
    fs::write(home.things().join("Upper.yaml"), manifest("upper", 1)).unwrap();
    fs::write(home.things().join("c.yml"), manifest("c", 1)).unwrap();
    fs::write(home.things().join("notes.txt"), "").unwrap();
    fs::write(home.file("huge"), "x".repeat(2 << 20)).unwrap();
    fs::write(home.file("bytes"), [0xff, 0xfe]).unwrap();
    fs::create_dir(home.file("dir")).unwrap();
    symlink("/nowhere/at/all", home.file("dangling")).unwrap();
    let relisted = relist(&store);
    assert_eq!(relisted.problems.len(), 2, "{:?}", relisted.problems);
    for of in ["a", "huge", "bytes", "dir", "dangling"] {
        let refused = get(&store, of).unwrap();
        assert!(refused.object().is_none(), "{of}");
        assert_eq!(
            condition(&refused, "Ready"),
            Some((ConditionStatus::False, "NotAccepted".into())),
            "{of}"
        );
    }
    assert!(!home.status_text("a").contains("\nspec:"));
    home.put("a", 1);
    relist(&store);
    assert_eq!(get(&store, "a").unwrap().meta.generation, Generation(1));
}

#[test]
fn store_should_read_its_own_writes_and_ignore_their_echo() {
    let home = Home::new();
    let store = home.store();
    let made = store.create(&name("a"), &manifest("a", 3)).unwrap();
    assert_eq!(get(&store, "a").unwrap().meta.uid, made.meta.uid);
    let written = fs::metadata(home.root.status("things", &name("a")))
        .unwrap()
        .modified()
        .unwrap();
    relist(&store);
    assert_eq!(
        get(&store, "a").unwrap().meta,
        made.meta,
        "the echo makes nothing new"
    );
    assert_eq!(
        fs::metadata(home.root.status("things", &name("a")))
            .unwrap()
            .modified()
            .unwrap(),
        written
    );
    assert!(matches!(
        store.create(&name("a"), &manifest("a", 4)),
        Err(StoreError::Exists(_))
    ));
    assert!(matches!(
        store.create(&name("b"), "]["),
        Err(StoreError::Refused(_))
    ));
    assert!(!home.file("b").exists());
    store.delete(&name("a"), &made.meta.uid).unwrap();
    assert!(get(&store, "a").is_none() && !home.file("a").exists());
}

#[test]
fn store_should_raise_generation_on_spec_and_deletion_only() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    relist(&store);
    let first = get(&store, "a").unwrap();
    assert_eq!(first.meta.generation, Generation(1));
    assert!(
        home.status_text("a").contains(first.meta.uid.as_str()),
        "on disk before anyone is handed it"
    );
    fs::write(
        home.file("a"),
        "# a comment\nmetadata: { name: a, labels: { x: y } }\nspec: { size: 1 }\n",
    )
    .unwrap();
    relist(&store);
    let labelled = get(&store, "a").unwrap();
    assert_eq!(
        (labelled.meta.generation, labelled.meta.labels["x"].as_str()),
        (Generation(1), "y")
    );
    store
        .update(&name("a"), &first.meta.uid, |record, _| {
            record.status.own.note = "hi".into();
        })
        .unwrap();
    assert_eq!(
        get(&store, "a").unwrap().meta.generation,
        Generation(1),
        "not on a status write"
    );
    home.put("a", 2);
    relist(&store);
    assert_eq!(get(&store, "a").unwrap().meta.generation, Generation(2));
    let restarted = home.store();
    home.put("a", 3);
    relist(&restarted);
    let later = get(&restarted, "a").unwrap();
    assert_eq!(
        (later.meta.generation, &later.meta.uid),
        (Generation(3), &first.meta.uid),
        "across a restart"
    );
    hold(&restarted, "a");
    home.remove("a");
    relist(&restarted);
    let deleting = get(&restarted, "a").unwrap();
    assert_eq!(deleting.meta.generation, Generation(4));
    assert!(
        deleting.meta.deletion_timestamp.is_some()
            && home.status_text("a").contains("deletionTimestamp")
    );
    home.put("a", 9);
    relist(&restarted);
    assert_eq!(
        get(&restarted, "a").unwrap().spec.unwrap().size,
        3,
        "comes back while deleting: finish first"
    );
    let_go(&restarted, "a");
    assert!(get(&restarted, "a").is_none());
    relist(&restarted);
    let anew = get(&restarted, "a").unwrap();
    assert_ne!(anew.meta.uid, first.meta.uid);
    assert_eq!(
        (anew.meta.generation, anew.spec.unwrap().size),
        (Generation(1), 9)
    );
    let stale = restarted.update(&name("a"), &first.meta.uid, |record, _| {
        record.status.own.note = "old".into();
    });
    assert!(
        matches!(stale, Err(StoreError::Gone(_))),
        "a run of the old one cannot write about the new one"
    );
}

#[test]
fn store_should_hold_deletions_when_all_vanish_at_once() {
    let home = Home::new();
    let store = home.store();
    for of in ["a", "b", "c"] {
        home.put(of, 1);
    }
    relist(&store);
    let uid = get(&store, "a").unwrap().meta.uid;
    for of in ["a", "b", "c"] {
        home.remove(of);
    }
    let held = relist(&store).held.unwrap();
    assert_eq!(
        (held.reason, held.names.len()),
        (HeldReason::AllVanished, 3)
    );
    let store = home.store();
    home.put("a", 1);
    let held = relist(&store).held.unwrap();
    assert_eq!(
        held.names.len(),
        2,
        "one that comes back does not release the others, not even after a restart"
    );
    let back = get(&store, "a").unwrap();
    assert_eq!(back.meta.uid, uid);
    assert!(condition(&back, "DeletionHeld").is_none() && back.meta.generation == Generation(1));
    home.request("b", "delete");
    let held = relist(&store).held.unwrap();
    assert_eq!(held.names, [name("c")].into());
    assert!(get(&store, "b").is_none());
    assert!(
        !home.root.requests("things", &name("b")).exists(),
        "nothing is left for a later object of that name"
    );
    home.put("c", 1);
    assert!(relist(&store).held.is_none());
}

#[test]
fn store_should_delete_one_that_vanishes_and_some_that_leave_others() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    relist(&store);
    home.remove("a");
    assert!(relist(&store).held.is_none());
    assert_eq!(
        store.snapshot().iter().count(),
        0,
        "the only one of its kind can be deleted"
    );
    for of in ["a", "b", "c"] {
        home.put(of, 1);
    }
    relist(&store);
    home.remove("a");
    home.remove("b");
    assert!(relist(&store).held.is_none());
    assert_eq!(store.snapshot().iter().count(), 1);
}

#[test]
fn store_should_not_judge_absence_without_root_marker_and_directory() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    relist(&store);
    let before = home.status_text("a");
    fs::rename(home.things(), home.dir.path().join("away")).unwrap();
    let relisted = relist(&store);
    assert_eq!(relisted.held.unwrap().reason, HeldReason::DirectoryMissing);
    let restarted = home.store();
    assert!(
        !home.things().exists(),
        "a missing directory of known objects is not made anew"
    );
    assert_eq!(relist(&restarted).held.unwrap().names, [name("a")].into());
    fs::rename(home.dir.path().join("away"), home.things()).unwrap();
    let marker = home.root.path().join(".ci-warm");
    let text = fs::read(&marker).unwrap();
    fs::remove_file(&marker).unwrap();
    home.remove("a");
    let relisted = relist(&store);
    assert_eq!(
        (relisted.listed, relisted.held.unwrap().reason),
        (Listed::No, HeldReason::MarkerMissing)
    );
    assert_eq!(home.status_text("a"), before);
    fs::rename(home.root.path(), home.dir.path().join("moved")).unwrap();
    assert!(matches!(
        relist(&store).held.unwrap().reason,
        HeldReason::Unreadable(_)
    ));
    assert!(
        !home.root.path().exists(),
        "nothing is written where a disk is missing"
    );
    fs::rename(home.dir.path().join("moved"), home.root.path()).unwrap();
    home.put("a", 1);
    fs::write(&marker, text).unwrap();
    assert!(relist(&store).held.is_none());
    assert_eq!(home.status_text("a"), before);
}

#[test]
fn store_should_finish_a_deletion_that_a_crash_cut_short() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    home.put("b", 1);
    relist(&store);
    hold(&store, "a");
    home.remove("a");
    relist(&store);
    // As if the process had died between letting go and removing the file.
    let text = home.status_text("a");
    let cut: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("- test") && !line.contains("finalizers"))
        .collect();
    fs::write(home.root.status("things", &name("a")), cut.join("\n")).unwrap();
    let store = home.store();
    relist(&store);
    assert!(get(&store, "a").is_none());
    assert!(!home.root.status("things", &name("a")).exists());
}

#[test]
fn store_should_leave_an_object_with_a_damaged_status_alone() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    home.put("b", 1);
    relist(&store);
    let good = home.status_text("a");
    let path = home.root.status("things", &name("a"));
    fs::write(&path, &good[..good.len() / 3]).unwrap();
    let store = home.store();
    let relisted = relist(&store);
    assert_eq!(relisted.problems.len(), 1);
    assert!(get(&store, "a").is_none() && get(&store, "b").is_some());
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        good[..good.len() / 3],
        "no new uid is made up"
    );
    fs::write(&path, &good).unwrap();
    relist(&store);
    assert!(get(&store, "a").is_some());
}

#[test]
fn store_should_read_back_what_it_wrote() {
    let home = Home::new();
    let store = home.store();
    for (n, text) in [
        "0440",
        "yes",
        "1e3",
        "null",
        "a: b",
        "#x",
        "",
        " lead",
        "multi\nline\n",
        "- x",
        "~",
        "é\u{1F600}",
    ]
    .iter()
    .enumerate()
    {
        let of = format!("a{n}");
        let quoted = format!("{text:?}");
        fs::write(
            home.file(&of),
            format!("metadata: {{ name: {of} }}\nspec: {{ size: 1, text: {quoted} }}\n"),
        )
        .unwrap();
        relist(&store);
        assert_eq!(get(&store, &of).unwrap().spec.unwrap().text, *text);
        let uid = get(&store, &of).unwrap().meta.uid;
        store
            .update(&name(&of), &uid, |record, _| {
                record.status.own.note = (*text).to_owned();
            })
            .unwrap();
        let again = get(&home.store(), &of).unwrap();
        assert_eq!(again.spec.unwrap().text, *text);
        assert_eq!(again.status.own.note, *text);
        assert_eq!(again.meta, get(&store, &of).unwrap().meta);
    }
}

#[test]
fn store_should_write_status_only_when_more_than_times_changed() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    relist(&store);
    let uid = get(&store, "a").unwrap().meta.uid;
    let set = |note: &str, reason: &'static str| {
        store
            .update(&name("a"), &uid, |record, now| {
                record.status.own = Own {
                    note: note.into(),
                    looked_at: Some(now),
                };
                let draft =
                    Condition::draft("Probed", ConditionStatus::True, Reason::of(reason), "");
                record.status.conditions.set(draft, Generation(1), now);
            })
            .unwrap();
    };
    set("x", "Fine");
    let path = home.root.status("things", &name("a"));
    fs::write(&path, "marked").unwrap();
    set("x", "Fine");
    relist(&store);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "marked",
        "a quiet system writes nothing"
    );
    set("x", "Better");
    assert!(fs::read_to_string(&path).unwrap().contains("Better"));
}

#[test]
fn store_should_follow_symlinks() {
    let home = Home::new();
    let store = home.store();
    let target = home.dir.path().join("elsewhere.yaml");
    fs::write(&target, manifest("a", 5)).unwrap();
    symlink(&target, home.file("a")).unwrap();
    let relisted = relist(&store);
    assert_eq!(get(&store, "a").unwrap().spec.unwrap().size, 5);
    assert_eq!(relisted.targets.len(), 1);
    fs::remove_file(&target).unwrap();
    relist(&store);
    let dangling = get(&store, "a").unwrap();
    assert!(dangling.meta.deletion_timestamp.is_none() && dangling.spec.is_some());
    assert_eq!(
        condition(&dangling, "Accepted").unwrap().0,
        ConditionStatus::False
    );
}
