//! `get`, `describe` and `alerts`.

use std::fs;

use ci_warm::alert;
use ci_warm_api_types::alert::{Alert, AlertId};
use ci_warm_api_types::health::HealthSpec;
use ci_warm_api_types::journal::{HistoryEntry, OperationId};
use ci_warm_api_types::warm_app::{HealthStatus, HeldStatus, WarmAppStatus};
use ci_warm_runtime::{EventType, Reason};
use serde_json::Value;

use crate::host::{Host, app, name, relist};

/// Three apps: one that runs and holds a version, one with a mistake, one no operator has seen.
fn host() -> Host {
    let host = Host::new();
    host.put("root/warmapps/keycloak.yaml", &app("keycloak", ""));
    host.put(
        "root/warmapps/broken.yaml",
        &app("broken", "  intervall: 5m\n"),
    );
    let store = host.operator();
    let keycloak = store.get(&name("keycloak")).unwrap();
    store
        .update(&name("keycloak"), &keycloak.meta.uid, |record, now| {
            record.status.observed_generation = record.meta.generation;
            record.status.own = WarmAppStatus {
                stack: Some("keycloak_example_org".into()),
                version: Some("10.7.1+26.6.2".parse().unwrap()),
                commit: Some("1234567".into()),
                result: Some("held-major:10.7.1+26.6.2->11.0.0+27.0.0".parse().unwrap()),
                latest: Some("11.0.0+27.0.0".parse().unwrap()),
                held: Some(HeldStatus {
                    version: "11.0.0+27.0.0".parse().unwrap(),
                    reason: "held-major".into(),
                    message: "the recipe goes from 10 to 11\nread release/11.0.0+27.0.0".into(),
                }),
                health: Some(HealthStatus {
                    probe: "tcp localhost:80".into(),
                    code: 0,
                    error: Some("connection refused".into()),
                    since: now,
                }),
                quarantined: vec!["10.8.0+26.7.0 4f00ba12".into()],
                history: vec![HistoryEntry {
                    at: now,
                    operation: OperationId::from("op-1"),
                    result: "deployed:10.7.1+26.6.2".parse().unwrap(),
                    healthy: true,
                    message: String::new(),
                }],
                ..WarmAppStatus::default()
            };
        })
        .unwrap();
    let reason = Reason::of("ProbeFailed");
    store
        .event(
            &name("keycloak"),
            EventType::Warning,
            reason,
            "connection refused".into(),
        )
        .unwrap();
    host.put("root/warmapps/new.yaml", &app("new", ""));
    host.put("root/warmapps/other.yml", "");
    host.put(
        "root/snapshots/before.yaml",
        "apiVersion: ci-warm/v1alpha1\nkind: Snapshot\nmetadata:\n  name: before\nspec:\n  instance: keycloak_example_org\n",
    );
    host
}

#[test]
fn get_should_print_lines() {
    let host = host();
    insta::assert_snapshot!("get_all", host.ccctl(&["get", "all"]).all());
    insta::assert_snapshot!(
        "get_wide",
        host.ccctl(&["get", "wa", "keycloak", "broken", "-o", "wide"])
            .all()
    );
    assert_eq!(host.ccctl(&["get", "wa/new,", "-o", "name"]).code, 2);
    assert_eq!(
        host.ccctl(&["get", "wa/new", "snap/before", "-o", "name"])
            .ok(),
        "warmapp/new\nsnapshot/before\n"
    );
}

#[test]
fn get_should_select_by_labels() {
    let host = host();
    let names = |selector| host.ccctl(&["get", "wa", "-o", "name", "-l", selector]).out;
    assert_eq!(names("tier=new"), "warmapp/new\n");
    // The labels of what was never accepted are not known.
    assert_eq!(names("tier,tier!=new"), "warmapp/keycloak\n");
    assert_eq!(names("tier=new,other"), "");
    assert_eq!(host.ccctl(&["get", "wa", "-l", "tier in (a)"]).code, 2);
}

#[test]
fn get_should_print_objects_whole() {
    let host = host();
    let one: Value =
        serde_json::from_str(&host.ccctl(&["get", "wa/keycloak", "-o", "json"]).ok()).unwrap();
    assert_eq!(one["kind"], "WarmApp");
    assert_eq!(one["metadata"]["generation"], 1);
    assert_eq!(one["spec"]["health"]["tcp"]["address"], "localhost:80");
    assert_eq!(one["status"]["commit"], "1234567");
    assert_eq!(one["status"]["conditions"][0]["type"], "Accepted");
    let defaults: HealthSpec = serde_json::from_value(one["spec"]["health"].clone()).unwrap();
    assert_eq!(
        one["spec"]["health"]["interval"],
        defaults.interval.to_string()
    );
    let all: Value = serde_json::from_str(&host.ccctl(&["get", "wa", "-o", "json"]).out).unwrap();
    assert_eq!(
        (&all["kind"], all["items"].as_array().unwrap().len()),
        (&"List".into(), 3)
    );
}

#[test]
fn what_get_prints_should_be_applied_as_nothing_new() {
    let host = host();
    let before = host.text("root/warmapps/keycloak.yaml");
    let printed = host
        .ccctl(&["get", "wa", "keycloak", "new", "-o", "yaml"])
        .ok();
    assert!(
        printed.contains("\nstatus:\n") && printed.contains("  uid: "),
        "{printed}"
    );
    let applied = host.ccctl_with(&["apply", "-f", "-"], &printed).ok();
    assert_eq!(
        applied,
        "warmapp/keycloak unchanged\nwarmapp/new unchanged\n"
    );
    assert_eq!(host.text("root/warmapps/keycloak.yaml"), before);

    let edited = printed.replace(
        "domain: keycloak.example.org",
        "domain: id.example.org # moved",
    );
    assert_eq!(
        host.ccctl_with(&["apply", "-f", "-"], &edited).ok(),
        "warmapp/keycloak configured\nwarmapp/new unchanged\n"
    );
    let after = host.text("root/warmapps/keycloak.yaml");
    assert!(after.contains("id.example.org # moved"), "{after}");
    assert!(
        !after.contains("status:") && !after.contains("uid:"),
        "{after}"
    );
}

#[test]
fn describe_should_tell_all() {
    let host = host();
    host.ccctl(&["approve", "wa/keycloak"]).ok();
    insta::assert_snapshot!(
        "describe_keycloak",
        host.ccctl(&["describe", "wa/keycloak"]).all()
    );
    insta::assert_snapshot!(
        "describe_broken",
        host.ccctl(&["describe", "wa", "broken", "none"]).all()
    );
}

#[test]
fn a_damaged_status_should_be_said_and_hide_nothing_else() {
    let host = host();
    fs::write(host.root.status("warmapps", &name("keycloak")), "{{{").unwrap();
    let ran = host.ccctl(&["get", "wa", "keycloak", "new"]);
    assert!(ran.out.contains("Unknown   UnreadableStatus"), "{ran:?}");
    assert!(ran.out.contains("NotObserved"), "{ran:?}");
    assert!(
        host.ccctl(&["describe", "wa/keycloak"])
            .out
            .contains("status/warmapps/keycloak.yaml:1")
    );
}

#[test]
fn an_object_that_is_being_deleted_should_be_shown_until_it_is_gone() {
    let host = host();
    let store = host.operator();
    let uid = store.get(&name("keycloak")).unwrap().meta.uid.clone();
    store
        .update(&name("keycloak"), &uid, |record, _| {
            record.meta.finalizers.push("test".into());
        })
        .unwrap();
    assert_eq!(
        host.ccctl(&["delete", "wa/keycloak"]).ok(),
        "warmapp/keycloak deletion asked for\n"
    );
    relist(&store);
    let out = host.ccctl(&["get", "wa/keycloak"]).ok();
    assert!(out.contains("False   Deleting"), "{out}");
    assert_eq!(
        host.ccctl(&["delete", "wa/keycloak"]).ok(),
        "warmapp/keycloak is being deleted already\n"
    );
    let again = host.ccctl_with(&["apply", "-f", "-"], &app("keycloak", ""));
    assert_eq!(again.code, 1);
    assert!(
        again
            .err
            .contains("<stdin>:5:3: warmapp/keycloak is being deleted"),
        "{again:?}"
    );
    store
        .update(&name("keycloak"), &uid, |record, _| {
            record.meta.finalizers.clear();
        })
        .unwrap();
    assert_eq!(host.ccctl(&["get", "wa/keycloak"]).code, 3);
}

#[test]
fn alerts_should_be_listed() {
    let host = Host::new();
    assert_eq!(host.ccctl(&["alerts"]).err, "no alerts\n");
    let raise = |reason: &str, ts: &str| {
        let mut alert = Alert::new("keycloak", reason.parse().unwrap(), ts.parse().unwrap());
        alert.attempted = Some("11.0.0+27.0.0".into());
        alert.recovered = Some(reason == "rolled-back");
        let id = AlertId::of_operation("op-1", &alert.reason);
        alert::raise(host.root.path(), &alert, &id).unwrap();
    };
    raise("rolled-back", "19990613T054428Z");
    raise("rollback-failed", "19990614T054428Z");
    let seen = host.path("root/alerts/seen");
    fs::create_dir(&seen).unwrap();
    let delivered = "19990613T054428Z-keycloak-rolled-back.json";
    fs::rename(
        host.path("root/alerts").join(delivered),
        seen.join(delivered),
    )
    .unwrap();
    insta::assert_snapshot!("alerts", host.ccctl(&["alerts"]).all());
    let due: Value =
        serde_json::from_str(&host.ccctl(&["alerts", "--due", "-o", "json"]).ok()).unwrap();
    assert_eq!(due.as_array().unwrap().len(), 1);
    assert_eq!(
        (&due[0]["reason"], &due[0]["seen"]),
        (&"rollback-failed".into(), &false.into())
    );
    host.put("root/alerts/x.json", "{");
    let ran = host.ccctl(&["alerts"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("alerts/x.json is not an alert") && ran.out.lines().count() == 3,
        "{ran:?}"
    );
}
