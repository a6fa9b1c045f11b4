//! A watch whose kernel queue overflows, for real. Alone in its program: the queue's length is the whole machine's setting, and
//! is as it was again before anything happens.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use ci_warm_runtime::*;
use common::*;

const LENGTH: &str = "/proc/sys/fs/inotify/max_queued_events";

/// Sets the queue's length back, whatever happens meanwhile.
struct Shortened(String);

impl Shortened {
    fn to(length: u32) -> Self {
        let before = fs::read_to_string(LENGTH).unwrap();
        fs::write(LENGTH, length.to_string()).expect("this test runs as root");
        Self(before)
    }
}

impl Drop for Shortened {
    fn drop(&mut self) {
        fs::write(LENGTH, self.0.trim()).unwrap();
    }
}

#[tokio::test]
async fn watch_should_lose_nothing_when_the_queue_overflows() {
    let home = Home::new();
    fs::create_dir(home.things()).unwrap();
    fs::write(home.things().join("x.txt"), "").unwrap();
    fs::write(home.things().join("y.txt"), "").unwrap();
    let store = home.store();
    let settings = Settings {
        // Without a timer that would help: what is seen is seen by the watch.
        relist: Duration::from_hours(20),
        ..Settings::default()
    };
    // A queue keeps the length that it was made with.
    let shortened = Shortened::to(16);
    let running = start_with(
        &home,
        &store,
        settings,
        does(|cx| {
            Box::pin(async move {
                cx.finish(cx.object().meta.generation).await?;
                Ok(Action::Resync)
            })
        }),
    );
    running.listed().await;
    drop(shortened);

    let (stop, things) = (Arc::new(AtomicBool::new(false)), home.things());
    // Opening is reported too, and faster done than read; two names, because the kernel folds equal reports.
    let noise: Vec<_> = (0..4)
        .map(|_| {
            let (stop, things) = (stop.clone(), things.clone());
            std::thread::spawn(move || {
                while !stop.load(SeqCst) {
                    fs::File::open(things.join("x.txt")).unwrap();
                    fs::File::open(things.join("y.txt")).unwrap();
                }
            })
        })
        .collect();
    let mut made = 0;
    until("the kernel's queue overflowed", || {
        if made < 50 {
            home.put(&format!("a{made}"), 1);
            made += 1;
        }
        running.handle.metrics().rescans > 0
    })
    .await;
    home.put("last", 1);
    stop.store(true, SeqCst);
    for thread in noise {
        thread.join().unwrap();
    }
    let names = (0..made)
        .map(|n| format!("a{n}"))
        .chain(["last".to_owned()]);
    for of in names {
        until(&format!("{of} is seen"), || {
            get(&store, &of).is_some_and(|record| record.status.observed_generation.0 == 1)
        })
        .await;
    }
    running.stop().await;
}
