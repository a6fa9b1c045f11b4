//! Tables of tasks and what is said of them.

mod table;

use jiff::SignedDuration;
use serde_json::json;

use table::{Given, NOW, SINCE, at, check, replicas, spec, view};

use super::*;
use crate::service::ServiceId;

#[test]
fn replicas_should_all_run() {
    check(&replicas(1), "", "converging: 0/1 running");
    check(&replicas(1), "1 new running running 101", "converged");
    check(
        &replicas(2),
        "1 new running running 101",
        "converging: 1/2 running",
    );
    check(
        &replicas(2),
        "1 new running running 101\n2 new running running 101",
        "converged",
    );
    check(
        &replicas(1),
        "1 new preparing running 101",
        "converging: 0/1 running; task 1 (t00, preparing) is not running",
    );
    check(
        &replicas(1),
        "1 new starting running 101",
        "converging: 0/1 running",
    );
    // Without a mode it is one replica.
    check(&Given::default(), "1 new running running 101", "converged");
    // A running task that waits to be promoted does not exist, but one that is told to stop does.
    check(
        &replicas(1),
        "1 new running shutdown 101",
        "converging: 0/1 running",
    );
    check(
        &replicas(1),
        "1 new ready ready 101",
        "converging: 0/1 running",
    );
}

#[test]
fn no_replicas_should_wait_for_the_last_task() {
    check(&replicas(0), "", "converged");
    check(
        &replicas(0),
        "1 new running shutdown 50",
        "converging: task 1 (t00, running) of an earlier state",
    );
    check(&replicas(0), "1 new shutdown shutdown 50", "converged");
    check(
        &replicas(0),
        "1 new running running 50",
        "converging: 1/0 running",
    );
    check(
        &replicas(0),
        "1 old failed shutdown 50 task: non-zero exit (1)",
        "converged",
    );
}

#[test]
fn scaling_down_should_wait_for_the_surplus() {
    check(
        &replicas(1),
        "1 new running running 50\n2 new running remove 50",
        "converging: task 2 (t01, running) of an earlier state has not ended",
    );
    check(
        &replicas(1),
        "1 new running running 50\n2 new shutdown remove 50",
        "converged",
    );
}

#[test]
fn only_the_submitted_spec_should_count() {
    // The update was accepted, but Swarm has not begun.
    check(
        &replicas(1),
        "1 old running running 50",
        "converging: 0/1 running",
    );
    check(
        &replicas(1),
        "1 old running shutdown 50\n1 new running running 101",
        "converging: task 1 (t00, running) of an earlier state",
    );
    check(
        &replicas(1),
        "1 old shutdown shutdown 50\n1 new running running 101",
        "converged",
    );
    // start-first
    check(
        &replicas(1),
        "1 old running running 50\n1 new running running 101",
        "converging: task 1 (t00, running)",
    );
    // Failures of an older spec do not count, however late.
    check(
        &replicas(1),
        "1 old failed shutdown 110 e\n1 old failed shutdown 120 e\n1 old failed shutdown 130 e\n1 new running running 140",
        "converged",
    );
    // Failures of the same spec from before the submission do not count either: A, then B, then A again.
    check(
        &replicas(1),
        "1 new failed shutdown 10 e\n1 new failed shutdown 20 e\n1 new failed shutdown 30 e\n1 new starting running 101",
        "converging: 0/1 running; task 1 (t03, starting) is not running",
    );
}

#[test]
fn repeated_failures_should_be_a_crash_loop() {
    let twice = "1 new failed shutdown 101 task: non-zero exit (3)\n1 new failed shutdown 107 task: non-zero exit (3)";
    check(
        &replicas(1),
        &format!("{twice}\n1 new ready ready 113"),
        "converging: 0/1 running; task 1 (t02, ready) is not running yet after 2 failures: task: non-zero exit (3)",
    );
    let thrice = format!("{twice}\n1 new failed shutdown 113 task: non-zero exit (4)");
    check(
        &replicas(1),
        &format!("{thrice}\n1 new ready ready 119"),
        "crash loop, 3 failures: task: non-zero exit (4)",
    );
    // Up for the moment, up for long.
    check(
        &replicas(1),
        &format!("{thrice}\n1 new running running 119 195"),
        "converging: 0/1 running; task 1 (t03, running) runs again",
    );
    check(
        &replicas(1),
        &format!("{thrice}\n1 new running running 119 185"),
        "converged",
    );
    // Three replicas that each missed their database once are no loop.
    check(
        &replicas(3),
        "1 new failed shutdown 101 e\n2 new failed shutdown 101 e\n3 new failed shutdown 101 e\n\
         1 new running running 107\n2 new running running 107\n3 new starting running 107",
        "converging: 2/3 running; task 3 (t05, starting) is not running yet after 1 failures: e",
    );
    // One that exits at once is running for a moment, too.
    check(
        &replicas(1),
        "1 new running running 101 199",
        "converging: 0/1 running; task 1 (t00, running) has run for 1 s of 5 s",
    );
    check(
        &replicas(1),
        "1 new failed shutdown 101 e\n1 new running running 107 193",
        "converging: 0/1 running; task 1 (t01, running) runs again for 7 s of 10 s, after 1 failures",
    );
    // One slot loops while the other runs.
    check(
        &replicas(2),
        "1 new running running 101\n2 new failed shutdown 101 e\n2 new failed shutdown 107 e\n2 new failed shutdown 113 e\n2 new ready ready 119",
        "crash loop, 3 failures: e",
    );
    // Killed for its health check, before it ever ran.
    let sick = "task: non-zero exit (137): dockerexec: unhealthy container";
    check(
        &replicas(1),
        &format!(
            "1 new failed shutdown 101 {sick}\n1 new failed shutdown 107 {sick}\n1 new failed shutdown 113 {sick}\n1 new starting running 119"
        ),
        "crash loop, 3 failures: task: non-zero exit (137)",
    );
}

#[test]
fn clean_exits_should_depend_on_the_restart_policy() {
    let thrice = "1 new complete shutdown 101\n1 new complete shutdown 107\n1 new complete shutdown 113\n1 new ready ready 119";
    check(&replicas(1), thrice, "crash loop, 3 failures: m");
    for condition in ["none", "on-failure"] {
        let given = Given {
            restart: Some(json!({ "Condition": condition })),
            ..replicas(1)
        };
        check(&given, "1 new complete shutdown 101", "converged");
    }
    check(
        &replicas(1),
        "1 new complete running 101",
        "converging: 0/1 running; task 1 (t00, complete) ended: m",
    );
}

#[test]
fn missing_image_should_fail_at_once() {
    let rejected = "1 new rejected shutdown 101 No such image: res/nope:9\n1 new ready ready 102";
    check(
        &replicas(1),
        rejected,
        "failed: the image is not to be had: No such image: res/nope:9",
    );
    // Before the replacement was made: nothing is certain yet, but one look later it is.
    check(
        &replicas(1),
        "1 new rejected running 101 No such image: x",
        "converging: 0/1 running; task 1",
    );
    // It came after all.
    check(
        &replicas(1),
        "1 new rejected shutdown 101 No such image: x\n1 new running running 106",
        "converged",
    );
    // It was missing once, before this submission.
    check(
        &replicas(1),
        "1 new rejected shutdown 90 No such image: x\n1 new ready ready 102",
        "converging: 0/1",
    );
    let never = Given {
        restart: Some(json!({ "Condition": "none" })),
        ..replicas(1)
    };
    check(
        &never,
        "1 new rejected shutdown 101 No such image: x",
        "failed: the image is not to be had",
    );
}

#[test]
fn other_rejections_should_fail_when_repeated() {
    let bind = "invalid mount config for type \"bind\": bind source path does not exist: /x";
    let once = format!("1 new rejected shutdown 101 {bind}\n");
    check(
        &replicas(1),
        &format!("{once}1 new ready ready 102"),
        "converging: 0/1 running",
    );
    check(
        &replicas(1),
        &format!("{once}{once}{once}1 new ready ready 102"),
        "failed: the node refuses the task: invalid mount",
    );
}

#[test]
fn spent_attempts_should_be_a_failure() {
    let given = Given {
        restart: Some(json!({ "Condition": "any", "MaxAttempts": 2 })),
        ..replicas(1)
    };
    check(
        &given,
        "1 new failed shutdown 101 e\n1 new ready ready 106",
        "converging: 0/1 running",
    );
    check(
        &given,
        "1 new failed shutdown 101 e\n1 new failed running 106 e",
        "converging: 0/1 running",
    );
    check(
        &given,
        "1 new failed shutdown 101 e\n1 new failed shutdown 106 e",
        "failed: no attempt is left: e",
    );
    let never = Given {
        restart: Some(json!({ "Condition": "none" })),
        ..replicas(1)
    };
    check(
        &never,
        "1 new failed shutdown 101 e",
        "failed: no attempt is left: e",
    );
}

#[test]
fn unschedulable_should_wait_for_what_is_leaving() {
    let pending =
        "1 new pending running 101 no suitable node (host-mode port already in use on 1 node)";
    check(
        &replicas(1),
        pending,
        "unschedulable: no suitable node (host-mode port",
    );
    check(
        &replicas(1),
        &format!("1 old running shutdown 50\n{pending}"),
        "converging: no suitable node (host-mode port already in use on 1 node) until task 1 (t00, running) has ended",
    );
    check(
        &replicas(1),
        "1 new pending running 101",
        "converging: 0/1 running",
    );
}

#[test]
fn update_status_should_be_believed_when_it_is_of_this_submission() {
    let running = "1 new running running 101";
    let with = |state, started| Given {
        update: Some((state, started)),
        ..replicas(1)
    };
    check(
        &with("updating", 101),
        running,
        "converging: Swarm is still updating",
    );
    check(&with("completed", 101), running, "converged");
    check(&with("completed", 101), "", "converging: 0/1 running");
    check(
        &with("paused", 101),
        running,
        "failed: Swarm paused the update: told",
    );
    check(&with("paused", 50), running, "converged");
    check(
        &with("paused", 50),
        "",
        "failed: Swarm paused the update: told",
    );
    for state in ["rollback_started", "rollback_paused", "rollback_completed"] {
        check(
            &with(state, 101),
            running,
            "failed: Swarm went back to the previous spec: told",
        );
    }
    check(&with("rollback_completed", 50), running, "converged");
    check(&with("rollback_started", 50), "", "converging: 0/1 running");
    check(&with("rollback_paused", 50), "", "failed: Swarm went back");
}

#[test]
fn global_service_should_run_on_every_node_that_has_a_task() {
    let given = Given {
        mode: Some(json!({ "Global": {} })),
        ..Given::default()
    };
    check(&given, "", "converging: 0/0 nodes running");
    check(&given, "node:a new running running 101", "converged");
    check(
        &given,
        "node:a new running running 101\nnode:b new starting running 101",
        "converging: 1/2 nodes running",
    );
    check(
        &given,
        "node:a new running running 101\nnode:b new shutdown shutdown 101",
        "converged",
    );
    check(
        &given,
        "node:a new running running 101\nnode:b old running running 50",
        "converging: the task on node b",
    );
}

#[test]
fn jobs_should_be_judged_by_their_iteration() {
    let mode = json!({ "ReplicatedJob": { "MaxConcurrent": 1, "TotalCompletions": 2 } });
    let given = Given {
        mode: Some(mode),
        job: Some(7),
        ..Given::default()
    };
    check(&given, "", "converging: 0/2 complete");
    check(
        &given,
        "1@6 new complete complete 50\n2@6 new complete complete 50",
        "converging: 0/2 complete",
    );
    check(
        &given,
        "1@7 new complete complete 101\n2@7 new running complete 101",
        "converging: 1/2 complete",
    );
    check(
        &given,
        "1@7 new complete complete 101\n2@7 new complete complete 102",
        "converged",
    );
    let fail = "1@7 new failed shutdown 101 e\n";
    check(
        &given,
        &format!("{fail}{fail}{fail}1@7 new ready complete 101"),
        "crash loop, 3 failures: e",
    );

    let given = Given {
        mode: Some(json!({ "GlobalJob": {} })),
        job: Some(7),
        ..Given::default()
    };
    check(&given, "", "converging: 0/0 nodes complete");
    check(&given, "node:a@7 new complete complete 101", "converged");
    check(
        &given,
        "node:a@7 new complete complete 101\nnode:b@7 new running complete 101",
        "converging: 1/2 nodes",
    );
}

#[test]
fn what_is_not_ours_should_never_pass() {
    let given = replicas(1);
    let mut view = view(&given, "1 new running running 101");
    let submission = Submission {
        spec: spec(&given),
        since: at(SINCE),
    };
    let judge = |view: &StackView, submission: &Submission| {
        service(view, submission, at(NOW), &Rules::default()).to_string()
    };
    assert_eq!(judge(&view, &submission), "converged");

    let mut other = submission.clone();
    other.spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("j");
    let got = judge(&view, &other);
    assert!(
        got.ends_with("at /TaskTemplate/ContainerSpec/Image"),
        "{got}"
    );

    view.moved.insert("s_a".to_owned());
    assert!(judge(&view, &submission).starts_with("converging: the service changed"));
    view.services.clear();
    assert!(judge(&view, &submission).starts_with("failed: the service is gone"));
}

#[test]
fn stack_should_be_as_bad_as_its_worst_service() {
    let given = replicas(1);
    let view = view(&given, "1 new running running 101");
    let good = Submission {
        spec: spec(&given),
        since: at(SINCE),
    };
    let mut gone = good.clone();
    gone.spec["Name"] = json!("s_b");
    let judge = |submissions: &[Submission]| stack(&view, submissions, at(NOW), &Rules::default());

    assert_eq!(
        judge(std::slice::from_ref(&good)),
        Verdict {
            condition: Condition::Converged,
            service: None
        }
    );
    let worst = judge(&[good, gone]);
    assert_eq!(worst.service.as_deref(), Some("s_b"));
    assert_eq!(
        worst.condition,
        Condition::Failed {
            why: Failure::Missing
        }
    );
    assert_eq!(
        judge(&[]).condition,
        Condition::Failed {
            why: Failure::NothingSubmitted
        }
    );
}

#[test]
fn settled_should_be_counted_from_running() {
    let rules = Rules {
        settled: SignedDuration::from_secs(1000),
        ..Rules::default()
    };
    let given = replicas(1);
    let fail = "1 new failed shutdown 101 e\n";
    let view = view(
        &given,
        &format!("{fail}{fail}{fail}1 new running running 119 120"),
    );
    let submission = Submission {
        spec: spec(&given),
        since: at(SINCE),
    };
    let got = service(&view, &submission, at(NOW), &rules).to_string();
    assert!(
        got.contains("runs again for 80 s of 1000 s, after 3 failures"),
        "{got}"
    );
    assert_eq!(view.services[0].id, ServiceId("id-a".to_owned()));
}
