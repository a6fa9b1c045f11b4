//! Data that no snapshot can cover is refused by name, on a real Swarm, before anything is stopped.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;

use ci_warm_e2e::{Draft, Operator, Scene, Variant};

const V1: &str = "1.0.0+1.0";
const NAMES: &str = "\nvolumes:\n  data:\n";
const MOUNT: &str = "      - \"data:/data\"\n";

fn deployed(name: &str, more: &str) -> (Scene, Operator) {
    let scene = Scene::new(name);
    scene.publish(V1, &Variant::v1());
    scene.declare(&scene.quick_warm_app(more));
    let operator = scene.operator();
    scene.wait_for_result(&format!("deployed:{V1}"));
    scene.wait_for_version("1");
    scene.add_record("first");
    (scene, operator)
}

/// Version `1.<number>` of the recipe, to be changed.
fn draft<'a>(scene: &'a Scene, number: u32, variant: &Variant) -> Draft<'a> {
    let version = version(number);
    scene
        .recipe()
        .version(&version, &scene.rig().image(variant))
}

fn version(number: u32) -> String {
    format!("1.{number}.0+1.{number}")
}

/// Publishes it, and sees it refused with these words and nothing touched.
#[track_caller]
fn expect_refused(scene: &Scene, number: u32, draft: Draft<'_>, words: &[&str]) {
    draft.publish();
    expect_still_refused(scene, number, words);
}

#[track_caller]
fn expect_still_refused(scene: &Scene, number: u32, words: &[&str]) {
    let (before, data) = (
        scene.deployed(),
        scene.docker().volume_hash(&scene.volume()),
    );
    scene.ask("reconcile");
    let version = version(number);
    scene.wait_for_result(&format!("refused:{V1}->{version}"));
    let alert = scene.wait_for_alert("refused", &format!("\"attempted\":\"{version}\""));
    let message = alert["message"].as_str().unwrap();
    for word in words.iter().chain(&["DataNotCovered"]) {
        assert!(message.contains(word), "{word}: {message}");
    }
    assert_eq!(scene.deployed(), before, "nothing was stopped or sent");
    assert_eq!(scene.docker().volume_hash(&scene.volume()), data);
    assert!(scene.copies().is_empty());
    scene.wait_for_ready("False", "DataNotCovered");
    let ready = scene.condition("Ready").unwrap().message;
    assert!(ready.contains(&version), "{ready}");
    scene.wait_for_condition("Available", "True", "DataNotCovered");
}

#[test]
fn volumes_that_the_recipe_declares_and_no_copy_covers_should_be_refused() {
    let (scene, _operator) = deployed("declared", "");
    let stack = scene.stack();
    let v1 = Variant::v1();
    let odd = |options: &str| {
        draft(&scene, 1, &v1)
            .replace(MOUNT, &format!("{MOUNT}      - \"odd:/odd\"\n"))
            .replace(
                NAMES,
                &format!("{NAMES}  odd:\n    driver_opts: {options}\n"),
            )
    };
    let tmpfs = odd("{ type: tmpfs, device: tmpfs }");
    expect_refused(
        &scene,
        1,
        tmpfs,
        &[&format!("{stack}_odd"), "driver options"],
    );

    let anonymous = draft(&scene, 2, &v1).replace(MOUNT, &format!("{MOUNT}      - /anon\n"));
    expect_refused(&scene, 2, anonymous, &["/anon", "anonymous volume"]);

    let by_image = draft(&scene, 3, &Variant::v1().declaring_volume("/hidden"));
    expect_refused(&scene, 3, by_image, &["/hidden", "image declares"]);

    let bind = draft(&scene, 4, &v1)
        .replace(
            MOUNT,
            &format!("{MOUNT}      - type: volume\n        source: odd\n        target: /odd\n"),
        )
        .replace(
            NAMES,
            &format!("{NAMES}  odd:\n    driver_opts: {{ type: none, o: bind, device: /srv }}\n"),
        );
    expect_refused(
        &scene,
        4,
        bind,
        &[&format!("{stack}_odd"), "driver options"],
    );

    // What is covered is upgraded.
    draft(&scene, 5, &v1).publish();
    scene.ask("reconcile");
    scene.wait_for_result(&format!("upgraded:{V1}->{}", version(5)));
    assert_eq!(scene.records(), ["first"]);
}

#[test]
fn a_writable_path_of_the_host_should_be_refused_unless_it_is_exempt() {
    let (scene, _operator) = deployed("bind", "");
    let host = scene.path("host");
    fs::create_dir(&host).unwrap();
    let host = host.display().to_string();
    let mount = format!("{MOUNT}      - \"{host}:/host\"\n");
    let bind = draft(&scene, 1, &Variant::v1()).replace(MOUNT, &mount);
    expect_refused(&scene, 1, bind, &[&host, "spec.data.exempt"]);

    // Read-only there is nothing to cover.
    let mount = format!("{MOUNT}      - \"{host}:/host:ro\"\n");
    draft(&scene, 2, &Variant::v1())
        .replace(MOUNT, &mount)
        .publish();
    scene.ask("reconcile");
    scene.wait_for_result(&format!("upgraded:{V1}->{}", version(2)));

    let exempt = format!("  data: {{ exempt: [\"{host}\"] }}");
    scene.declare(&scene.quick_warm_app(&exempt));
    let mount = format!("{MOUNT}      - \"{host}/below:/host\"\n");
    fs::create_dir(format!("{host}/below")).unwrap();
    draft(&scene, 3, &Variant::v1())
        .replace(MOUNT, &mount)
        .publish();
    scene.ask("reconcile");
    scene.wait_for_history(&format!("upgraded:{}->{}", version(2), version(3)));
    // Also while it runs.
    draft(&scene, 4, &Variant::v1())
        .replace(MOUNT, &mount)
        .publish();
    scene.ask("reconcile");
    scene.wait_for_history(&format!("upgraded:{}->{}", version(3), version(4)));
    assert_eq!(scene.records(), ["first"]);
}

#[test]
fn data_that_others_use_should_be_refused_until_they_are_gone() {
    let (scene, _operator) = deployed("shared", "");
    let docker = scene.docker();
    // Another stack's volume, mounted by this one.
    let other = Scene::new("lender");
    other.publish(V1, &Variant::v1());
    other.stack_deploy().ok();
    other.wait_for_version("1");
    let theirs = other.volume();
    let shared = draft(&scene, 1, &Variant::v1())
        .replace(MOUNT, &format!("{MOUNT}      - \"theirs:/theirs\"\n"))
        .replace(
            NAMES,
            &format!("{NAMES}  theirs: {{ external: true, name: {theirs} }}\n"),
        );
    expect_refused(&scene, 1, shared, &[&theirs, &other.stack()]);

    // This stack's volume, held by a container of nobody's; one that has stopped holds it too.
    let (mount, image) = (
        format!("{}:/data", scene.volume()),
        scene.rig().image(&Variant::v1_1()),
    );
    let holder = format!("holder-{}", scene.app());
    docker.run(&["create", "--name", &holder, "-v", &mount, &image]);
    let held = draft(&scene, 2, &Variant::v1());
    expect_refused(&scene, 2, held, &[&scene.volume(), &holder]);
    docker.run(&["rm", &holder]);

    // This stack's volume, mounted by another stack.
    let borrower = Scene::new("borrower");
    let draft_of_borrower = borrower
        .recipe()
        .version(V1, &scene.rig().image(&Variant::v1()));
    draft_of_borrower
        .replace(
            NAMES,
            &format!(
                "\nvolumes:\n  data: {{ external: true, name: {} }}\n",
                scene.volume()
            ),
        )
        .publish();
    borrower.stack_deploy().ok();
    borrower.wait_for_version("1");
    let lent = draft(&scene, 3, &Variant::v1());
    expect_refused(&scene, 3, lent, &[&scene.volume(), &borrower.stack()]);
    docker.stack_rm(&borrower.stack());

    // The marker of a restore that another operation did not finish.
    let path = docker.volume_path(&scene.volume());
    let marker = path.with_file_name("._data.ci-warm-restoring");
    let text = format!(
        r#"{{"operation":"another-one","volume":"{}","role":"Emptied","phase":"Preparing","aside_dir":"/nowhere"}}"#,
        scene.volume()
    );
    fs::write(&marker, text).unwrap();
    let half = draft(&scene, 4, &Variant::v1());
    expect_refused(
        &scene,
        4,
        half,
        &[&scene.volume(), "another-one", "restore"],
    );
    fs::remove_file(&marker).unwrap();

    scene.ask("reconcile");
    scene.wait_for_result(&format!("upgraded:{V1}->{}", version(4)));
    assert_eq!(scene.records(), ["first"]);
}
