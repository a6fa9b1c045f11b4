//! Upgrades of an app with data on a real Swarm, and their undoing.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;

use ci_warm_e2e::{
    LIMIT, Operator, Registry, Scene, Variant, VolumeHash, free_port, http, wait_for, wait_until,
};

const V1: &str = "1.0.0+1.0";
const V2: &str = "1.1.0+1.1";
const UPGRADED: &str = "upgraded:1.0.0+1.0->1.1.0+1.1";
const ROLLED_BACK: &str = "rolled-back:1.1.0+1.1->1.0.0+1.0";

/// Version 1 deployed by the operator, with two records in its volume.
fn deployed(name: &str, more: &str) -> (Scene, Operator) {
    let scene = Scene::new(name);
    scene.publish(V1, &Variant::v1());
    scene.declare(&scene.quick_warm_app(more));
    let operator = scene.operator();
    scene.wait_for_result(&format!("deployed:{V1}"));
    scene.wait_for_version("1");
    scene.add_record("first");
    scene.add_record("second");
    (scene, operator)
}

#[track_caller]
fn expect_rolled_back(scene: &Scene, before: &VolumeHash, cause: &str) {
    scene.wait_for_result(ROLLED_BACK);
    scene.wait_for_version("1");
    assert_eq!(
        scene.docker().volume_hash(&scene.volume()),
        *before,
        "the bytes from before"
    );
    assert_eq!(scene.records(), ["first", "second"]);
    let alert = scene.wait_for_alert("rolled-back", "");
    assert_eq!(alert["recovered"], true, "{alert}");
    assert_eq!(alert["attempted"], V2, "{alert}");
    assert_eq!(alert["last_good"], V1, "{alert}");
    scene.wait_for_condition("RolledBack", "True", "RolledBack");
    scene.wait_for_condition(cause, "True", cause);
    scene.wait_for_ready("False", "RolledBack");
    scene.wait_for_condition("Available", "True", "RolledBack");
    assert_eq!(scene.status_field("version").as_deref(), Some(V1));
}

#[test]
fn a_good_upgrade_should_keep_the_data_and_leave_a_snapshot() {
    let (scene, _operator) = deployed("good", "  data: { retain: 1 }");
    let commit = scene.status_field("commit").unwrap();
    scene.offer(V2, &Variant::v2());
    scene.wait_for_result(UPGRADED);
    scene.wait_for_version("2");
    scene.wait_for_ready("True", "Healthy");
    assert_eq!(scene.records(), ["first", "second"]);
    assert_eq!(scene.status_field("version").as_deref(), Some(V2));

    let names = wait_for("one Snapshot", LIMIT, || match scene.snapshot_objects() {
        names if names.len() == 1 => Ok(names),
        names => Err(format!("{names:?}")),
    });
    assert_eq!(scene.said("/snapshot"), names[0]);
    let status = scene.wait_for_snapshot(&names[0], "readyToUse: true");
    for part in [
        "version: 1.0.0+1.0",
        &format!("commit: {commit}"),
        "restoreSize: ",
        "cleanStop: true",
        "sealedAt: ",
        &format!("name: {}", scene.volume()),
    ] {
        let plain = status.replace(['"', '\''], "");
        assert!(plain.contains(part), "{part}:\n{status}");
    }

    // The next upgrade leaves its own, and one is kept.
    scene.offer("1.2.0+1.2", &Variant::v2());
    scene.wait_for_result("upgraded:1.1.0+1.1->1.2.0+1.2");
    wait_for("the older Snapshot to go", LIMIT, || {
        let (objects, copies) = (scene.snapshot_objects(), scene.copies());
        if objects.len() == 1 && objects != names && copies == objects {
            Ok(())
        } else {
            Err(format!("{objects:?} {copies:?}"))
        }
    });
    assert_eq!(scene.records(), ["first", "second"]);
}

#[test]
fn a_release_that_the_engine_fails_on_should_be_undone_when_its_time_is_over() {
    let (scene, _operator) = deployed("nonsense", "");
    let before = scene.docker().volume_hash(&scene.volume());
    // The engine has an internal error for this, as if trying again could help.
    let draft = scene
        .recipe()
        .version(V2, &scene.rig().image(&Variant::v1_1()));
    draft
        .replace(
            "endpoint_mode: dnsrr",
            "placement: { constraints: [\"no constraint\"] }\n      endpoint_mode: dnsrr",
        )
        .publish();
    scene.ask("reconcile");
    expect_rolled_back(&scene, &before, "DeployFailed");
}

#[test]
fn a_release_that_only_its_probe_refuses_should_be_undone_with_its_data() {
    let (scene, _operator) = deployed("gate", "");
    let before = scene.docker().volume_hash(&scene.volume());
    // The failed release brings a volume of its own, and writes to it.
    let (image, port) = (scene.rig().image(&Variant::v2_broken()), free_port());
    let more = format!(
        "\n  more:\n    image: {image}\n    volumes: [\"extra:/data\"]\n    \
         ports: [{{ target: 8080, published: {port}, protocol: tcp, mode: host }}]\n    \
         deploy: {{ endpoint_mode: dnsrr }}\n\nvolumes:\n  data:\n  extra:\n"
    );
    let draft = scene.recipe().version(V2, &image);
    draft.replace("\nvolumes:\n  data:\n", &more).publish();
    scene.ask("reconcile");
    scene.wait_for_version("2");
    scene.add_record("only the failed release knows this");
    assert_ne!(
        scene.docker().volume_hash(&scene.volume()),
        before,
        "the failed release rewrote the data"
    );
    let extra = format!("{}_extra", scene.stack());
    wait_for(
        "the failed release to write to its own volume",
        LIMIT,
        || match http::post(port, "/records", "new") {
            Ok(answer) if answer.status == 201 => Ok(()),
            seen => Err(format!("{seen:?}\n{}", scene.tasks())),
        },
    );

    expect_rolled_back(&scene, &before, "HealthGateFailed");
    assert!(
        scene.docker().volumes(&scene.stack()).contains(&extra),
        "no volume is removed"
    );
    let left: Vec<_> = fs::read_dir(scene.docker().volume_path(&extra))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "emptied: {left:?}");
    assert_eq!(
        scene.docker().services(&scene.stack()),
        [format!("{}_app", scene.stack())]
    );
    // What the failed release left is set aside, for a person.
    let aside = scene.list(&format!("instances/{}/aside", scene.stack()));
    let operation = aside
        .iter()
        .find(|name| !name.ends_with(".restored"))
        .unwrap();
    let aside = scene.instance().join("aside").join(operation);
    let data = fs::read(aside.join(scene.volume()).join("records.v2")).unwrap();
    assert!(
        data.windows(11).any(|part| part == b"only the fa"),
        "the failed data is kept"
    );
    assert!(aside.join(&extra).join("records.v2").exists());

    // It is not tried again by itself.
    let untouched = scene.deployed();
    scene.ask("reconcile");
    scene.wait_for_status("quarantined");
    assert_eq!(scene.deployed(), untouched);
}

#[test]
fn an_image_that_cannot_be_pulled_should_be_refused_before_anything_stops() {
    let registry = Registry::start();
    let (scene, _operator) = deployed("nopull", "");
    let untouched = scene.deployed();
    let before = scene.docker().volume_hash(&scene.volume());
    let missing = format!("127.0.0.1:{}/records:none", registry.port());
    scene.recipe().publish(V2, &missing);
    scene.ask("reconcile");
    scene.wait_for_result("refused:1.0.0+1.0->1.1.0+1.1");
    scene.wait_for_alert("refused", &missing);
    scene.wait_for_ready("False", "ImagePullFailed");
    scene.wait_for_condition("Available", "True", "ImagePullFailed");
    assert_eq!(scene.deployed(), untouched);
    assert_eq!(scene.docker().volume_hash(&scene.volume()), before);
    assert!(scene.copies().is_empty());
}

#[test]
fn tasks_that_cannot_start_should_be_undone() {
    let (scene, _operator) = deployed("reject", "");
    let before = scene.docker().volume_hash(&scene.volume());
    let image = scene.rig().image(&Variant::v2());
    scene
        .recipe()
        .version(V2, &image)
        .replace(
            "    stop_grace_period",
            "    entrypoint: [\"/no-such-program\"]\n    stop_grace_period",
        )
        .publish();
    scene.ask("reconcile");
    scene.wait_for_result(ROLLED_BACK);
    let fault = scene
        .wait_for_alert("rolled-back", "no-such-program")
        .to_string();
    let cause = if fault.contains("DeployFailed") {
        "DeployFailed"
    } else {
        "TasksFailing"
    };
    expect_rolled_back(&scene, &before, cause);
}

#[test]
fn a_placement_that_no_node_meets_should_be_undone() {
    let (scene, _operator) = deployed("place", "");
    let before = scene.docker().volume_hash(&scene.volume());
    let image = scene.rig().image(&Variant::v2());
    scene
        .recipe()
        .version(V2, &image)
        .replace("      endpoint_mode", "      placement: { constraints: [\"node.labels.nowhere == yes\"] }\n      endpoint_mode")
        .publish();
    scene.ask("reconcile");
    scene.wait_for_result(ROLLED_BACK);
    expect_rolled_back(&scene, &before, "DeployFailed");
    scene.wait_for_alert("rolled-back", "no suitable node");
}

#[test]
fn tasks_that_keep_failing_should_be_undone_before_the_deadline() {
    let (scene, _operator) = deployed("crash", "");
    let slow = scene
        .quick_warm_app("")
        .replace("deadline: 20s", "deadline: 10m");
    scene.declare(&slow);
    scene.wait_for_status("observedGeneration: 2");
    let before = scene.docker().volume_hash(&scene.volume());
    let crash = Variant::custom(
        "crash-2",
        &["--version", "2", "--format", "2", "--crash", "3"],
    );
    scene.offer(V2, &crash);
    expect_rolled_back(&scene, &before, "TasksFailing");
}

#[test]
fn an_upgrade_should_be_undone_when_all_that_made_the_old_release_is_gone() {
    let mut registry = Registry::start();
    let scene = Scene::new("gone");
    let (one, two) = (
        registry.push(scene.rig(), &Variant::v1(), "1"),
        registry.push(scene.rig(), &Variant::v2_broken(), "2"),
    );
    scene.recipe().publish(V1, &one);
    scene.declare(
        &scene
            .quick_warm_app("")
            .replace("env: {", "env: { TIMEOUT: \"111\","),
    );
    let _operator = scene.operator();
    scene.wait_for_result(&format!("deployed:{V1}"));
    scene.add_record("first");
    scene.add_record("second");
    let label = format!("coop-cloud.{}.timeout", scene.stack());
    assert_eq!(scene.app_label(&label), "111");
    let before = scene.docker().volume_hash(&scene.volume());

    // The manifest and the version change together, so nothing but the stored release has the 111.
    scene.recipe().publish(V2, &two);
    scene.declare(
        &scene
            .quick_warm_app("")
            .replace("env: {", "env: { TIMEOUT: \"222\","),
    );
    scene.wait_for_version("2");
    scene.recipe().remove_tag(V1);
    scene.recipe().delete();
    fs::remove_dir_all(scene.root().join("recipes")).unwrap();
    registry.stop();
    scene.declare("this is no manifest: [");
    assert_eq!(scene.app_label(&label), "222");

    expect_rolled_back(&scene, &before, "HealthGateFailed");
    assert_eq!(scene.app_label(&label), "111");
    drop(registry);
}

#[test]
fn a_failure_that_the_spec_does_not_roll_back_should_wait_for_a_person() {
    let only = "  rollback: { on: [DeployFailed, TasksFailing] }";
    let (scene, _operator) = deployed("stuck", only);
    scene.offer(V2, &Variant::v2_broken());
    scene.wait_for_result(&format!("deploy-failed:{V2}"));
    scene.wait_for_condition("Stalled", "True", "HealthGateFailed");
    scene.wait_for_ready("False", "HealthGateFailed");
    scene.wait_for_alert("deploy-failed", "rollback.on does not name it");
    assert_eq!(scene.records(), ["first", "second"]);
    assert_eq!(scene.copies().len(), 1, "the snapshot is kept");
    let untouched = scene.deployed();
    let data = scene.docker().volume_hash(&scene.volume());
    scene.ask("reconcile");
    wait_until("the request to be taken", LIMIT, || {
        scene
            .list(&format!("requests/warmapps/{}", scene.app()))
            .is_empty()
    });
    scene.wait_for_condition("Stalled", "True", "HealthGateFailed");
    assert_eq!(scene.deployed(), untouched);
    assert_eq!(scene.docker().volume_hash(&scene.volume()), data);

    // Mended by a person, and taken up again.
    scene.post("/health", "200").unwrap();
    scene.ask("retry");
    scene.wait_for_result(UPGRADED);
    scene.wait_for_ready("True", "Healthy");
    assert_eq!(scene.deployed(), untouched);
}

#[test]
fn a_rollback_without_its_data_should_stop_and_keep_everything() {
    let (scene, _operator) = deployed("corrupt", "");
    let before = scene.docker().volume_hash(&scene.volume());
    scene.offer(V2, &Variant::v2_broken());
    scene.wait_for_version("2");
    let copies = scene.copies();
    let sealed = scene
        .instance()
        .join("snapshots")
        .join(&copies[0])
        .join("volumes")
        .join(scene.volume())
        .join("records.v1");
    let (whole, time) = (
        fs::read(&sealed).unwrap(),
        fs::metadata(&sealed).unwrap().modified().unwrap(),
    );
    fs::write(&sealed, b"not what was sealed\n").unwrap();
    let failed = scene.docker().volume_hash(&scene.volume());
    scene.wait_for_result("rollback-failed:1.1.0+1.1->1.0.0+1.0");
    scene.wait_for_ready("False", "RollbackFailed");
    let alert = scene.wait_for_alert("rollback-failed", "going back failed");
    assert_eq!(alert["recovered"], false, "{alert}");
    scene.wait_for_condition("Stalled", "True", "RestoreFailed");
    assert_eq!(
        scene.docker().volume_hash(&scene.volume()),
        failed,
        "the data is as it was left"
    );
    assert_eq!(scene.copies(), copies);
    assert!(scene.docker().services(&scene.stack()).is_empty());
    scene.ask("reconcile");
    wait_until("the request to be taken", LIMIT, || {
        scene
            .list(&format!("requests/warmapps/{}", scene.app()))
            .is_empty()
    });
    scene.wait_for_condition("Stalled", "True", "RestoreFailed");
    assert!(
        scene.docker().services(&scene.stack()).is_empty(),
        "no further step by itself"
    );

    // A person puts the copy right, and the way back goes on.
    fs::write(&sealed, whole).unwrap();
    let file = fs::File::options().write(true).open(&sealed).unwrap();
    file.set_modified(time).unwrap();
    scene.ask("retry");
    expect_rolled_back(&scene, &before, "HealthGateFailed");
}

#[test]
fn a_volume_of_an_older_release_should_outlive_a_rollback() {
    let scene = Scene::new("left");
    let (one, port) = (scene.rig().image(&Variant::v1()), free_port());
    let more = format!(
        "\n  old:\n    image: {one}\n    volumes: [\"old:/data\"]\n    \
         ports: [{{ target: 8080, published: {port}, protocol: tcp, mode: host }}]\n    \
         deploy: {{ endpoint_mode: dnsrr }}\n\nvolumes:\n  data:\n  old:\n"
    );
    let draft = scene.recipe().version(V1, &one);
    draft.replace("\nvolumes:\n  data:\n", &more).publish();
    scene.declare(&scene.quick_warm_app(""));
    let _operator = scene.operator();
    scene.wait_for_result(&format!("deployed:{V1}"));
    http::post(port, "/records", "of the older release").unwrap();
    scene.add_record("first");
    scene.add_record("second");
    scene.offer("1.0.1+1.0", &Variant::v1());
    scene.wait_for_result("upgraded:1.0.0+1.0->1.0.1+1.0");
    let old = format!("{}_old", scene.stack());
    let (before, kept) = (
        scene.docker().volume_hash(&scene.volume()),
        scene.docker().volume_hash(&old),
    );

    let crash = Variant::custom(
        "crash-2",
        &["--version", "2", "--format", "2", "--crash", "3"],
    );
    scene.offer(V2, &crash);
    scene.wait_for_result("rolled-back:1.1.0+1.1->1.0.1+1.0");
    assert_eq!(scene.docker().volume_hash(&scene.volume()), before);
    assert_eq!(scene.docker().volume_hash(&old), kept);
}

#[test]
fn an_app_without_volumes_should_be_upgraded_and_undone_as_any_other() {
    let scene = Scene::new("empty");
    let publish = |version: &str, variant: &Variant| {
        let draft = scene.recipe().version(version, &scene.rig().image(variant));
        draft
            .replace(
                "    volumes:\n      - \"data:/data\"\n",
                "    volumes: [{ type: tmpfs, target: /data }]\n",
            )
            .replace("\nvolumes:\n  data:\n", "")
            .publish();
    };
    publish(V1, &Variant::v1());
    scene.declare(&scene.quick_warm_app(""));
    let _operator = scene.operator();
    scene.wait_for_result(&format!("deployed:{V1}"));
    publish("1.0.1+1.0", &Variant::v1_1());
    scene.ask("reconcile");
    scene.wait_for_result("upgraded:1.0.0+1.0->1.0.1+1.0");
    publish(V2, &Variant::crash());
    scene.ask("reconcile");
    scene.wait_for_result("rolled-back:1.1.0+1.1->1.0.1+1.0");
    scene.wait_for_version("1.1");
}

#[test]
fn a_snapshot_that_a_person_asks_for_should_wait_until_nothing_runs() {
    let (scene, _operator) = deployed("person", "");
    scene.declare_snapshot("early", "");
    let status = scene.wait_for_snapshot("early", "readyToUse: false");
    assert!(status.contains("is deployed"), "{status}");
    assert!(scene.copies().is_empty());
    assert!(scene.records().len() == 2, "the app was left alone");

    // Taken away, with the data left where it is.
    scene.ccctl().run(&["delete", &scene.object()]);
    scene.wait_for_no_services();
    let before = scene.docker().volume_hash(&scene.volume());
    scene.declare_snapshot("kept", "  deletionPolicy: Retain\n");
    let status = scene
        .wait_for_snapshot("kept", "readyToUse: true")
        .replace('"', "");
    for part in [
        "version: 1.0.0+1.0",
        "commit: ",
        "restoreSize: ",
        &format!("name: {}", scene.volume()),
    ] {
        assert!(status.contains(part), "{part}:\n{status}");
    }
    scene.wait_for_snapshot("early", "readyToUse: true");
    assert_eq!(scene.copies(), ["early", "kept"]);
    assert_eq!(scene.docker().volume_hash(&scene.volume()), before);

    for name in ["early", "kept"] {
        fs::remove_file(scene.root().join(format!("snapshots/{name}.yaml"))).unwrap();
        wait_until("the Snapshot to go", LIMIT, || {
            scene.snapshot_status(name).is_empty()
        });
    }
    assert_eq!(scene.copies(), ["kept"]);
}

#[test]
fn a_restore_that_was_killed_should_be_finished_before_anything_starts() {
    let (scene, operator) = deployed("killed", "");
    let block = "x".repeat(1_000_000);
    for _ in 0..150 {
        scene.add_record(&block);
    }
    let before = scene.docker().volume_hash(&scene.volume());
    let path = scene.docker().volume_path(&scene.volume());
    let marker = path.with_file_name("._data.ci-warm-restoring");
    scene.offer(V2, &Variant::v2_broken());
    scene.wait_for_version("2");
    let mut operator = Some(operator);
    for _ in 0..2 {
        let end = std::time::Instant::now() + LIMIT;
        while !marker.exists() {
            assert!(
                std::time::Instant::now() < end,
                "no restore: {}",
                scene.operator_log()
            );
            std::thread::yield_now();
        }
        operator.take().unwrap().kill();
        assert!(marker.exists(), "killed in the middle");
        assert!(scene.docker().services(&scene.stack()).is_empty());
        operator = Some(scene.operator());
    }
    while marker.exists() {
        assert!(
            scene.docker().containers(&scene.stack()).is_empty(),
            "nothing starts on data that is half put back"
        );
    }
    scene.wait_for_result(ROLLED_BACK);
    scene.wait_for_version("1");
    assert_eq!(scene.docker().volume_hash(&scene.volume()), before);
    assert_eq!(scene.alerts_for("rolled-back").len(), 1);
    let left = fs::read_dir(path.parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["_data"], "nothing is left beside the volume");
}
