//! `get -w`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::host::{Host, app, name, relist};

/// A watch that is going on. It ends with the test.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(host: &Host, arguments: &[&str]) -> Self {
        let mut child = host
            .command(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line's words. The limit is only there so that a failure ends.
    fn next(&self) -> Vec<String> {
        let line = self.lines.recv_timeout(Duration::from_mins(1)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn watch_should_print_what_changes_and_nothing_else() {
    let host = Host::new();
    host.put("root/warmapps/a.yaml", &app("a", ""));
    let watch = Watch::start(&host, &["get", "wa", "-w"]);
    assert_eq!(watch.next()[..2], ["NAME", "VERSION"]);
    assert_eq!(watch.next(), ["a", "-", "-", "Unknown", "NotObserved", "-"]);

    // The status directory is new: the watch has to find it.
    let store = host.operator();
    assert_eq!(watch.next()[3..5], ["Unknown", "Reconciling"]);

    let uid = store.get(&name("a")).unwrap().meta.uid.clone();
    // An event and a comment change no line; what comes next is the version.
    host.put("root/warmapps/a.yaml", &(app("a", "") + "# comment\n"));
    store
        .update(&name("a"), &uid, |record, _| {
            record.status.observed_generation = record.meta.generation;
            record.status.own.version = Some("1.0.0+1".parse().unwrap());
        })
        .unwrap();
    assert_eq!(
        watch.next()[..5],
        ["a", "1.0.0+1", "-", "True", "Reconciled"]
    );

    host.put("root/warmapps/b.yaml", &app("b", ""));
    assert_eq!(watch.next()[..1], ["b"]);

    fs::remove_file(host.path("root/warmapps/b.yaml")).unwrap();
    assert_eq!(watch.next()[..5], ["b", "-", "-", "False", "Deleted"]);
    relist(&store);
}

#[test]
fn watch_should_follow_one_object_by_name() {
    let host = Host::new();
    fs::create_dir(host.path("root/warmapps")).unwrap();
    let watch = Watch::start(&host, &["get", "wa/b", "-w", "-o", "name"]);
    // Nothing is there to be printed yet. The other object never is.
    host.put("root/warmapps/a.yaml", &app("a", ""));
    host.put("root/warmapps/b.yaml", &app("b", ""));
    assert_eq!(watch.next(), ["warmapp/b"]);
}
