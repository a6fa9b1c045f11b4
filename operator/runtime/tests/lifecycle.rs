//! The loop on paused time: who wakes whom, deletion, status, stopping, and what the loop says of itself.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ci_warm_runtime::*;
use common::*;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn loop_should_wake_owners_and_mapped_objects() {
    let home = Home::new();
    let things = home.store();
    let parts: Arc<Store<Part>> = Store::open(&home.root).unwrap();
    for of in ["owner", "mapped", "other"] {
        home.put(of, 1);
    }
    let (reconciler, mut told) = tells(|_| Ok(Action::Resync));
    let mut operator = Operator::new(&home.root, by_timer());
    operator.control(&things, reconciler);
    operator.keep(&parts);
    operator.map::<Part>(|change| {
        assert_eq!(&*change.key.kind, "Part");
        vec![Key::new("Thing", ObjectName::new("mapped").unwrap())]
    });
    let running = start(operator);
    for _ in 0..3 {
        told.recv().await.unwrap();
    }
    let both = async |told: &mut Told| {
        let mut ran = [told.recv().await.unwrap().0, told.recv().await.unwrap().0];
        ran.sort();
        assert_eq!(ran, ["mapped", "owner"]);
    };
    let part = parts.create(&name("p"), &owned("p", "owner")).unwrap();
    both(&mut told).await;
    parts
        .update(&name("p"), &part.meta.uid, |record, _| {
            record.status.own.note = "done".into();
        })
        .unwrap();
    both(&mut told).await;
    parts.delete(&name("p"), &part.meta.uid).unwrap();
    both(&mut told).await;
    quiet(&mut told, Duration::from_hours(1)).await;
    running.handle.wake_all();
    for _ in 0..3 {
        told.recv().await.unwrap();
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn loop_should_pass_on_wishes_and_requests_but_no_status() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    let (tell, mut told) = mpsc::unbounded_channel();
    let running = start_with(
        &home,
        &store,
        by_timer(),
        does(move |cx| {
            let tell = tell.clone();
            Box::pin(async move {
                cx.set_status(&Own {
                    note: format!("{}", Instant::now().elapsed().as_nanos()),
                    looked_at: None,
                })
                .await?;
                cx.finish(cx.object().meta.generation).await?;
                for request in cx.requests() {
                    cx.consume(request).await?;
                }
                cx.add_finalizer("test")
                    .await
                    .or_else(|error| match error {
                        StoreError::Deleting(_) => Ok(()),
                        other => Err(other),
                    })?;
                tell.send((
                    cx.requests()
                        .iter()
                        .map(|r| r.verb.clone())
                        .collect::<Vec<_>>()
                        .join(","),
                    Instant::now(),
                ))
                .unwrap();
                Ok(Action::Resync)
            })
        }),
    );
    told.recv().await.unwrap();
    quiet(&mut told, Duration::from_hours(1)).await;
    assert_eq!(get(&store, "a").unwrap().meta.generation, Generation(1));
    std::fs::write(
        home.file("a"),
        "metadata: { name: a, labels: { x: y } }\nspec: { size: 1 }\n",
    )
    .unwrap();
    relist(&store);
    assert_eq!(told.recv().await.unwrap().0, "", "labels");
    home.request("a", "approve");
    relist(&store);
    assert_eq!(told.recv().await.unwrap().0, "approve");
    relist(&store);
    quiet(&mut told, Duration::from_hours(1)).await;
    home.remove("a");
    relist(&store);
    assert_eq!(
        told.recv().await.unwrap().0,
        "",
        "deletion; and the request was handed out once"
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn loop_should_have_the_finalizer_on_disk_before_the_effect_and_clean_up_twice() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, status) = (seen.clone(), home.root.status("things", &name("a")));
    let cleanups = AtomicUsize::new(0);
    let running = start_with(
        &home,
        &store,
        by_timer(),
        does(move |cx| {
            let (log, status) = (log.clone(), status.clone());
            let cleanup = cx
                .object()
                .deleting()
                .then(|| cleanups.fetch_add(1, SeqCst));
            Box::pin(async move {
                match cleanup {
                    None => {
                        cx.add_finalizer("test").await?;
                        let on_disk = std::fs::read_to_string(status).unwrap().contains("- test");
                        log.lock()
                            .unwrap()
                            .push(format!("effect, finalizer on disk: {on_disk}"));
                    }
                    Some(0) => {
                        log.lock().unwrap().push("cleanup fails".into());
                        return Err(ReconcileError::transient("busy"));
                    }
                    Some(_) => {
                        cx.remove_finalizer("test").await?;
                        cx.remove_finalizer("test").await.unwrap_err();
                        log.lock().unwrap().push("gone".into());
                    }
                }
                Ok(Action::Resync)
            })
        }),
    );
    until("effect", || !seen.lock().unwrap().is_empty()).await;
    home.remove("a");
    relist(&store);
    until("gone", || get(&store, "a").is_none()).await;
    running.stop().await;
    assert_eq!(
        *seen.lock().unwrap(),
        ["effect, finalizer on disk: true", "cleanup fails", "gone"]
    );
    assert!(!home.root.status("things", &name("a")).exists());
}

#[tokio::test(start_paused = true)]
async fn loop_should_not_touch_a_suspended_object() {
    let home = Home::new();
    let store = home.store();
    std::fs::write(
        home.file("a"),
        "metadata: { name: a }\nspec: { size: 1, suspend: true }\n",
    )
    .unwrap();
    let (reconciler, mut told) = tells(|_| Ok(Action::Resync));
    let running = start_with(&home, &store, by_timer(), reconciler);
    running.listed().await;
    running.handle.wake_all();
    quiet(&mut told, Duration::from_hours(10)).await;
    home.put("a", 1);
    relist(&store);
    told.recv().await.unwrap();
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn status_should_carry_observed_generation_only_when_finished_and_progress_before_the_act() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    let (go, entered) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (wait, enter) = (go.clone(), entered.clone());
    let running = start_with(
        &home,
        &store,
        by_timer(),
        does(move |cx| {
            let (wait, enter) = (wait.clone(), enter.clone());
            Box::pin(async move {
                cx.progress(Reason::of("Deploying"), "deploying 1").await?;
                let refused = cx
                    .set_condition(Condition::draft(
                        "Ready",
                        ConditionStatus::True,
                        Reason::of("Mine"),
                        "",
                    ))
                    .await;
                assert!(
                    matches!(refused, Err(StoreError::RuntimeOwned(_))),
                    "Ready is decided in one place"
                );
                enter.notify_one();
                wait.notified().await;
                cx.finish(cx.object().meta.generation).await?;
                Ok(Action::Resync)
            })
        }),
    );
    entered.notified().await;
    let during = get(&store, "a").unwrap();
    assert_eq!(during.status.observed_generation, Generation(0));
    assert_eq!(
        condition(&during, "Ready"),
        Some((ConditionStatus::Unknown, "Reconciling".into()))
    );
    assert!(
        home.status_text("a").contains("Deploying"),
        "on disk before the act"
    );
    go.notify_one();
    until("finished", || {
        condition(&get(&store, "a").unwrap(), "Ready").unwrap().0 == ConditionStatus::True
    })
    .await;
    let after = get(&store, "a").unwrap();
    assert_eq!(after.status.observed_generation, Generation(1));
    assert_eq!(
        condition(&after, "Progressing"),
        Some((ConditionStatus::False, "Finished".into()))
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_should_drain_first_and_abort_second() {
    let home = Home::new();
    let store = home.store();
    for of in ["a", "b", "c", "d", "e", "f"] {
        home.put(of, 1);
    }
    let ran = Arc::new(AtomicUsize::new(0));
    let (go, entered, count) = (
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        ran.clone(),
    );
    let (wait, enter) = (go.clone(), entered.clone());
    let settings = Settings {
        at_once: 2,
        ..by_timer()
    };
    let running = start_with(
        &home,
        &store,
        settings,
        does(move |cx| {
            let (wait, enter, count) = (wait.clone(), enter.clone(), count.clone());
            Box::pin(async move {
                cx.observe(Own {
                    note: "last seen".into(),
                    looked_at: None,
                });
                let n = count.fetch_add(1, SeqCst);
                enter.notify_one();
                if n == 0 {
                    wait.notified().await;
                    return Ok(Action::Resync);
                }
                std::future::pending().await
            })
        }),
    );
    until("two runs", || ran.load(SeqCst) == 2).await;
    assert_eq!(running.handle.metrics().running, 2);
    assert_eq!(running.handle.metrics().queue_depth, 4);
    running.shutdown.advance();
    running.handle.wake_all();
    go.notify_one();
    let handle = running.handle.clone();
    until("the first run finished", || handle.metrics().running == 1).await;
    assert!(!running.task.is_finished(), "running work may finish");
    running.shutdown.advance();
    running.task.await.unwrap().unwrap();
    assert_eq!(ran.load(SeqCst), 2, "queued work was dropped");
    let noted = store
        .snapshot()
        .iter()
        .filter(|record| record.status.own.note == "last seen")
        .count();
    assert_eq!(
        noted, 2,
        "the last observation is written, also when aborted"
    );
}

#[tokio::test(start_paused = true)]
async fn metrics_should_say_what_the_loop_does() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    let running = start_with(
        &home,
        &store,
        by_timer(),
        does(|_| {
            Box::pin(async {
                tokio::time::sleep(7 * SECOND).await;
                Ok(Action::Resync)
            })
        }),
    );
    let handle = running.handle.clone();
    until("one run", || handle.metrics().runs == 1).await;
    let metrics = handle.metrics();
    assert!(metrics.longest_run >= 7 * SECOND && metrics.run_time >= metrics.longest_run);
    assert_eq!(
        (
            metrics.queue_depth,
            metrics.running,
            metrics.errors,
            metrics.panics
        ),
        (0, 0, 0, 0)
    );
    assert!(metrics.relists >= 1);
    running.stop().await;
}

#[tokio::test]
async fn loop_should_not_deadlock_with_many_objects_that_wake_each_other() {
    const OBJECTS: usize = 100;
    const RUNS: usize = 50;
    let home = Home::new();
    let store = home.store();
    for n in 0..OBJECTS {
        home.put(&format!("a{n}"), 1);
    }
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    let running = start_with(
        &home,
        &store,
        Settings {
            at_once: 8,
            ..by_timer()
        },
        does(move |cx| {
            let n = count.fetch_add(1, SeqCst);
            Box::pin(async move {
                if n < OBJECTS * RUNS {
                    for other in cx.store().snapshot().iter() {
                        cx.handle().wake("Thing", &other.meta.name);
                    }
                }
                Ok(Action::After(Duration::ZERO))
            })
        }),
    );
    until("50 runs of each of 100 objects", || {
        ran.load(SeqCst) >= OBJECTS * RUNS
    })
    .await;
    running.stop().await;
}
