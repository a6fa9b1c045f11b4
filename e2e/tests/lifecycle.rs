//! The life of a WarmApp: it waits, it is left alone, it is unwell, it goes and comes back.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use ci_warm_e2e::{Gatekeeper, LIMIT, Operator, Scene, Variant, wait_for, wait_until};
use jiff::{Timestamp, ToSpan};

const STATELESS: &str = "  data: { snapshot: Never }";
const STATEFUL: &str = "  data: { snapshot: BeforeUpgrade }";

fn running(name: &str, more: &str) -> (Scene, Operator) {
    let scene = Scene::new(name);
    scene.publish("1.0.0+1.0", &Variant::v1());
    scene.apply_quick(more);
    let operator = scene.operator();
    scene.wait_for_result("deployed:1.0.0+1.0");
    (scene, operator)
}

/// An app whose gate is in the test's hand, in the middle of an upgrade to 1.1.0+1.1 that waits for its gate.
fn proving(name: &str, more: &str) -> (Scene, Gatekeeper, Operator) {
    let (scene, gate) = (Scene::new(name), Gatekeeper::answering(200));
    scene.publish("1.0.0+1.0", &Variant::v1());
    scene.declare(&scene.gated_warm_app(&gate, "60s", more));
    let operator = scene.operator();
    scene.wait_for_result("deployed:1.0.0+1.0");
    scene.wait_for_version("1");
    scene.add_record("kept");
    scene.publish("1.1.0+1.1", &Variant::v1_1());
    gate.answer(500);
    scene.ccctl().run(&["reconcile", &scene.object()]);
    scene.wait_for_phase("Forward/Prove");
    scene.wait_for_version("1.1");
    (scene, gate, operator)
}

// ---- unwell ----

/// Asks for a look until a probe has seen it: one that is younger than the interval is not repeated.
#[track_caller]
fn should_be_seen_unwell(scene: &Scene) {
    wait_for("it to be seen unwell", LIMIT, || {
        scene.ccctl().run(&["reconcile", &scene.object()]);
        match scene.condition("Ready").unwrap() {
            seen if seen.status == "False" => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
}

#[test]
fn an_app_that_is_unwell_should_be_redeployed_once_and_then_told_of_once() {
    let (scene, gate) = (Scene::new("unwell"), Gatekeeper::answering(200));
    scene.publish("1.0.0+1.0", &Variant::v1());
    scene.declare(&scene.gated_warm_app(&gate, "15s", STATEFUL));
    let _operator = scene.operator();
    scene.wait_for_result("deployed:1.0.0+1.0");
    scene.wait_for_version("1");
    scene.add_record("kept");
    let before = scene.deployed();

    gate.answer(500);
    should_be_seen_unwell(&scene);
    scene.wait_for_result("unhealthy-on-latest:1.0.0+1.0");
    scene.wait_for_ready("False", "UnhealthyOnLatest");
    let once = scene.deployed();
    assert_ne!(once.tasks, before.tasks, "it was not redeployed");
    for _ in 0..2 {
        scene.reconcile();
    }
    assert_eq!(scene.deployed(), once, "it was redeployed more than once");
    let alerts = scene.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["reason"], "unhealthy-on-latest");
    assert_eq!(alerts[0]["version"], "1.0.0+1.0");
    assert_eq!(alerts[0]["recovered"], false);

    gate.answer(200);
    wait_for("it to be seen well", LIMIT, || {
        scene.ccctl().run(&["reconcile", &scene.object()]);
        match scene.condition("Ready").unwrap() {
            seen if seen.reason == "Healthy" => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
    assert_eq!(scene.deployed(), once);
    assert_eq!(scene.records(), ["kept"]);
    assert_eq!(scene.alerts().len(), 1);
}

#[test]
fn a_redeployment_should_mend_an_app_that_only_hangs() {
    let (scene, _operator) = running("hangs", STATEFUL);
    scene.wait_for_version("1");
    scene.add_record("kept");
    assert_eq!(scene.post("/health", "500").unwrap().status, 200);
    should_be_seen_unwell(&scene);
    scene.wait_for_result("redeployed:1.0.0+1.0");
    scene.wait_for_ready("True", "Healthy");
    assert_eq!(scene.get("/health").unwrap().status, 200);
    assert_eq!(scene.records(), ["kept"]);
    assert!(scene.alerts().is_empty());
}

// ---- other apps ----

#[test]
fn an_app_should_wait_for_what_it_depends_on_and_its_deadline_with_it() {
    let proxy = Scene::new("proxy");
    let app = proxy.beside("behind");
    let (proxy_gate, app_gate) = (Gatekeeper::answering(200), Gatekeeper::answering(500));
    let on_proxy = format!(
        "{STATELESS}\n  dependsOn: [ {{ kind: WarmApp, name: {} }} ]",
        proxy.app()
    );
    proxy.publish("1.0.0+1.0", &Variant::v1());
    app.publish("1.0.0+1.0", &Variant::v1());
    app.declare(&app.gated_warm_app(&app_gate, "8s", &on_proxy));
    let _operator = proxy.operator();
    let why = app.wait_for_condition("Ready", "False", "DependencyNotReady");
    assert!(why.contains(proxy.app()), "{why}");
    assert!(app.deployed().services.is_empty());

    // There it is: the other goes on at once, long before it would look again by itself.
    proxy.declare(&proxy.gated_warm_app(&proxy_gate, "10s", STATELESS));
    proxy.wait_for_result("deployed:1.0.0+1.0");
    wait_for("the app to go on", Duration::from_secs(30), || {
        match app.said("/operation") {
            phase if phase == "Forward/Prove" => Ok(()),
            seen => Err(format!("{seen}\n{}", app.operator_log())),
        }
    });

    // The proxy fails, for longer than the app's deadline is.
    proxy_gate.answer(500);
    should_be_seen_unwell(&proxy);
    wait_for("the deadline to stand still", LIMIT, || {
        let standing = app.standing().to_string();
        if standing.contains("pausedWithMs") || standing.contains("PausedWithMs") {
            Ok(())
        } else {
            Err(standing)
        }
    });
    proxy.wait_for_result("unhealthy-on-latest:1.0.0+1.0");
    assert_eq!(app.said("/operation"), "Forward/Prove");
    assert!(app.said("/result").is_empty());

    app_gate.answer(200);
    proxy_gate.answer(200);
    proxy.ccctl().run(&["reconcile", &proxy.object()]);
    app.wait_for_result("deployed:1.0.0+1.0");
    app.wait_for_ready("True", "Healthy");
}

#[test]
fn apps_that_depend_on_each_other_should_be_refused_and_others_go_on() {
    let first = Scene::new("circle-a");
    let (second, third) = (first.beside("circle-b"), first.beside("free"));
    for scene in [&first, &second, &third] {
        scene.publish("1.0.0+1.0", &Variant::v1());
    }
    let on = |scene: &Scene| {
        format!(
            "{STATELESS}\n  dependsOn:\n    - kind: WarmApp\n      name: {}",
            scene.app()
        )
    };
    first.apply_quick(&on(&second));
    second.apply_quick(&on(&first));
    third.apply_quick(STATELESS);
    let _operator = first.operator();
    for scene in [&first, &second] {
        let said = scene.wait_for_condition("Ready", "False", "DependencyCycle");
        let text = scene.read(&scene.manifest()).unwrap();
        let line = 1 + text
            .lines()
            .position(|line| line.contains("- kind"))
            .unwrap();
        let place = format!("{}:{line}:", scene.root().join(scene.manifest()).display());
        assert!(said.contains(&place), "no {place} in: {said}");
        assert!(
            said.contains(first.app()) && said.contains(second.app()),
            "{said}"
        );
        let described = scene.ccctl().run(&["describe", &scene.object()]);
        assert!(described.contains("DependencyCycle"), "{described}");
    }
    third.wait_for_result("deployed:1.0.0+1.0");
    assert!(first.deployed().services.is_empty() && second.deployed().services.is_empty());

    // One of the two lets go.
    first.apply_quick(STATELESS);
    first.wait_for_result("deployed:1.0.0+1.0");
    second.wait_for_result("deployed:1.0.0+1.0");
}

// ---- left alone ----

#[test]
fn a_suspended_app_should_be_left_alone_until_it_is_resumed() {
    let (scene, _operator) = running("suspend", STATELESS);
    scene.ccctl().run(&["suspend", &scene.object()]);
    scene.wait_for_condition("Ready", "False", "Suspended");
    scene.publish("1.1.0+1.1", &Variant::v1_1());
    let service = format!("{}_app", scene.stack());
    scene.docker().run(&["service", "rm", &service]);
    scene.wait_for_no_services();
    scene.ccctl().run(&["reconcile", &scene.object()]);
    let requests = format!("requests/warmapps/{}", scene.app());
    wait_until("the request to be taken", LIMIT, || {
        scene.list(&requests).is_empty()
    });
    assert!(scene.deployed().services.is_empty());
    assert_eq!(scene.said("/result"), "deployed:1.0.0+1.0");
    scene.ccctl().run(&["resume", &scene.object()]);
    scene.wait_for_result("upgraded:1.0.0+1.0->1.1.0+1.1");
    scene.wait_for_version("1.1");
}

#[test]
fn an_upgrade_should_wait_for_its_window() {
    let (scene, _operator) = running("window", STATELESS);
    let before = scene.deployed();
    scene.publish("1.1.0+1.1", &Variant::v1_1());
    // Opens with the next minute, though not at once.
    let soon = Timestamp::now() + 20.seconds() + 1.minute();
    let at = |time: Timestamp| time.strftime("%H:%M").to_string();
    let (start, end) = (at(soon), at(soon + 2.hours()));
    scene.apply_quick(&format!(
        "{STATELESS}\n  upgrade: {{ window: {{ start: \"{start}\", end: \"{end}\" }} }}"
    ));
    let why = scene.wait_for_condition("Ready", "True", "OutsideWindow");
    assert!(why.contains("window"), "{why}");
    scene.ccctl().run(&["reconcile", &scene.object()]);
    wait_until("the request to be taken", LIMIT, || {
        let requests = format!("requests/warmapps/{}", scene.app());
        scene.list(&requests).is_empty()
    });
    if at(Timestamp::now()) != start {
        assert_eq!(scene.deployed(), before);
    }
    wait_for("the window to open", 2 * LIMIT, || {
        match scene.said("/result") {
            seen if seen == "upgraded:1.0.0+1.0->1.1.0+1.1" => Ok(()),
            seen => Err(format!("{seen}\n{:#}", scene.standing())),
        }
    });
    assert!(at(Timestamp::now()) >= start);
}

// ---- another spec on the way ----

#[test]
fn a_new_spec_during_the_health_wait_should_not_be_blamed_on_the_release() {
    let (scene, gate, _operator) = proving("superseded", STATEFUL);
    scene.declare(
        &scene
            .gated_warm_app(&gate, "60s", STATEFUL)
            .replace("env: {", "env: { TIMEOUT: \"61\","),
    );
    gate.answer(200);
    scene.wait_for_history("superseded:1.0.0+1.0->1.1.0+1.1");
    scene.wait_for_result("upgraded:1.0.0+1.0->1.1.0+1.1");
    scene.wait_for_version("1.1");
    scene.wait_for_ready("True", "Healthy");
    let label = format!("coop-cloud.{}.timeout", scene.stack());
    let template = format!("{{{{index .Spec.Labels {label:?}}}}}");
    let service = format!("{}_app", scene.stack());
    assert_eq!(scene.docker().inspect_service(&service, &template), "61");
    assert_eq!(scene.said("/quarantined"), "");
    assert!(scene.alerts().is_empty(), "{:#?}", scene.alerts());
    assert_eq!(scene.records(), ["kept"]);
}

#[test]
fn a_suspension_during_the_health_wait_should_go_back_first() {
    let (scene, gate, _operator) = proving("suspended-late", STATEFUL);
    scene.ccctl().run(&["suspend", &scene.object()]);
    gate.answer(200);
    scene.wait_for_result("superseded:1.0.0+1.0->1.1.0+1.1");
    scene.wait_for_version("1");
    scene.wait_for_condition("Ready", "False", "Suspended");
    assert_eq!(scene.records(), ["kept"]);
    assert_eq!(scene.said("/quarantined"), "");
}

#[test]
fn a_deletion_during_the_health_wait_should_leave_the_data_of_last_good() {
    let (scene, _gate, _operator) = proving("deleted-late", STATEFUL);
    scene.add_record("by the new one");
    scene.ccctl().run(&["delete", &scene.object()]);
    scene.wait_for_deleted();
    scene.wait_for_no_services();
    let kept = std::fs::read_to_string(scene.in_volume("records.v1")).unwrap();
    assert_eq!(kept, "kept\n");
}

// ---- the process ends ----

#[test]
fn an_operation_should_be_finished_after_the_operator_was_stopped() {
    let (scene, gate, operator) = proving("sigterm", STATEFUL);
    let status = operator.stop();
    assert!(status.success(), "{status}");
    assert_eq!(scene.said("/operation"), "Forward/Prove");
    gate.answer(200);
    let _operator = scene.operator();
    scene.wait_for_result("upgraded:1.0.0+1.0->1.1.0+1.1");
    assert_eq!(scene.records(), ["kept"]);
    assert!(scene.alerts().is_empty(), "{:#?}", scene.alerts());
}

#[test]
fn an_operation_should_be_finished_after_the_operator_was_killed() {
    let (scene, gate, operator) = proving("sigkill", STATEFUL);
    // Two of one root would be two hands on one instance.
    let log = scene.path("second.log");
    let mut second = Operator::start(&scene.root(), scene.docker().host(), &log, &[]);
    let status = wait_for("the second operator to give up", LIMIT, || {
        second.ended().ok_or("it runs")
    });
    assert!(!status.success());
    let said = second.log();
    assert!(said.contains("operator of this root"), "{said}");

    operator.kill();
    gate.answer(200);
    let _operator = scene.operator();
    scene.wait_for_result("upgraded:1.0.0+1.0->1.1.0+1.1");
    scene.wait_for_ready("True", "Healthy");
    assert_eq!(scene.records(), ["kept"]);
    assert_eq!(
        scene.history(),
        ["deployed:1.0.0+1.0", "upgraded:1.0.0+1.0->1.1.0+1.1"]
    );
    assert!(scene.alerts().is_empty(), "{:#?}", scene.alerts());
}

// ---- gone and back ----

#[test]
fn an_app_whose_manifest_goes_should_keep_its_data_and_come_back_as_it_was() {
    let (scene, operator) = running("undeploy", STATEFUL);
    scene.wait_for_version("1");
    scene.add_record("kept");
    let manifest = scene.read(&scene.manifest()).unwrap();
    let good = scene.standing()["lastGood"].clone();
    assert!(!good.is_null(), "{:#}", scene.standing());

    scene.remove_manifest();
    scene.wait_for_deleted();
    scene.wait_for_no_services();
    assert_eq!(scene.docker().volumes(&scene.stack()), [scene.volume()]);
    assert!(scene.alerts().is_empty());

    scene.declare(&manifest);
    scene.wait_for_result("redeployed:1.0.0+1.0");
    scene.wait_for_ready("True", "Healthy");
    assert_eq!(scene.records(), ["kept"]);
    assert_eq!(scene.standing()["lastGood"]["of"], good["of"]);

    // The same while nobody is looking.
    assert!(operator.stop().success());
    scene.remove_manifest();
    let _operator = scene.operator();
    scene.wait_for_deleted();
    scene.wait_for_no_services();
    assert_eq!(scene.docker().volumes(&scene.stack()), [scene.volume()]);
}

#[test]
fn an_orphaned_app_should_go_on_and_be_adopted_as_it_is() {
    let (scene, _operator) = running("orphan", "  deletionPolicy: Orphan");
    scene.wait_for_ready("True", "Healthy");
    let before = scene.deployed();
    let manifest = scene.read(&scene.manifest()).unwrap();
    scene.ccctl().run(&["delete", &scene.object(), "--wait"]);
    scene.wait_for_deleted();
    assert_eq!(scene.deployed(), before);
    scene.declare(&manifest);
    scene.wait_for_result("noop-healthy:1.0.0+1.0");
    scene.wait_for_ready("True", "Healthy");
    assert_eq!(scene.deployed(), before);
}

#[test]
fn a_purged_app_should_leave_nothing() {
    let (scene, _operator) = running("purge", "  deletionPolicy: Purge");
    scene.wait_for_version("1");
    scene.add_record("gone");
    scene.publish("1.1.0+1.1", &Variant::v1_1());
    scene.reconcile();
    scene.wait_for_result("upgraded:1.0.0+1.0->1.1.0+1.1");
    let manifest = scene.read(&scene.manifest()).unwrap();
    scene.ccctl().run(&["delete", &scene.object(), "--wait"]);
    scene.wait_for_deleted();
    scene.wait_for_no_services();
    assert!(scene.docker().volumes(&scene.stack()).is_empty());
    let instance = format!("instances/{}", scene.stack());
    for directory in ["releases", "snapshots", "aside"] {
        let left = scene.list(&format!("{instance}/{directory}"));
        assert!(left.is_empty(), "{directory}: {left:?}");
    }
    wait_until("its snapshots' objects to go", LIMIT, || {
        scene.list("snapshots").is_empty() && scene.list("status/snapshots").is_empty()
    });

    // Declared again it is a new one.
    scene.declare(&manifest);
    scene.wait_for_result("deployed:1.1.0+1.1");
    scene.wait_for_version("1.1");
    assert!(scene.records().is_empty());
}

#[test]
fn manifests_that_vanish_together_should_not_be_taken_for_deletions() {
    let first = Scene::new("mass-a");
    let second = first.beside("mass-b");
    let both = [&first, &second];
    for scene in both {
        scene.publish("1.0.0+1.0", &Variant::v1());
        scene.apply_quick(STATEFUL);
    }
    let operator = first.operator();
    for scene in both {
        scene.wait_for_result("deployed:1.0.0+1.0");
        scene.wait_for_ready("True", "Healthy");
    }
    let before = both.map(Scene::deployed);
    let manifests = both.map(|scene| scene.read(&scene.manifest()).unwrap());
    for scene in both {
        scene.remove_manifest();
    }
    for scene in both {
        scene.wait_for_condition("DeletionHeld", "True", "AllVanished");
    }
    wait_until("the alert", LIMIT, || {
        !first.alerts_for("deletions-held").is_empty()
    });
    assert_eq!(both.map(Scene::deployed), before);

    // A new process knows it, and tells nobody twice.
    assert!(operator.stop().success());
    let _operator = first.operator();
    wait_until("the first list", LIMIT, || {
        first
            .operator_log()
            .matches("the first list is complete")
            .count()
            == 2
    });
    for scene in both {
        scene.wait_for_condition("DeletionHeld", "True", "AllVanished");
    }
    assert_eq!(both.map(Scene::deployed), before);

    // An accident: the files are back.
    for (scene, manifest) in both.iter().zip(&manifests) {
        scene.declare(manifest);
    }
    for scene in both {
        wait_until("the hold to end", LIMIT, || {
            scene.condition("DeletionHeld").is_none() && !scene.status().is_empty()
        });
        scene.reconcile();
        scene.wait_for_result("noop-healthy:1.0.0+1.0");
    }
    assert_eq!(both.map(Scene::deployed), before);
    assert_eq!(first.alerts().len(), 1, "{:#?}", first.alerts());

    // Meant: one is named, and only that one goes.
    for scene in both {
        scene.remove_manifest();
    }
    for scene in both {
        scene.wait_for_condition("DeletionHeld", "True", "AllVanished");
    }
    first.ccctl().run(&["delete", &first.object()]);
    first.wait_for_deleted();
    first.wait_for_no_services();
    assert_eq!(second.deployed(), before[1]);
    second.wait_for_condition("DeletionHeld", "True", "AllVanished");
    // Another occasion is told of as well.
    wait_for("a second alert", LIMIT, || match first.alerts().len() {
        2 => Ok(()),
        seen => Err(seen.to_string()),
    });
    second.ccctl().run(&["delete", &second.object()]);
    second.wait_for_deleted();
    second.wait_for_no_services();
    assert_eq!(first.alerts().len(), 2, "{:#?}", first.alerts());
}
