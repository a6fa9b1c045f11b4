//! The Engine API against a real engine.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_support;

use std::time::Duration;

use ci_warm_engine::judge::Condition;
use ci_warm_engine::{
    ContainerFilter, ContainerId, ErrorClass, EventKind, Happened, Notice, ObjectKind, Removed,
    SwarmRole, SwarmState,
};
use engine_support::{Stack, engine, image, until};
use serde_json::json;

#[tokio::test]
async fn engine_should_say_who_it_is() {
    let engine = engine().await;
    let info = engine.info().await.unwrap();
    assert_eq!(
        (info.swarm, info.role),
        (SwarmState::Active, SwarmRole::Manager)
    );
    assert!(info.node_id.is_some());
    assert!(info.data_root.starts_with('/'));
    assert!(info.api_version.starts_with("1."));
    assert!(engine.node_count().await.unwrap() >= 1);
}

#[tokio::test]
async fn service_should_be_created_updated_in_sequence_and_removed() {
    let stack = Stack::new().await;
    let engine = &stack.engine;
    let mut spec = stack.spec("app", &["sleep"]);
    let id = engine.create_service(&spec, None).await.unwrap();
    let error = engine.create_service(&spec, None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Refused, "{error}");

    // A stack's overlay would move the version on its own; this one has none.
    let service = engine.service(&id.0).await.unwrap().unwrap();
    assert_eq!(service.stack(), Some(stack.name.as_str()));
    assert!(service.previous_spec.is_none() && service.update_status.is_none());
    assert!(
        engine.service(&id.0[..12]).await.unwrap().is_none(),
        "a prefix of an ID is no name"
    );

    spec["Labels"]["more"] = json!("yes");
    engine
        .update_service(&id, service.version, &spec, None)
        .await
        .unwrap();
    let error = engine
        .update_service(&id, service.version, &spec, None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), error.happened()),
        (ErrorClass::OutOfSequence, Happened::No),
        "{error}"
    );
    let updated = engine.service(&service.name).await.unwrap().unwrap();
    assert_eq!(updated.labels().get("more"), Some(&"yes"));
    assert_eq!(updated.previous_spec.as_ref(), Some(&service.spec));

    assert_eq!(engine.remove_service(&id).await.unwrap(), Removed::Now);
    assert_eq!(
        engine.remove_service(&id).await.unwrap(),
        Removed::WasAbsent
    );
    assert!(engine.service(&id.0).await.unwrap().is_none());
    assert!(engine.services(&stack.name).await.unwrap().is_empty());
    stack.undeploy().await;
}

#[tokio::test]
async fn containers_should_show_what_they_really_mount() {
    let stack = Stack::new().await;
    let engine = &stack.engine;
    let data = format!("{}_data", stack.name);
    let mut spec = stack.spec("app", &["sleep"]);
    spec["TaskTemplate"]["ContainerSpec"]["Mounts"] = json!([
        { "Type": "volume", "Source": data, "Target": "/data", "VolumeOptions": { "Labels": stack.labels() } },
        { "Type": "bind", "Source": "/tmp", "Target": "/host", "ReadOnly": true },
    ]);
    let submission = stack.submit(&spec).await;
    assert_eq!(stack.settled(&[submission]).await, Condition::Converged);

    assert_eq!(
        engine.image(image()).await.unwrap().unwrap().volumes,
        ["/declared"]
    );
    let volume = engine.volume(&data).await.unwrap().unwrap();
    assert_eq!(
        (volume.driver.as_str(), volume.scope.as_str()),
        ("local", "local")
    );
    assert!(volume.options.is_empty() && volume.mountpoint.starts_with('/'));
    assert_eq!(engine.volumes(&stack.name).await.unwrap(), [volume]);

    let users = engine
        .containers(ContainerFilter::Volume(&data))
        .await
        .unwrap();
    assert_eq!(users.len(), 1);
    assert_eq!(users[0].stack(), Some(stack.name.as_str()));
    let container = engine.container(&users[0].id).await.unwrap().unwrap();
    assert_eq!(
        (container.state.as_str(), container.exit_code),
        ("running", None)
    );
    let mut mounts: Vec<_> = container
        .mounts
        .iter()
        .map(|mount| (mount.destination.as_str(), mount.kind.as_str(), mount.rw))
        .collect();
    mounts.sort_unstable();
    assert_eq!(
        mounts,
        [
            ("/data", "volume", true),
            ("/declared", "volume", true),
            ("/host", "bind", false)
        ]
    );
    let anonymous = container
        .mounts
        .iter()
        .find(|mount| mount.destination == "/declared")
        .unwrap();
    assert_eq!(anonymous.name.len(), 64);

    let error = engine.remove_volume(&data).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Refused, "{error}");
    stack.undeploy().await;
    assert!(
        engine
            .containers(ContainerFilter::Volume(&data))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(engine.remove_volume(&data).await.unwrap(), Removed::Now);
    assert!(engine.volume(&data).await.unwrap().is_none());
    assert!(engine.container(&container.id).await.unwrap().is_none());
}

#[tokio::test]
async fn stopped_container_should_say_how_it_ended() {
    let stack = Stack::new().await;
    let mut spec = stack.spec("app", &["exit", "7"]);
    spec["TaskTemplate"]["RestartPolicy"] = json!({ "Condition": "none" });
    stack.submit(&spec).await;
    let ended = until("a container to end", async || {
        let containers = stack
            .engine
            .containers(ContainerFilter::Stack(&stack.name))
            .await
            .unwrap();
        containers
            .into_iter()
            .find(|container| container.state == "exited")
            .ok_or("none has".to_owned())
    })
    .await;
    let container = stack.engine.container(&ended.id).await.unwrap().unwrap();
    assert_eq!(
        (container.exit_code, container.oom_killed),
        (Some(7), false)
    );
}

#[tokio::test]
async fn secrets_and_configs_should_be_matched_by_their_whole_name() {
    let stack = Stack::new().await;
    for kind in [ObjectKind::Secret, ObjectKind::Config] {
        let name = format!("{}_key_v1", stack.name);
        let body = json!({ "Name": name, "Labels": stack.labels(), "Data": "aGVsbG8=" });
        let id = stack.engine.create_object(kind, &body).await.unwrap();
        let error = stack.engine.create_object(kind, &body).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Refused, "{error}");
        let found = stack.engine.object(kind, &name).await.unwrap().unwrap();
        assert_eq!((&found.id, &found.name), (&id, &name));
        let data = (kind == ObjectKind::Config).then_some("aGVsbG8=");
        assert_eq!(found.data.as_deref(), data);
        assert!(
            stack
                .engine
                .object(kind, &name[..name.len() - 1])
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(
            stack.engine.objects(kind, &stack.name).await.unwrap().len(),
            1
        );
        assert_eq!(
            stack.engine.remove_object(kind, &id).await.unwrap(),
            Removed::Now
        );
        assert_eq!(
            stack.engine.remove_object(kind, &id).await.unwrap(),
            Removed::WasAbsent
        );
        assert!(stack.engine.object(kind, &name).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn networks_should_be_created_found_and_removed() {
    let stack = Stack::new().await;
    let name = format!("{}_proxy", stack.name);
    let body = json!({
        "Name": name, "Driver": "overlay", "Attachable": true, "CheckDuplicate": true, "Labels": stack.labels(),
        "IPAM": { "Driver": "default", "Config": [ { "Subnet": "10.213.7.0/24" } ] },
    });
    let id = stack.engine.create_network(&body).await.unwrap();
    // Swarm allocates it a moment later; until then it has no driver.
    let network = until("the network to be allocated", async || {
        let network = stack.engine.network(&name).await.unwrap().unwrap();
        if network.driver.is_empty() {
            Err(format!("{network:?}"))
        } else {
            Ok(network)
        }
    })
    .await;
    assert_eq!(
        (&network.id, network.driver.as_str(), network.scope.as_str()),
        (&id, "overlay", "swarm")
    );
    assert!(network.attachable);
    assert_eq!(network.ipam["Config"][0]["Subnet"], "10.213.7.0/24");
    assert!(
        stack.engine.network(&id[..8]).await.unwrap().is_none(),
        "a prefix of an ID is no name"
    );
    assert_eq!(stack.engine.networks_named(&name).await.unwrap().len(), 1);
    assert!(
        stack
            .engine
            .networks_named(&name[..name.len() - 1])
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(stack.engine.networks(&stack.name).await.unwrap().len(), 1);
    assert_eq!(
        stack.engine.remove_network(&id).await.unwrap(),
        Removed::Now
    );
    until("the network to be gone", async || {
        match stack.engine.network(&name).await.unwrap() {
            None => Ok(()),
            Some(network) => Err(format!("{network:?}")),
        }
    })
    .await;
    assert_eq!(
        stack.engine.remove_network(&id).await.unwrap(),
        Removed::WasAbsent
    );
}

#[tokio::test]
async fn exec_should_bring_exit_code_and_output() {
    let stack = Stack::new().await;
    let submission = stack.submit(&stack.spec("app", &["sleep"])).await;
    assert_eq!(stack.settled(&[submission]).await, Condition::Converged);
    let containers = stack
        .engine
        .containers(ContainerFilter::Stack(&stack.name))
        .await
        .unwrap();
    let id = &containers[0].id;
    let limit = Duration::from_secs(20);

    let output = stack
        .engine
        .exec(id, &["/app", "say", "out", "err", "5"], limit)
        .await
        .unwrap();
    assert_eq!(
        (output.exit_code, output.stdout.text(), output.stderr.text()),
        (5, "out\n".into(), "err\n".into())
    );
    let output = stack
        .engine
        .exec(id, &["/app", "flood"], limit)
        .await
        .unwrap();
    assert!(output.stdout.dropped > 0 && output.stdout.text().ends_with("line 19999\n"));
    let output = stack.engine.exec(id, &["/missing"], limit).await.unwrap();
    assert!([126, 127].contains(&output.exit_code), "{output:?}");
    let error = stack
        .engine
        .exec(id, &["/app", "sleep"], Duration::from_millis(500))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::TimedOut, "{error}");
    let nobody = ContainerId("0".repeat(64));
    let error = stack
        .engine
        .exec(&nobody, &["/app"], limit)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Refused, "{error}");
}

#[tokio::test]
async fn events_should_follow_a_service_and_its_container() {
    let stack = Stack::new().await;
    let mut events = stack.engine.events().await.unwrap();
    assert_eq!(events.next().await.unwrap(), Notice::EventGap);
    let spec = stack.spec("app", &["sleep"]);
    let submission = stack.submit(&spec).await;
    let (mut service, mut container) = (None, None);
    let both = async {
        while service.is_none() || container.is_none() {
            let Notice::Event(event) = events.next().await.unwrap() else {
                panic!("a second gap")
            };
            match event.kind {
                EventKind::Service if event.name.as_deref() == spec["Name"].as_str() => {
                    service = Some(event);
                }
                EventKind::Container if event.stack.as_ref() == Some(&stack.name) => {
                    container = Some(event);
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(engine_support::PATIENCE, both)
        .await
        .unwrap();
    assert_eq!(service.unwrap().action, "create");
    assert!(container.unwrap().time >= submission.since);
}

#[tokio::test]
async fn image_should_be_tagged_and_a_failed_pull_should_say_why() {
    let engine = engine().await;
    let tag = format!("again{}", std::process::id());
    engine
        .tag(image(), "ci-warm-engine-test", &tag)
        .await
        .unwrap();
    let name = format!("ci-warm-engine-test:{tag}");
    let again = engine.image(&name).await.unwrap().unwrap();
    assert_eq!(again.id, engine.image(image()).await.unwrap().unwrap().id);
    engine_support::docker(&["rmi", &name]);
    assert!(engine.image(&name).await.unwrap().is_none());

    let error = engine.pull("127.0.0.1:1/none:9", None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Internal, "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}
