//! What keeps a version from being taken, and what is done meanwhile.
#![allow(clippy::unwrap_used, missing_docs)]

use ci_warm_e2e::{LIMIT, Scene, Variant, wait_for, wait_until};

const STATELESS: &str = "  data: { snapshot: Never }";
const STATEFUL: &str = "  data: { snapshot: BeforeUpgrade }";

/// An operator over an app that runs 1.0.0+1.0.
fn running(name: &str, more: &str) -> (Scene, ci_warm_e2e::Operator) {
    let scene = Scene::new(name);
    scene.publish("1.0.0+1.0", &Variant::v1());
    scene.apply_quick(more);
    let operator = scene.operator();
    scene.wait_for_result("deployed:1.0.0+1.0");
    (scene, operator)
}

/// Nothing is done for a held version, one alert says so, and the app stays as it is.
#[track_caller]
fn should_hold(scene: &Scene, word: &str, reason: &str, to: &str) {
    let before = scene.deployed();
    scene.reconcile();
    scene.wait_for_result(&format!("{word}:1.0.0+1.0->{to}"));
    let message = scene.wait_for_condition("Held", "True", reason);
    assert!(message.contains(to), "{message}");
    scene.wait_for_ready("True", "Healthy");
    for _ in 0..3 {
        scene.reconcile();
    }
    let alerts = scene.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["reason"], word);
    assert_eq!(alerts[0]["app"], scene.app());
    assert_eq!(alerts[0]["attempted"], to);
    assert_eq!(alerts[0]["last_good"], "1.0.0+1.0");
    assert_eq!(scene.said("/held/version"), to);
    assert_eq!(scene.said("/version"), "1.0.0+1.0");
    assert_eq!(scene.deployed(), before, "the app was touched");
}

#[test]
fn a_major_version_of_the_recipe_should_wait_while_the_app_lives_and_minors_are_taken() {
    let (scene, _operator) = running("major", STATELESS);
    scene.publish("2.0.0+1.0", &Variant::v1_1());
    should_hold(&scene, "held-major", "MajorVersion", "2.0.0+1.0");

    // It is kept alive all the same.
    scene
        .docker()
        .run(&["service", "rm", &format!("{}_app", scene.stack())]);
    scene.wait_for_result("redeployed:1.0.0+1.0");
    scene.wait_for_version("1");
    scene.wait_for_condition("Held", "True", "MajorVersion");
    scene.wait_for_ready("True", "Healthy");
    scene.post("/die", "3").unwrap();
    wait_until("it to die", LIMIT, || scene.get("/version").is_err());
    scene.wait_for_version("1");
    scene.wait_for_ready("True", "Healthy");

    // Beside a held version the newest that is not held is taken.
    scene.publish("1.1.0+1.0", &Variant::v1());
    scene.publish("1.2.0+1.1", &Variant::v1_1());
    scene.reconcile();
    scene.wait_for_result("upgraded:1.0.0+1.0->1.2.0+1.1");
    scene.wait_for_version("1.1");
    scene.wait_for_condition("Held", "True", "MajorVersion");
    assert_eq!(scene.said("/held/version"), "2.0.0+1.0");
    scene.reconcile();
    scene.wait_for_result("held-major:1.2.0+1.1->2.0.0+1.0");
    assert_eq!(scene.alerts_for("held-major").len(), 1);

    // Exactly the approved one is let through.
    scene.publish("3.0.0+1.0", &Variant::v1());
    scene
        .ccctl()
        .run(&["approve", &scene.object(), "2.0.0+1.0"]);
    scene.wait_for_result("upgraded:1.2.0+1.1->2.0.0+1.0");
    scene.reconcile();
    scene.wait_for_result("held-major:2.0.0+1.0->3.0.0+1.0");
    assert_eq!(scene.said("/version"), "2.0.0+1.0");
    assert_eq!(scene.alerts_for("held-major").len(), 2);
}

#[test]
fn a_version_that_is_held_beside_one_that_is_taken_should_be_told_at_once() {
    let (scene, _operator) = running("beside", STATELESS);
    scene.publish("1.1.0+1.1", &Variant::v1_1());
    scene.publish("2.0.0+1.1", &Variant::v1());
    scene.reconcile();
    scene.wait_for_result("upgraded:1.0.0+1.0->1.1.0+1.1");
    scene.wait_for_condition("Held", "True", "MajorVersion");
    let alerts = scene.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["reason"], "held-major");
    assert_eq!(alerts[0]["attempted"], "2.0.0+1.1");
    assert_eq!(alerts[0]["last_good"], "1.1.0+1.1");
    scene.reconcile();
    scene.wait_for_result("held-major:1.1.0+1.1->2.0.0+1.1");
    assert_eq!(scene.alerts().len(), 1);
}

#[test]
fn a_major_version_of_the_app_should_wait() {
    let (scene, _operator) = running("appmajor", STATELESS);
    scene.publish("1.1.0+2.0", &Variant::v1_1());
    should_hold(&scene, "held-major", "MajorVersion", "1.1.0+2.0");
    let said = scene.ccctl().run(&["approve", &scene.object()]);
    assert!(said.contains("1.1.0+2.0"), "{said}");
    scene.wait_for_result("upgraded:1.0.0+1.0->1.1.0+2.0");
    scene.wait_for_condition("Held", "False", "NothingHeld");
}

#[test]
fn notes_of_a_skipped_version_should_hold_the_ones_after_it() {
    let (scene, operator) = running("notes", STATELESS);
    let image = scene.rig().image(&Variant::v1_1());
    scene
        .recipe()
        .version("1.1.0+1.1", &image)
        .notes("This release needs a manual migration of the database.")
        .publish();
    scene
        .recipe()
        .version("1.2.0+1.2", &image)
        .notes("Fixes.")
        .publish();
    should_hold(
        &scene,
        "held-manual-migration",
        "ManualMigration",
        "1.2.0+1.2",
    );
    let message = scene.condition("Held").unwrap().message;
    assert!(message.contains("1.1.0+1.1"), "{message}");
    let notes = scene.alerts()[0]["release_notes"].to_string();
    assert!(notes.contains("manual migration"), "{notes}");

    // A new process tells nobody twice.
    assert!(operator.stop().success());
    let _operator = scene.operator();
    scene.reconcile();
    assert_eq!(scene.alerts().len(), 1);
}

#[test]
fn a_rotated_secret_should_wait_where_the_data_knows_the_old_one() {
    let scene = Scene::new("secret");
    let with_secret = |version: &str, secret: &str| {
        scene
            .recipe()
            .version(version, &scene.rig().image(&Variant::v1()))
            .env(&format!("SECRET_DB_PASSWORD_VERSION={secret} # length=32"))
            .replace("    ports:\n", "    secrets: [ db_password ]\n    ports:\n")
            .edit("compose.yml", |text| {
                format!(
                    "{text}\nsecrets:\n  db_password:\n    external: true\n    name: ${{STACK_NAME}}_db_password_${{SECRET_DB_PASSWORD_VERSION}}\n"
                )
            })
            .publish()
    };
    with_secret("1.0.0+1.0", "v1");
    scene.apply_quick(STATEFUL);
    let _operator = scene.operator();
    scene.wait_for_result("deployed:1.0.0+1.0");
    scene.add_record("kept");
    with_secret("1.1.0+1.0", "v2");
    should_hold(
        &scene,
        "held-secret-rotation",
        "SecretRotation",
        "1.1.0+1.0",
    );
    let secrets = || {
        scene.docker().run(&[
            "secret",
            "ls",
            "--format",
            "{{.Name}}",
            "--filter",
            &format!("name={}_", scene.stack()),
        ])
    };
    assert_eq!(secrets(), format!("{}_db_password_v1", scene.stack()));
    assert_eq!(scene.records(), ["kept"]);
    scene.ccctl().run(&["approve", &scene.object()]);
    scene.wait_for_result("upgraded:1.0.0+1.0->1.1.0+1.0");
    assert_eq!(scene.records(), ["kept"]);
    assert!(secrets().contains("_db_password_v2"));
}

#[test]
fn a_release_that_failed_should_not_be_tried_again_until_something_changes() {
    let (scene, _operator) = running("quarantine", STATELESS);
    scene.publish("1.1.0+1.1", &Variant::crash());
    scene.reconcile();
    scene.wait_for_result("rolled-back:1.1.0+1.1->1.0.0+1.0");
    scene.wait_for_version("1");
    scene.wait_for_ready("False", "RolledBack");
    assert!(scene.said("/quarantined").contains("1.1.0+1.1"));
    assert_eq!(scene.alerts_for("rolled-back").len(), 1);
    let before = scene.deployed();
    for _ in 0..2 {
        scene.reconcile();
        assert_eq!(scene.said("/result"), "rolled-back:1.1.0+1.1->1.0.0+1.0");
    }
    assert_eq!(scene.deployed(), before);

    // With another environment it is another release.
    scene.write(
        &format!("warmapps/{}.yaml", scene.app()),
        &scene
            .quick_warm_app(STATELESS)
            .replace("env: {", "env: { TIMEOUT: \"61\","),
    );
    wait_for("a second attempt", LIMIT, || {
        match scene.alerts_for("rolled-back").len() {
            2 => Ok(()),
            seen => Err(format!("{seen} alerts\n{:#}", scene.standing())),
        }
    });
    // What ran goes on with the new environment: that is a release of its own.
    scene.wait_for_version("1");

    // A person wants it tried again.
    scene.ccctl().run(&["retry", &scene.object()]);
    wait_for("a third attempt", LIMIT, || {
        match scene.alerts_for("rolled-back").len() {
            3 => Ok(()),
            seen => Err(format!("{seen} alerts\n{:#}", scene.standing())),
        }
    });

    // The next version is not to blame.
    scene.publish("1.2.0+1.1", &Variant::v1_1());
    scene.reconcile();
    scene.wait_for_version("1.1");
    wait_for("the upgrade", LIMIT, || {
        let seen = scene.said("/result");
        if seen.starts_with("upgraded:1.0.0+1.0->1.2.0+1.1") {
            Ok(())
        } else {
            Err(seen)
        }
    });
    scene.wait_for_ready("True", "Healthy");
}

#[test]
fn the_policy_should_bound_what_is_taken() {
    let scene = Scene::new("policy");
    scene.publish("1.0.0+1.0", &Variant::v1());
    scene.publish("1.1.0+1.1", &Variant::v1_1());
    scene.publish("1.2.0+1.2", &Variant::v1());
    scene.recipe().git(&["tag", "nightly"]);
    let policy = |version: &str| {
        scene.apply_quick(&format!("{STATELESS}\n  version: \"{version}\""));
    };
    policy("~1.1");
    let _operator = scene.operator();
    scene.wait_for_result("deployed:1.1.0+1.1");
    scene.wait_for_version("1.1");
    assert_eq!(scene.said("/unparsableTags"), "1");
    assert_eq!(scene.said("/latest"), "1.1.0+1.1");
    scene.publish("1.1.1+1.1", &Variant::v1());
    scene.reconcile();
    scene.wait_for_result("upgraded:1.1.0+1.1->1.1.1+1.1");
    policy("1.2.0+1.2");
    scene.wait_for_result("upgraded:1.1.1+1.1->1.2.0+1.2");
    // Where there is no data an older one may run.
    policy("1.1.0+1.1");
    scene.wait_for_result("upgraded:1.2.0+1.2->1.1.0+1.1");
    scene.wait_for_version("1.1");

    // The tag of what runs is gone: no reason to leave it.
    scene.recipe().remove_tag("1.1.0+1.1");
    let before = scene.deployed();
    scene.reconcile();
    scene.wait_for_result("noop-healthy:1.1.0+1.1");
    scene.wait_for_condition("RecipeAvailable", "True", "Fetched");
    assert_eq!(scene.deployed(), before);

    // The recipe's host is gone: the mirror is what there is, and the app lives.
    scene.recipe().delete();
    scene.reconcile();
    let said = scene.wait_for_condition("RecipeAvailable", "False", "RemoteUnreachable");
    assert!(said.contains("mirror"), "{said}");
    scene.wait_for_ready("True", "Healthy");
    assert_eq!(scene.deployed(), before);
    scene
        .docker()
        .run(&["service", "rm", &format!("{}_app", scene.stack())]);
    scene.wait_for_result("redeployed:1.1.0+1.1");
    scene.wait_for_version("1.1");
}

#[test]
fn an_older_release_should_be_refused_where_there_is_data() {
    let scene = Scene::new("downgrade");
    scene.publish("1.0.0+1.0", &Variant::v1());
    scene.publish("1.1.0+1.1", &Variant::v1_1());
    scene.apply_quick(STATEFUL);
    let _operator = scene.operator();
    scene.wait_for_result("deployed:1.1.0+1.1");
    scene.wait_for_version("1.1");
    scene.add_record("kept");
    let before = scene.deployed();
    scene.apply_quick(&format!("{STATEFUL}\n  version: 1.0.0+1.0"));
    scene.wait_for_result("refused:1.1.0+1.1->1.0.0+1.0");
    scene.wait_for_condition("Ready", "False", "DowngradeRefused");
    scene.wait_for_condition("Available", "True", "DowngradeRefused");
    scene.reconcile();
    let alerts = scene.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["reason"], "refused");
    let message = alerts[0]["message"].as_str().unwrap();
    assert!(message.contains("DowngradeRefused"), "{message}");
    assert_eq!(scene.deployed(), before);
    assert_eq!(scene.records(), ["kept"]);
    scene.apply_quick(STATEFUL);
    scene.wait_for_result("noop-healthy:1.1.0+1.1");
    scene.wait_for_ready("True", "Healthy");
}

#[test]
fn a_change_of_env_or_secrets_should_pass_the_same_gate() {
    let scene = Scene::new("env");
    scene
        .recipe()
        .version("1.0.0+1.0", &scene.rig().image(&Variant::v1()))
        .env("APP_PORT=8080\nSECRET_TOKEN_VERSION=v1 # length=16")
        .replace("- PORT=8080", "- PORT=${APP_PORT}")
        .replace("    ports:\n", "    secrets: [ token ]\n    ports:\n")
        .edit("compose.yml", |text| {
            format!(
                "{text}\nsecrets:\n  token:\n    external: true\n    name: ${{STACK_NAME}}_token_${{SECRET_TOKEN_VERSION}}\n"
            )
        })
        .publish();
    scene.apply_quick(STATEFUL);
    let _operator = scene.operator();
    scene.wait_for_result("deployed:1.0.0+1.0");
    scene.wait_for_version("1");
    scene.add_record("kept");
    let with = |env: &str, secrets: &str| {
        let manifest = scene.quick_warm_app(&format!("{STATEFUL}\n{secrets}"));
        scene.declare(&manifest.replace("env: {", &format!("env: {{ {env}")));
    };
    let last = || scene.said("/result");
    let wait_for_move = |verb: &str, not: &str| {
        wait_for(&format!("{verb} of the configuration"), LIMIT, || {
            let seen = last();
            let moved = seen
                .strip_prefix(&format!("{verb}:1.0.0+1.0#"))
                .and_then(|rest| rest.split_once("->1.0.0+1.0#"));
            match moved {
                Some((from, to)) if from != to && seen != not => Ok(seen.clone()),
                _ => Err(format!("{seen}\n{}", scene.operator_log())),
            }
        })
    };
    with("TIMEOUT: \"61\",", "");
    let first = wait_for_move("upgraded", "");
    scene.wait_for_version("1");
    assert_eq!(scene.records(), ["kept"]);

    // One with which it cannot run.
    with("APP_PORT: none,", "");
    wait_for_move("rolled-back", "");
    scene.wait_for_version("1");
    scene.wait_for_ready("False", "RolledBack");
    assert_eq!(scene.records(), ["kept"]);
    assert_eq!(scene.alerts_for("rolled-back").len(), 1);

    // A secret from a file is another configuration.
    let file = scene.path("token");
    std::fs::write(&file, "from a person").unwrap();
    with(
        "TIMEOUT: \"61\", SECRET_TOKEN_VERSION: v2,",
        &format!("  secrets: {{ token: {{ fromFile: {} }} }}", file.display()),
    );
    let second = wait_for_move("upgraded", &first);
    assert_ne!(first, second);
    scene.wait_for_ready("True", "Healthy");
    assert_eq!(scene.records(), ["kept"]);
    let secrets = scene
        .docker()
        .run(&["secret", "ls", "--format", "{{.Name}}"]);
    for version in ["v1", "v2"] {
        let name = format!("{}_token_{version}", scene.stack());
        assert!(secrets.contains(&name), "no {name} in {secrets}");
    }
}
