//! Manifests with something wrong in them: said where and what, and nothing else suffers.
#![allow(clippy::unwrap_used, missing_docs)]

use ci_warm_e2e::{LIMIT, Scene, Variant, wait_for};

const STATELESS: &str = "  data: { snapshot: Never }";

/// A manifest with one line replaced; the place of that line and the line itself.
fn broken(good: &str, from: &str, to: &str) -> (String, usize) {
    assert!(good.contains(from), "{good}");
    let text = good.replace(from, to);
    let first = to.lines().next().unwrap();
    let line = text.lines().position(|line| line.contains(first)).unwrap();
    (text, line + 1)
}

#[test]
fn a_broken_manifest_should_change_nothing_and_say_where_it_is_broken() {
    let scene = Scene::new("broken");
    let other = scene.beside("other");
    scene.publish("1.0.0+1.0", &Variant::v1());
    other.publish("1.0.0+1.0", &Variant::v1());
    scene.apply_quick(STATELESS);
    let operator = scene.operator();
    scene.wait_for_result("deployed:1.0.0+1.0");
    scene.wait_for_ready("True", "Healthy");
    let before = scene.deployed();
    let good = scene.read(&scene.manifest()).unwrap();

    let cases = [
        ("spec:\n", "spec: [\n", None),
        (
            "  data: { snapshot: Never }",
            "  deta: { snapshot: Never }",
            Some("data"),
        ),
        (
            "  data: { snapshot: Never }",
            "  data: { snapshto: Never }",
            Some("snapshot"),
        ),
        ("  data: { snapshot: Never }", "  suspend: maybe", None),
        ("  data: { snapshot: Never }", "  version: \"~ten\"", None),
        ("    deadline: 20s", "    deadline: soon", None),
    ];
    let mut said = scene.condition("Accepted").unwrap();
    assert_eq!(said.status, "True");
    for (from, to, suggestion) in cases {
        let (text, line) = broken(&good, from, to);
        scene.declare(&text);
        let before = said.message.clone();
        said = wait_for(&format!("{to:?} to be refused"), LIMIT, || {
            match scene.condition("Accepted") {
                Some(seen) if seen.status == "False" && seen.message != before => Ok(seen),
                seen => Err(format!("{seen:?}")),
            }
        });
        assert_eq!(said.reason, "LastAcceptedKept");
        let message = &said.message;
        let file = scene.root().join(scene.manifest());
        let place = format!("{}:{line}:", file.display());
        // Where a bracket that is never closed is noticed is the parser's affair.
        if to != "spec: [\n" {
            assert!(message.contains(&place), "no {place} in: {message}");
            let shown = text.lines().nth(line - 1).unwrap().trim();
            assert!(message.contains(shown), "no {shown:?} in: {message}");
        } else {
            assert!(
                message.contains(&format!("{}:", file.display())),
                "{message}"
            );
        }
        if let Some(suggestion) = suggestion {
            let suggestion = format!("did you mean `{suggestion}`?");
            assert!(message.contains(&suggestion), "{message}");
        }
        let described = scene.ccctl().run(&["describe", &scene.object()]);
        assert!(
            described.contains(message.lines().next().unwrap()),
            "{described}"
        );
        let row = scene.ccctl().run(&["get", &scene.object(), "-o", "wide"]);
        assert!(row.contains(scene.app()), "{row}");
        let valid = scene
            .ccctl()
            .try_run(&["validate", "-f", &file.display().to_string()]);
        assert_eq!(valid.code, Some(1), "{valid}");
        println!("{message}\n{row}");
    }
    assert_eq!(scene.deployed(), before);

    // To empty a file is not to delete the object.
    scene.declare("");
    wait_for("the empty file to be refused", LIMIT, || {
        match scene.condition("Accepted") {
            Some(seen) if seen.message.contains("is empty") => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
    assert_eq!(scene.deployed(), before);

    // What was accepted last stays in force, also for an operator that never read it from the manifest.
    assert!(operator.stop().success());
    let _operator = scene.operator();
    scene
        .docker()
        .run(&["service", "rm", &format!("{}_app", scene.stack())]);
    scene.wait_for_result("redeployed:1.0.0+1.0");
    scene.publish("1.1.0+1.1", &Variant::v1_1());
    scene.reconcile();
    scene.wait_for_result("upgraded:1.0.0+1.0->1.1.0+1.1");

    // And everything else goes on.
    other.write(
        "warmapps/never.yaml",
        "apiVersion: ci-warm/v1alpha1\nkind: WarmApp\nspec: {}\n",
    );
    other.apply_quick(STATELESS);
    other.wait_for_result("deployed:1.0.0+1.0");
    let never = other.wait_for_condition_of("never", "Accepted", "False", "NotAccepted");
    assert!(never.contains("never.yaml:"), "{never}");

    scene.declare(&good);
    scene.wait_for_condition("Accepted", "True", "Accepted");
    scene.wait_for_ready("True", "Healthy");
}

#[test]
fn a_gate_that_asks_another_app_should_be_refused() {
    let scene = Scene::new("foreign");
    scene.publish("1.0.0+1.0", &Variant::v1());
    let manifest = scene.quick_warm_app(STATELESS);
    let foreign = manifest.replace("http://${DOMAIN}", "http://other.e2e.test");
    assert_ne!(foreign, manifest);
    scene.declare(&foreign);
    let _operator = scene.operator();
    let said = scene.wait_for_condition("Ready", "False", "HealthGateForeignHost");
    assert!(
        said.contains("other.e2e.test") && said.contains("allowForeignHost"),
        "{said}"
    );
    assert!(scene.deployed().services.is_empty());
    let alerts = scene.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["reason"], "refused");

    scene.declare(&manifest);
    scene.wait_for_result("deployed:1.0.0+1.0");
    scene.wait_for_ready("True", "Healthy");

    // An app that runs stays as it is, and is not what its spec asks for.
    let before = scene.deployed();
    scene.declare(&foreign);
    scene.wait_for_result("refused:1.0.0+1.0->1.0.0+1.0");
    scene.wait_for_condition("Ready", "False", "HealthGateForeignHost");
    scene.wait_for_condition("Available", "True", "HealthGateForeignHost");
    assert_eq!(scene.deployed(), before);
}

#[test]
fn a_first_deployment_that_fails_should_be_cleared_away_and_its_data_kept() {
    let scene = Scene::new("first");
    scene.publish("1.0.0+1.2", &Variant::crash());
    scene.apply_quick("  data: { snapshot: BeforeUpgrade }");
    let _operator = scene.operator();
    scene.wait_for_result("deploy-failed:1.0.0+1.2");
    scene.wait_for_no_services();
    let why = scene.wait_for_condition("Ready", "False", "TasksFailing");
    assert!(why.contains("exit"), "{why}");
    assert_eq!(scene.docker().volumes(&scene.stack()), [scene.volume()]);
    let alerts = scene.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["reason"], "deploy-failed");
    assert_eq!(alerts[0]["attempted"], "1.0.0+1.2");
    assert_eq!(alerts[0]["recovered"], false);

    // It is not tried again by itself.
    scene.reconcile();
    assert!(scene.deployed().services.is_empty());
    assert_eq!(scene.alerts().len(), 1);
    assert_eq!(scene.said("/result"), "deploy-failed:1.0.0+1.2");
    scene.wait_for_condition("Ready", "False", "TasksFailing");

    scene.publish("1.0.1+1.2", &Variant::v1());
    scene.reconcile();
    scene.wait_for_result("deployed:1.0.1+1.2");
    scene.wait_for_ready("True", "Healthy");
    scene.wait_for_version("1");
}

#[test]
fn an_app_that_claims_what_another_has_should_wait_until_it_is_free() {
    let first = Scene::new("owner");
    let second = first.beside("heir");
    // One that is slow to stop, so that there is a time in which its owner is going.
    let stubborn = Variant::custom("stubborn", &["--version", "1", "--on-term", "ignore"]);
    first.publish("1.0.0+1.0", &stubborn);
    let manifest = first.quick_warm_app("  data: { snapshot: BeforeUpgrade }");
    first.declare(&manifest);
    let _operator = first.operator();
    first.wait_for_result("deployed:1.0.0+1.0");
    first.wait_for_version("1");
    first.add_record("kept");
    let before = first.deployed();
    let claim = manifest.replace(
        &format!("name: {}", first.app()),
        &format!("name: {}", second.app()),
    );
    second.declare(&claim);
    let said = second.wait_for_condition("Ready", "False", "NameTaken");
    let line = 1 + claim
        .lines()
        .position(|line| line.trim().starts_with("domain:"))
        .unwrap();
    let place = format!("{}:{line}:", second.manifest());
    assert!(said.contains(&place), "no {place} in: {said}");
    assert!(said.contains(first.app()), "{said}");

    // Taken away again it takes nothing along.
    second.remove_manifest();
    second.wait_for_deleted();
    assert_eq!(first.deployed(), before);
    first.wait_for_ready("True", "Healthy");

    // When the owner goes it takes over, once the owner is gone.
    second.declare(&claim);
    second.wait_for_condition("Ready", "False", "NameTaken");
    first.ccctl().run(&["delete", &first.object()]);
    wait_for("the owner to go", LIMIT, || {
        let heir = second.condition("Ready").unwrap();
        if first.status().is_empty() {
            return Ok(());
        }
        assert_eq!(heir.reason, "NameTaken", "two hands on one instance");
        Err("it is still there")
    });
    wait_for("the heir to be healthy", LIMIT, || {
        match second.condition("Ready") {
            Some(seen) if seen.reason == "Healthy" => Ok(()),
            seen => Err(format!("{seen:?}\n{}", first.operator_log())),
        }
    });
    assert_eq!(second.said("/result"), "redeployed:1.0.0+1.0");
    assert_eq!(first.records(), ["kept"]);
}
