//! The watch over real directories and real inotify: whatever people and tools do to files is seen, and nothing else.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ci_warm_runtime::*;
use common::*;

/// What the runs saw, in order: name and size.
type Seen = Arc<Mutex<Vec<(String, u64)>>>;

struct Watched {
    home: Home,
    store: Arc<Store<Thing>>,
    running: Running,
    seen: Seen,
}

/// Without a timer that would help: what is seen is seen by the watch.
fn by_watch() -> Settings {
    Settings {
        relist: Duration::from_hours(20),
        ..Settings::default()
    }
}

async fn watched(prepare: impl FnOnce(&Home)) -> Watched {
    watched_with(by_watch(), prepare).await
}

async fn watched_with(settings: Settings, prepare: impl FnOnce(&Home)) -> Watched {
    let home = Home::new();
    fs::create_dir(home.things()).unwrap();
    prepare(&home);
    let store = home.store();
    let seen = Seen::default();
    let log = seen.clone();
    let running = start_with(
        &home,
        &store,
        settings,
        does(move |cx| {
            log.lock()
                .unwrap()
                .push((cx.name().to_string(), cx.object().spec.size));
            Box::pin(async move {
                for request in cx.requests() {
                    cx.set_status(&Own {
                        note: request.verb.clone(),
                        looked_at: None,
                    })
                    .await?;
                    cx.consume(request).await?;
                }
                cx.finish(cx.object().meta.generation).await?;
                Ok(Action::Resync)
            })
        }),
    );
    running.listed().await;
    Watched {
        home,
        store,
        running,
        seen,
    }
}

impl Watched {
    async fn size(&self, of: &str, size: u64) {
        until(&format!("{of} ran with size {size}"), || {
            self.seen
                .lock()
                .unwrap()
                .iter()
                .rev()
                .find(|(name, _)| name == of)
                .is_some_and(|(_, last)| *last == size)
        })
        .await;
    }

    async fn gone(&self, of: &str) {
        until(&format!("{of} is gone"), || get(&self.store, of).is_none()).await;
    }

    fn broken(&self, of: &str) -> bool {
        get(&self.store, of).is_some_and(|record| {
            condition(&record, "Accepted").unwrap().0 == ConditionStatus::False
        })
    }
}

fn git(directory: &Path, arguments: &[&str]) {
    let done = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[tokio::test]
async fn watch_should_see_files_created_edited_renamed_over_and_deleted() {
    let w = watched(|_| {}).await;
    w.home.put("a", 1);
    w.size("a", 1).await;
    // In place, through one handle that truncates first.
    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(w.home.file("a"))
        .unwrap();
    file.write_all(manifest("a", 2).as_bytes()).unwrap();
    drop(file);
    w.size("a", 2).await;
    // As an editor does: a new file renamed over the old one.
    fs::write(w.home.things().join("a.yaml.new"), manifest("a", 3)).unwrap();
    fs::rename(w.home.things().join("a.yaml.new"), w.home.file("a")).unwrap();
    w.size("a", 3).await;
    // As another editor does: the old one becomes a backup, a new one takes its name.
    let uid = get(&w.store, "a").unwrap().meta.uid;
    fs::rename(w.home.file("a"), w.home.things().join("a.yaml~")).unwrap();
    w.home.put("a", 4);
    w.size("a", 4).await;
    assert_eq!(
        get(&w.store, "a").unwrap().meta.uid,
        uid,
        "that was no deletion"
    );
    w.home.remove("a");
    w.gone("a").await;
    w.running.stop().await;
}

#[tokio::test]
async fn watch_should_wait_for_a_file_that_is_still_being_written() {
    // Longer than this test can take, so that only closing the file ends the wait.
    let long = Duration::from_mins(10);
    let writes = Debounce {
        quiet: long,
        max_wait: long,
    };
    let w = watched_with(
        Settings {
            writes,
            ..by_watch()
        },
        |home| home.put("a", 1),
    )
    .await;
    w.size("a", 1).await;
    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(w.home.file("a"))
        .unwrap();
    let text = manifest("a", 2);
    let (first, rest) = text.split_at(12);
    file.write_all(first.as_bytes()).unwrap();
    file.sync_all().unwrap();
    // Another file is complete meanwhile, and leads to a look at the directory.
    w.home.put("b", 1);
    w.size("b", 1).await;
    assert!(!w.broken("a"), "nobody looked at the half-written file");
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    w.size("a", 2).await;
    w.running.stop().await;
}

#[tokio::test]
async fn watch_should_go_on_past_a_broken_file() {
    let w = watched(|home| home.put("a", 1)).await;
    w.size("a", 1).await;
    fs::write(w.home.file("a"), "spec: ][").unwrap();
    until("a is refused", || w.broken("a")).await;
    w.home.put("b", 7);
    w.size("b", 7).await;
    w.home.put("a", 2);
    w.size("a", 2).await;
    w.running.stop().await;
}

#[tokio::test]
async fn watch_should_follow_a_symlink_and_its_target() {
    let w = watched(|_| {}).await;
    let store = w.home.dir.path().join("store");
    fs::create_dir(&store).unwrap();
    fs::write(store.join("one"), manifest("a", 1)).unwrap();
    fs::write(store.join("two"), manifest("a", 2)).unwrap();
    symlink(store.join("one"), w.home.file("a")).unwrap();
    w.size("a", 1).await;
    symlink(store.join("two"), w.home.things().join("a.new")).unwrap();
    fs::rename(w.home.things().join("a.new"), w.home.file("a")).unwrap();
    w.size("a", 2).await;
    fs::write(store.join("two"), manifest("a", 3)).unwrap();
    w.size("a", 3).await;
    w.running.stop().await;
}

#[tokio::test]
async fn watch_should_see_a_checkout_that_replaces_the_directory() {
    let w = watched(|home| {
        let things = home.things();
        git(home.root.path(), &["init", "-q"]);
        home.put("a", 1);
        home.put("b", 1);
        git(home.root.path(), &["add", "things"]);
        git(home.root.path(), &["commit", "-qm", "one"]);
        git(home.root.path(), &["checkout", "-qb", "two"]);
        home.put("a", 2);
        home.put("c", 2);
        fs::remove_file(things.join("b.yaml")).unwrap();
        git(home.root.path(), &["add", "-A", "things"]);
        git(home.root.path(), &["commit", "-qm", "two"]);
        git(home.root.path(), &["checkout", "-q", "main"]);
    })
    .await;
    w.size("a", 1).await;
    let uid = get(&w.store, "a").unwrap().meta.uid;
    git(w.home.root.path(), &["checkout", "-q", "two"]);
    w.size("a", 2).await;
    w.size("c", 2).await;
    w.gone("b").await;
    // The whole directory goes and comes back.
    git(w.home.root.path(), &["rm", "-rqf", "things"]);
    git(w.home.root.path(), &["reset", "-q", "--hard", "main"]);
    w.size("a", 1).await;
    w.size("b", 1).await;
    assert_eq!(get(&w.store, "a").unwrap().meta.uid, uid);
    w.running.stop().await;
}

#[tokio::test]
async fn watch_should_see_a_directory_gone_and_back() {
    let w = watched(|home| {
        home.put("a", 1);
        home.put("b", 1);
    })
    .await;
    w.size("b", 1).await;
    let uid = get(&w.store, "a").unwrap().meta.uid;
    for round in 2..6 {
        let away = w.home.dir.path().join(format!("away{round}"));
        fs::rename(w.home.things(), &away).unwrap();
        w.running
            .handle
            .held_deletions()
            .wait_for(|held| !held.is_empty())
            .await
            .unwrap();
        fs::create_dir(w.home.things()).unwrap();
        w.home.put("a", round);
        w.home.put("b", round);
        w.size("a", round).await;
        w.running
            .handle
            .held_deletions()
            .wait_for(Vec::is_empty)
            .await
            .unwrap();
        // The watch is on the new directory.
        w.home.put("b", round * 10);
        w.size("b", round * 10).await;
    }
    assert_eq!(get(&w.store, "a").unwrap().meta.uid, uid);
    fs::rename(w.home.root.path(), w.home.dir.path().join("moved")).unwrap();
    w.running
        .handle
        .held_deletions()
        .wait_for(|held| !held.is_empty())
        .await
        .unwrap();
    fs::rename(w.home.dir.path().join("moved"), w.home.root.path()).unwrap();
    w.running
        .handle
        .held_deletions()
        .wait_for(Vec::is_empty)
        .await
        .unwrap();
    w.home.put("a", 99);
    w.size("a", 99).await;
    w.running.stop().await;
}

#[tokio::test]
async fn watch_should_hold_deletions_when_all_files_go_one_by_one() {
    let w = watched(|home| {
        for of in ["a", "b", "c", "d"] {
            home.put(of, 1);
        }
    })
    .await;
    w.size("d", 1).await;
    for of in ["a", "b", "c", "d"] {
        w.home.remove(of);
    }
    let mut held = w.running.handle.held_deletions();
    let names = held.wait_for(|held| !held.is_empty()).await.unwrap()[0]
        .names
        .len();
    assert_eq!(names, 4);
    assert_eq!(
        w.store
            .snapshot()
            .iter()
            .filter(|record| record.meta.deletion_timestamp.is_none())
            .count(),
        4
    );
    w.home.request("b", "delete");
    w.gone("b").await;
    for of in ["a", "c", "d"] {
        w.home.put(of, 2);
        w.size(of, 2).await;
    }
    held.wait_for(Vec::is_empty).await.unwrap();
    w.running.stop().await;
}

#[tokio::test]
async fn watch_should_hand_requests_to_the_run_once() {
    let w = watched(|home| home.put("a", 1)).await;
    w.size("a", 1).await;
    for verb in ["approve", "retry"] {
        let request = w.home.request("a", verb);
        until("the request is consumed", || !request.path.exists()).await;
        until("it was recorded first", || {
            get(&w.store, "a").unwrap().status.own.note == verb
        })
        .await;
    }
    // By hand, into a directory that was removed and made again.
    let directory = w.home.root.requests("things", &name("a"));
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("undo.yaml");
    fs::write(&file, "").unwrap();
    until("the request is consumed", || !file.exists()).await;
    w.running.stop().await;
}

#[tokio::test]
async fn watch_should_be_quiet_when_nothing_changes() {
    let w = watched(|home| {
        home.put("a", 1);
        home.put("b", 1);
    })
    .await;
    w.size("a", 1).await;
    w.size("b", 1).await;
    // One more change than can be told apart from an echo: when it has run, echoes of what was before would have too.
    w.home.put("c", 1);
    w.size("c", 1).await;
    w.home.put("c", 1);
    w.home.put("d", 1);
    w.size("d", 1).await;
    w.running.stop().await;
    let mut seen = w.seen.lock().unwrap().clone();
    seen.sort();
    let all = ["a", "b", "c", "d"].map(|of| (of.to_owned(), 1));
    assert_eq!(
        seen, all,
        "own writes and a manifest that says the same wake nobody"
    );
}
