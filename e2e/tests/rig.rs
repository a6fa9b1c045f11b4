//! What the other tests stand on, tried on its own: without the operator.
#![allow(clippy::unwrap_used, missing_docs)]

use ci_warm_e2e::{LIMIT, Registry, Rig, Scene, Variant, wait_for, wait_until};

#[test]
fn an_app_keeps_records_in_its_volume() {
    let scene = Scene::new("keep");
    scene.publish("1.0.0+1", &Variant::v1());
    scene.stack_deploy().ok();
    scene.wait_for_version("1");
    assert_eq!(scene.get("/health").unwrap().body, "ok 1\n");

    let before = scene.docker().volume_hash(&scene.volume());
    scene.add_record("first");
    scene.add_record("second");
    assert_eq!(scene.records(), ["first", "second"]);
    assert_eq!(
        std::fs::read_to_string(scene.in_volume("records.v1")).unwrap(),
        "first\nsecond\n"
    );
    assert_ne!(scene.docker().volume_hash(&scene.volume()), before);

    // What is compared to see that nothing was done does not change by itself, and does when something is done.
    let docker = scene.docker();
    let (versions, tasks) = (
        docker.service_versions(&scene.stack()),
        docker.task_ids(&scene.stack()),
    );
    assert_eq!((versions.len(), tasks.len()), (1, 1));
    assert_eq!(docker.service_versions(&scene.stack()), versions);
    docker.run(&[
        "service",
        "update",
        "--force",
        "--quiet",
        &format!("{}_app", scene.stack()),
    ]);
    assert_ne!(docker.service_versions(&scene.stack()), versions);
    wait_until("another task", LIMIT, || {
        docker.task_ids(&scene.stack()).is_disjoint(&tasks)
    });
    wait_for("the data to be there again", LIMIT, || {
        match scene.get("/records") {
            Ok(answer) if answer.body == "first\nsecond\n" => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });

    docker.stack_rm(&scene.stack());
    assert!(docker.task_ids(&scene.stack()).is_empty());
    assert_eq!(docker.volumes(&scene.stack()), [scene.volume()]);
}

#[test]
fn the_second_version_migrates_and_the_first_refuses_its_data() {
    let scene = Scene::new("migrate");
    scene.publish("1.0.0+1", &Variant::v1());
    scene.stack_deploy().ok();
    scene.wait_for_version("1");
    scene.add_record("kept");

    scene.publish("2.0.0+2", &Variant::v2());
    scene.stack_deploy().ok();
    scene.wait_for_version("2");
    assert_eq!(scene.records(), ["kept"]);
    assert!(!scene.in_volume("records.v1").exists());

    scene.publish("2.0.1+1", &Variant::v1());
    scene.stack_deploy().ok();
    wait_for("version 1 to fail", LIMIT, || {
        let tasks = scene.tasks();
        if tasks.contains("non-zero exit (1)") {
            Ok(())
        } else {
            Err(tasks)
        }
    });
    let log = scene.docker().try_run(&[
        "service",
        "logs",
        "--raw",
        &format!("{}_app", scene.stack()),
    ]);
    assert!(log.stderr.contains("newer version"), "{log}");
}

#[test]
fn variants_behave_as_named() {
    let rig = Rig::get();
    let image = rig.image(&Variant::v1().declaring_volume("/anon"));
    let volumes = rig.docker().run(&[
        "image",
        "inspect",
        "--format",
        "{{json .Config.Volumes}}",
        &image,
    ]);
    assert_eq!(volumes, r#"{"/anon":{}}"#);
    let crash = rig.docker().try_run(&[
        "run",
        "--rm",
        "--tmpfs",
        "/data",
        &rig.image(&Variant::crash()),
    ]);
    assert_eq!(crash.code, Some(3), "{crash}");

    let scene = Scene::new("broken");
    scene.publish("1.0.0+1", &Variant::v2_broken());
    scene.stack_deploy().ok();
    scene.wait_for_version("2");
    assert_eq!(scene.get("/health").unwrap().status, 500);
    wait_for("it to converge all the same", LIMIT, || {
        let tasks = scene.tasks();
        if tasks.contains("Running Running") {
            Ok(())
        } else {
            Err(tasks)
        }
    });
    scene.post("/health", "204").unwrap();
    assert_eq!(scene.get("/health").unwrap().status, 204);
    scene.post("/die", "7").unwrap();
    wait_for("its death to be noticed", LIMIT, || {
        let tasks = scene.tasks();
        if tasks.contains("non-zero exit (7)") {
            Ok(())
        } else {
            Err(tasks)
        }
    });
}

#[test]
fn stops_are_quick_and_clean() {
    let docker = Rig::get().docker();
    let image = Rig::get().image(&Variant::v1());
    let id = docker.run(&["run", "--detach", "--tmpfs", "/data", &image]);
    wait_until("it to serve", LIMIT, || {
        docker.run(&["logs", &id]).contains("serving")
    });
    docker.run(&["stop", "--time", "60", &id]);
    assert_eq!(
        docker.run(&["inspect", "--format", "{{.State.ExitCode}}", &id]),
        "0"
    );
    docker.run(&["rm", &id]);
}

#[test]
fn a_registry_serves_what_was_pushed_until_it_is_down() {
    let rig = Rig::get();
    let mut registry = Registry::start();
    let image = registry.push(rig, &Variant::v1_1(), "1.1");
    rig.docker().run(&["pull", "--quiet", &image]);
    rig.docker().run(&["rmi", &image]);

    registry.stop();
    let refused = rig.docker().try_run(&["pull", "--quiet", &image]);
    assert!(refused.stderr.contains("connection refused"), "{refused}");
    registry.up();
    rig.docker().run(&["pull", "--quiet", &image]);
    rig.docker().run(&["rmi", &image]);
}
