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
    let alert = scene.wait_for_alert("rolled-back", "\"recovered\"");
    for part in [
        "\"recovered\": true",
        "\"attempted\": \"1.1.0+1.1\"",
        "\"last_good\": \"1.0.0+1.0\"",
    ] {
        let squeezed = part.replace(": ", ":");
        assert!(
            alert.contains(part) || alert.contains(&squeezed),
            "{part}: {alert}"
        );
    }
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
    scene.wait_for_ready("True", "Healthy");
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
    let fault = scene.wait_for_alert("rolled-back", "no-such-program");
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
    assert!(scene.alerts("rolled-back")[0].contains("no suitable node"));
}

#[test]
fn tasks_that_keep_failing_should_be_undone_before_the_deadline() {
    let (scene, _operator) = deployed("crash", "");
    let slow = scene.quick_warm_app("").replace("deadline: 20s", "deadline: 10m");
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
            .quick("")
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
            .quick("")
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
    assert!(
        alert.replace(' ', "").contains("\"recovered\":false"),
        "{alert}"
    );
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
