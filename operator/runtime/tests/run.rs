//! The loop on paused time: when objects run, how failures are waited out, how it stops.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ci_warm_runtime::*;
use common::*;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn loop_should_run_nothing_before_the_first_complete_list_then_everything_once() {
    let home = Home::new();
    let store = home.store();
    for of in ["a", "b", "c"] {
        home.put(of, 1);
    }
    let marker = home.root.path().join(".ci-warm");
    let text = std::fs::read(&marker).unwrap();
    std::fs::remove_file(&marker).unwrap();
    let (reconciler, mut told) = tells(|_| Ok(Action::Resync));
    let running = start_with(&home, &store, by_timer(), reconciler);
    running.handle.wake("Thing", &name("a"));
    running.handle.wake_all();
    quiet(&mut told, Duration::from_mins(10)).await;
    std::fs::write(&marker, text).unwrap();
    running.listed().await;
    let mut ran = Vec::new();
    for _ in 0..3 {
        ran.push(told.recv().await.unwrap().0);
    }
    ran.sort();
    assert_eq!(ran, ["a", "b", "c"]);
    quiet(&mut told, Duration::from_hours(10)).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn loop_should_fetch_when_running_and_take_missing_for_normal() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let (seen, first) = (sizes.clone(), Arc::new(Notify::new()));
    let entered = first.clone();
    let running = start_with(
        &home,
        &store,
        by_timer(),
        does(move |cx| {
            seen.lock().unwrap().push(cx.object().spec.size);
            let entered = entered.clone();
            Box::pin(async move {
                entered.notify_one();
                tokio::time::sleep(SECOND).await;
                Ok(Action::Resync)
            })
        }),
    );
    first.notified().await;
    running.handle.wake("Thing", &name("a"));
    running.handle.wake("Thing", &name("nobody"));
    running.handle.wake("Unknown", &name("a"));
    home.put("a", 2);
    relist(&store);
    first.notified().await;
    assert_eq!(
        *sizes.lock().unwrap(),
        [1, 2],
        "queued before the change, fetched after it"
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn loop_should_resync_after_success() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    let (reconciler, mut told) = tells(|n| {
        Ok(if n == 1 {
            Action::After(5 * SECOND)
        } else {
            Action::Resync
        })
    });
    let settings = Settings {
        resync: Duration::from_hours(1),
        ..by_timer()
    };
    let running = start_with(&home, &store, settings, reconciler);
    told.recv().await.unwrap();
    assert_eq!(seconds_to_next(&mut told).await, 3600);
    assert_eq!(
        seconds_to_next(&mut told).await,
        5,
        "each run returns its own timer"
    );
    tokio::time::sleep(600 * SECOND).await;
    running.handle.wake("Thing", &name("a"));
    told.recv().await.unwrap();
    assert_eq!(
        seconds_to_next(&mut told).await,
        3600,
        "an earlier trigger replaced the timer"
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn loop_should_back_off_per_object_and_not_count_early_runs() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    let fails = Arc::new(AtomicBool::new(true));
    let asked = fails.clone();
    let (reconciler, mut told) = tells(move |_| {
        if asked.load(SeqCst) {
            Err(ReconcileError::transient("no"))
        } else {
            Ok(Action::Resync)
        }
    });
    let running = start_with(&home, &store, by_timer(), reconciler);
    told.recv().await.unwrap();
    for expected in [1, 2, 4, 8] {
        assert_eq!(seconds_to_next(&mut told).await, expected);
    }
    for _ in 0..5 {
        tokio::time::sleep(SECOND).await;
        running.handle.wake("Thing", &name("a"));
        told.recv().await.unwrap();
    }
    assert_eq!(
        seconds_to_next(&mut told).await,
        11,
        "early runs neither count nor move the delay of 16"
    );
    assert_eq!(seconds_to_next(&mut told).await, 32);
    home.put("a", 2);
    relist(&store);
    told.recv().await.unwrap();
    assert_eq!(
        seconds_to_next(&mut told).await,
        1,
        "a new generation starts anew"
    );
    fails.store(false, SeqCst);
    assert_eq!(seconds_to_next(&mut told).await, 2);
    fails.store(true, SeqCst);
    running.handle.wake("Thing", &name("a"));
    told.recv().await.unwrap();
    assert_eq!(seconds_to_next(&mut told).await, 1, "so does success");
    assert!(running.handle.metrics().errors >= 10);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn loop_should_set_no_timer_after_a_terminal_error() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    let (reconciler, mut told) = tells(|_| Err(ReconcileError::terminal("bad spec")));
    let running = start_with(&home, &store, by_timer(), reconciler);
    told.recv().await.unwrap();
    quiet(&mut told, Duration::from_hours(100)).await;
    let stalled = get(&store, "a").unwrap();
    assert_eq!(
        condition(&stalled, "Ready"),
        Some((ConditionStatus::False, "Stalled".into())),
        "one place, one reason"
    );
    home.put("a", 2);
    relist(&store);
    told.recv().await.unwrap();
    quiet(&mut told, Duration::from_hours(100)).await;
    home.request("a", "retry");
    relist(&store);
    told.recv().await.unwrap();
    assert!(running.handle.metrics().terminal_errors >= 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn loop_should_catch_and_count_a_panic_of_one_key() {
    let home = Home::new();
    let store = home.store();
    home.put("a", 1);
    home.put("b", 1);
    let (tell, mut told) = mpsc::unbounded_channel();
    let running = start_with(
        &home,
        &store,
        by_timer(),
        does(move |cx| {
            let (of, tell) = (cx.name().to_string(), tell.clone());
            Box::pin(async move {
                tell.send((of.clone(), Instant::now())).unwrap();
                assert!(of != "a", "boom");
                Ok(Action::Resync)
            })
        }),
    );
    let mut ran = Vec::new();
    for _ in 0..4 {
        ran.push(told.recv().await.unwrap().0);
    }
    assert_eq!(
        ran.iter().filter(|of| *of == "a").count(),
        3,
        "tried again with growing delays"
    );
    let panicked = get(&store, "a").unwrap();
    assert_eq!(condition(&panicked, "Reconciled").unwrap().1, "Panicked");
    assert!(running.handle.metrics().panics >= 2);
    assert_eq!(
        condition(&get(&store, "b").unwrap(), "Reconciled")
            .unwrap()
            .1,
        "Succeeded"
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn loop_should_limit_a_run_and_cancel_at_declared_points_only() {
    let home = Home::new();
    let store = home.store();
    home.put("polite", 1);
    home.put("stuck", 1);
    let (tell, mut told) = mpsc::unbounded_channel();
    let settings = Settings {
        run_limit: 10 * SECOND,
        abandon_after: 100 * SECOND,
        ..by_timer()
    };
    let running = start_with(
        &home,
        &store,
        settings,
        does(move |cx| {
            let tell = tell.clone();
            Box::pin(async move {
                if cx.name().as_str() == "stuck" {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(30 * SECOND).await;
                tell.send("past an await that is not declared").unwrap();
                cx.checkpoint()?;
                tell.send("past the checkpoint").unwrap();
                Ok(Action::Resync)
            })
        }),
    );
    running.listed().await;
    assert_eq!(
        told.recv().await.unwrap(),
        "past an await that is not declared"
    );
    let asked = store.clone();
    until("both timed out", || {
        ["polite", "stuck"].iter().all(|of| {
            condition(&get(&asked, of).unwrap(), "Reconciled").is_some_and(|c| c.1 == "TimedOut")
        })
    })
    .await;
    assert!(running.handle.metrics().timeouts >= 2);
    running.shutdown.advance();
    running.shutdown.advance();
    running.task.await.unwrap().unwrap();
    while let Ok(said) = told.try_recv() {
        assert_ne!(said, "past the checkpoint");
    }
}
