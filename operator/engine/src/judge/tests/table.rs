//! Reads the tables of the judge's tests.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::judge::{Rules, Submission, service};
use crate::task::Task;
use crate::view::StackView;

/// The clock of all tables starts here; times are seconds from it. The submission is at 100, the look at 200.
pub(super) const BASE: i64 = 1_800_000_000;
pub(super) const SINCE: i64 = 100;
pub(super) const NOW: i64 = 200;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BASE + second).unwrap()
}

/// What a table may say about the service.
#[derive(Default)]
pub(super) struct Given<'a> {
    pub(super) mode: Option<Value>,
    pub(super) restart: Option<Value>,
    /// State and start second.
    pub(super) update: Option<(&'a str, i64)>,
    pub(super) job: Option<u64>,
}

pub(super) fn replicas(count: u64) -> Given<'static> {
    Given {
        mode: Some(json!({ "Replicated": { "Replicas": count } })),
        ..Given::default()
    }
}

pub(super) fn spec(given: &Given<'_>) -> Value {
    let mut spec = json!({ "Name": "s_a", "TaskTemplate": { "ContainerSpec": { "Image": "i" }, "Placement": {} } });
    if let Some(mode) = &given.mode {
        spec["Mode"] = mode.clone();
    }
    if let Some(restart) = &given.restart {
        spec["TaskTemplate"]["RestartPolicy"] = restart.clone();
    }
    spec
}

/// One task per line: `place spec state desired created [state_at] [error…]`.
///
/// `place` is a slot or `node:<id>`, with `@n` for a job's iteration; `spec` is `new` or `old`. Times in seconds.
pub(super) fn tasks(table: &str) -> Vec<(Value, bool)> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(number, line)| {
            let mut words = line.split_whitespace();
            let mut word = || words.next().unwrap();
            let (place, which, state, desired) = (word(), word(), word(), word());
            let created: i64 = word().parse().unwrap();
            let rest: Vec<&str> = words.collect();
            let (state_at, error) = match rest.first().and_then(|first| first.parse::<i64>().ok()) {
                Some(second) => (second, rest[1..].join(" ")),
                None => (created, rest.join(" ")),
            };
            let (place, iteration) = place.split_once('@').map_or((place, None), |(a, b)| (a, b.parse::<u64>().ok()));
            let mut task = json!({
                "ID": format!("t{number:02}"), "Version": { "Index": 1 }, "ServiceID": "id-a",
                "CreatedAt": at(created), "UpdatedAt": at(created), "DesiredState": desired, "Spec": {},
                "Status": { "Timestamp": at(state_at), "State": state, "Message": "m", "Err": error },
            });
            match place.strip_prefix("node:") {
                Some(node) => task["NodeID"] = json!(node),
                None => task["Slot"] = json!(place.parse::<u64>().unwrap()),
            }
            if let Some(iteration) = iteration {
                task["JobIteration"] = json!({ "Index": iteration });
            }
            (task, which == "new")
        })
        .collect()
}

pub(super) fn view(given: &Given<'_>, table: &str) -> StackView {
    let mut service = json!({
        "ID": "id-a", "Version": { "Index": 9 }, "CreatedAt": at(0), "UpdatedAt": at(SINCE), "Spec": spec(given),
        "UpdateStatus": {},
    });
    if let Some((state, started)) = given.update {
        service["UpdateStatus"] =
            json!({ "State": state, "StartedAt": at(started), "Message": "told" });
    }
    if let Some(iteration) = given.job {
        service["JobStatus"] = json!({ "JobIteration": { "Index": iteration } });
    }
    let mut view = StackView {
        services: vec![serde_json::from_value(service).unwrap()],
        ..StackView::default()
    };
    for (task, current) in tasks(table) {
        let task: Task = serde_json::from_value(task).unwrap();
        if current {
            view.current.insert(task.id.clone());
        }
        view.tasks.push(task);
    }
    view
}

pub(super) fn check(given: &Given<'_>, table: &str, want: &str) {
    let submission = Submission {
        spec: spec(given),
        since: at(SINCE),
    };
    let got = service(&view(given, table), &submission, at(NOW), &Rules::default()).to_string();
    assert!(
        got.starts_with(want),
        "\n{table}\n got: {got}\nwant: {want}"
    );
}
