//! Judgement of what a real Swarm makes of a deployment.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_support;

use ci_warm_engine::judge::{Condition, Failure, is_same_spec};
use ci_warm_engine::{ContainerFilter, UpdateState};
use engine_support::{Stack, until};
use serde_json::json;

#[tokio::test]
async fn good_service_should_converge_update_and_go() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &["sleep"]);
    spec["Mode"]["Replicated"]["Replicas"] = json!(2);
    let first = stack.submit(&spec).await;
    assert_eq!(
        stack.settled(std::slice::from_ref(&first)).await,
        Condition::Converged
    );

    spec["TaskTemplate"]["ContainerSpec"]["Env"] = json!(["A=1"]);
    let second = stack.submit(&spec).await;
    assert_eq!(stack.settled(&[second]).await, Condition::Converged);
    let view = stack.engine.view(&stack.name).await.unwrap();
    let running: Vec<_> = view
        .tasks
        .iter()
        .filter(|task| !task.state.is_over())
        .collect();
    assert_eq!(running.len(), 2);
    for task in running {
        assert_eq!(task.spec["ContainerSpec"]["Env"], json!(["A=1"]));
    }
    // The first submission is history.
    let stale = stack.judge(&[first]).await.condition;
    let at = "/TaskTemplate/ContainerSpec/Env".to_owned();
    assert_eq!(
        stale,
        Condition::Failed {
            why: Failure::SpecReplaced { at }
        }
    );

    stack.undeploy().await;
    let left = stack
        .engine
        .containers(ContainerFilter::Stack(&stack.name))
        .await
        .unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn no_replicas_should_converge_when_the_last_task_has_ended() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &["sleep"]);
    let submission = stack.submit(&spec).await;
    assert_eq!(stack.settled(&[submission]).await, Condition::Converged);
    spec["Mode"]["Replicated"]["Replicas"] = json!(0);
    let submission = stack.submit(&spec).await;
    assert_eq!(stack.settled(&[submission]).await, Condition::Converged);
    let containers = stack
        .engine
        .containers(ContainerFilter::Stack(&stack.name))
        .await
        .unwrap();
    assert!(
        containers
            .iter()
            .all(|container| container.state != "running"),
        "{containers:?}"
    );
}

#[tokio::test]
async fn missing_image_should_fail() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &[]);
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("127.0.0.1:1/none:9");
    let submission = stack.submit(&spec).await;
    let condition = stack.settled(&[submission]).await;
    let Condition::Failed {
        why: Failure::ImageRejected { message },
    } = condition
    else {
        panic!("{condition}")
    };
    assert!(message.contains("none:9"), "{message}");
}

#[tokio::test]
async fn crash_loop_should_be_found_and_forgotten_by_the_next_submission() {
    let stack = Stack::new().await;
    let submission = stack.submit(&stack.spec("app", &["exit", "3"])).await;
    let condition = stack.settled(&[submission]).await;
    let Condition::CrashLooping {
        failures,
        last_error,
    } = condition
    else {
        panic!("{condition}")
    };
    assert!(failures >= 3);
    assert!(last_error.contains("non-zero exit (3)"), "{last_error}");

    let submission = stack.submit(&stack.spec("app", &["sleep"])).await;
    assert_eq!(stack.settled(&[submission]).await, Condition::Converged);
}

#[tokio::test]
async fn service_that_ends_well_for_ever_should_be_a_crash_loop() {
    let stack = Stack::new().await;
    let submission = stack.submit(&stack.spec("app", &["exit", "0"])).await;
    let condition = stack.settled(&[submission]).await;
    assert!(
        matches!(condition, Condition::CrashLooping { .. }),
        "{condition}"
    );
}

#[tokio::test]
async fn placement_that_no_node_satisfies_should_be_unschedulable() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &["sleep"]);
    spec["TaskTemplate"]["Placement"] = json!({ "Constraints": ["node.labels.nowhere==yes"] });
    let submission = stack.submit(&spec).await;
    let condition = stack.settled(&[submission]).await;
    let Condition::Unschedulable { message } = condition else {
        panic!("{condition}")
    };
    assert!(message.contains("no suitable node"), "{message}");
}

#[tokio::test]
async fn rollback_by_swarm_should_be_a_failure() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &["sleep"]);
    spec["UpdateConfig"]["FailureAction"] = json!("rollback");
    let good = stack.submit(&spec).await;
    assert_eq!(
        stack.settled(std::slice::from_ref(&good)).await,
        Condition::Converged
    );

    let mut bad = spec.clone();
    bad["TaskTemplate"]["ContainerSpec"]["Args"] = json!(["exit", "3"]);
    let submission = stack.submit(&bad).await;
    let condition = stack.settled(&[submission]).await;
    assert!(
        matches!(
            condition,
            Condition::Failed {
                why: Failure::RolledBackBySwarm { .. }
            }
        ),
        "{condition}"
    );

    until("the rollback to complete", async || {
        let service = stack
            .engine
            .service(spec["Name"].as_str().unwrap())
            .await
            .unwrap()
            .unwrap();
        let status = service.update_status.clone().ok_or("no status")?;
        if status.state == UpdateState::RollbackCompleted {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    // Going back needs nothing sent: what is there is the good spec, and the old rollback is not held against it.
    let mut back = good;
    back.since = stack.engine.info().await.unwrap().time;
    assert_eq!(stack.settled(&[back]).await, Condition::Converged);
}

#[tokio::test]
async fn paused_update_should_be_a_failure() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &["sleep"]);
    let submission = stack.submit(&spec).await;
    assert_eq!(stack.settled(&[submission]).await, Condition::Converged);
    spec["TaskTemplate"]["ContainerSpec"]["Args"] = json!(["exit", "3"]);
    let submission = stack.submit(&spec).await;
    let condition = stack.settled(&[submission]).await;
    assert!(
        matches!(
            condition,
            Condition::Failed {
                why: Failure::UpdatePaused { .. }
            }
        ),
        "{condition}"
    );
}

#[tokio::test]
async fn spent_attempts_should_be_a_failure() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &["exit", "3"]);
    spec["TaskTemplate"]["RestartPolicy"] =
        json!({ "Condition": "on-failure", "MaxAttempts": 1, "Delay": 100_000_000 });
    let submission = stack.submit(&spec).await;
    let condition = stack.settled(&[submission]).await;
    assert!(
        matches!(
            condition,
            Condition::Failed {
                why: Failure::GaveUp { .. }
            }
        ),
        "{condition}"
    );
}

#[tokio::test]
async fn one_shot_should_converge_when_it_ended_well() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &["exit", "0", "300"]);
    spec["TaskTemplate"]["RestartPolicy"] = json!({ "Condition": "on-failure" });
    let submission = stack.submit(&spec).await;
    assert_eq!(
        stack.settled(std::slice::from_ref(&submission)).await,
        Condition::Converged
    );
    until("the task to end", async || {
        let view = stack.engine.view(&stack.name).await.unwrap();
        if view.tasks.iter().all(|task| task.state.is_over()) {
            Ok(())
        } else {
            Err(format!("{view:?}"))
        }
    })
    .await;
    assert_eq!(stack.settled(&[submission]).await, Condition::Converged);
}

#[tokio::test]
async fn jobs_should_converge_when_complete() {
    let stack = Stack::new().await;
    let job = |name: &str, mode, code| {
        let mut spec = stack.spec(name, &["exit", code, "200"]);
        spec["Mode"] = mode;
        spec.as_object_mut()
            .unwrap()
            .retain(|key, _| !key.ends_with("Config"));
        spec
    };
    let replicated = stack
        .submit(&job(
            "a",
            json!({ "ReplicatedJob": { "TotalCompletions": 3 } }),
            "0",
        ))
        .await;
    let global = stack
        .submit(&job("b", json!({ "GlobalJob": {} }), "0"))
        .await;
    assert_eq!(
        stack.settled(&[replicated.clone(), global]).await,
        Condition::Converged
    );

    // The same job again is another iteration, although its spec is the same but for a counter.
    let mut again = replicated.spec;
    again["TaskTemplate"]["ForceUpdate"] = json!(1);
    let again = stack.submit(&again).await;
    assert_eq!(stack.settled(&[again]).await, Condition::Converged);
    let service = stack
        .engine
        .service(&stack.id("a").await.0)
        .await
        .unwrap()
        .unwrap();
    let view = stack.engine.view(&stack.name).await.unwrap();
    let ran = view
        .tasks
        .iter()
        .filter(|task| task.service == service.id && task.job_iteration == service.job_iteration);
    assert_eq!(ran.count(), 3);

    let failing = stack
        .submit(&job("c", json!({ "ReplicatedJob": {} }), "4"))
        .await;
    let condition = stack.settled(&[failing]).await;
    assert!(
        matches!(condition, Condition::CrashLooping { .. }),
        "{condition}"
    );
    stack.undeploy().await;
}

#[tokio::test]
async fn undeploy_should_end_with_jobs_that_swarm_forgets() {
    let stack = Stack::new().await;
    let mut done = stack.spec("done", &["exit", "0"]);
    let mut busy = stack.spec("busy", &["sleep"]);
    for spec in [&mut done, &mut busy] {
        spec["Mode"] = json!({ "ReplicatedJob": {} });
        spec.as_object_mut()
            .unwrap()
            .retain(|key, _| !key.ends_with("Config"));
    }
    let done = stack.submit(&done).await;
    assert_eq!(stack.settled(&[done]).await, Condition::Converged);
    stack.submit(&busy).await;
    until("the job to run", async || {
        let containers = stack
            .engine
            .containers(ContainerFilter::Stack(&stack.name))
            .await
            .unwrap();
        let running = containers
            .iter()
            .any(|container| container.state == "running");
        if running {
            Ok(())
        } else {
            Err(format!("{containers:?}"))
        }
    })
    .await;
    stack.undeploy().await;
    let left = stack
        .engine
        .containers(ContainerFilter::Stack(&stack.name))
        .await
        .unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn global_service_should_converge() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &["sleep"]);
    spec["Mode"] = json!({ "Global": {} });
    let submission = stack.submit(&spec).await;
    assert_eq!(stack.settled(&[submission]).await, Condition::Converged);
}

#[tokio::test]
async fn stored_spec_should_be_recognised_as_the_submitted_one() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &["sleep"]);
    spec["EndpointSpec"] = json!({ "Ports": [ { "TargetPort": 80, "PublishMode": "host" } ] });
    spec["TaskTemplate"]["ContainerSpec"] = json!({
        "Image": engine_support::image(), "Args": ["sleep"], "Labels": stack.labels(),
        "Privileges": { "CredentialSpec": null, "SELinuxContext": null },
        "Env": ["A=1", "B"], "Hosts": ["10.0.0.1 x"], "Init": true, "StopSignal": "SIGINT",
        "Healthcheck": { "Test": ["CMD", "/app", "exit", "0"], "Retries": 3, "Interval": 1_000_000_000_i64, "StartInterval": 5 },
        "Mounts": [ { "Type": "volume", "Source": format!("{}_data", stack.name), "Target": "/data", "VolumeOptions": { "Labels": stack.labels() } } ],
        "Ulimits": [ { "Name": "nofile", "Soft": 100, "Hard": 200 } ], "CapabilityAdd": ["CAP_NET_ADMIN"],
        "Sysctls": { "net.core.somaxconn": "100" }, "DNSConfig": { "Nameservers": ["10.0.0.2"] },
    });
    spec["TaskTemplate"]["Resources"] =
        json!({ "Limits": { "MemoryBytes": 64_000_000 }, "Reservations": {} });
    spec["TaskTemplate"]["LogDriver"] =
        json!({ "Name": "json-file", "Options": { "max-size": "1m" } });
    let submission = stack.submit(&spec).await;
    let service = stack
        .engine
        .service(spec["Name"].as_str().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert!(
        is_same_spec(&submission.spec, &service.spec),
        "{:#}",
        service.spec
    );
    assert_eq!(
        service.spec["TaskTemplate"]["ContainerSpec"]["Healthcheck"]["Retries"],
        json!(3)
    );
    assert_eq!(stack.settled(&[submission]).await, Condition::Converged);
    stack.undeploy().await;
    stack
        .engine
        .remove_volume(&format!("{}_data", stack.name))
        .await
        .unwrap();
}
