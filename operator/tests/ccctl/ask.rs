//! `approve`, `retry` and `reconcile`: what an operator then finds.

use ci_warm_api_types::warm_app::HeldStatus;
use ci_warm_runtime::requests;

use crate::host::{Host, app, name, relist};

fn host() -> Host {
    let host = Host::new();
    host.put("root/warmapps/a.yaml", &app("a", ""));
    host
}

fn hold(host: &Host, version: &str) {
    let store = host.operator();
    let uid = store.get(&name("a")).unwrap().meta.uid.clone();
    store
        .update(&name("a"), &uid, |record, _| {
            record.status.own.held = Some(HeldStatus {
                version: version.parse().unwrap(),
                reason: "held-major".into(),
                message: "see the notes".into(),
            });
        })
        .unwrap();
}

/// Verb and body of every request an operator finds.
fn found(host: &Host) -> Vec<(String, String)> {
    let (requests, problems) = requests::list(&host.root, "warmapps", &name("a")).unwrap();
    assert_eq!(problems, []);
    requests
        .into_iter()
        .map(|request| (request.verb, request.body))
        .collect()
}

#[test]
fn approve_should_let_the_held_version_through() {
    let host = host();
    hold(&host, "11.0.0+27.0.0");
    assert_eq!(
        host.ccctl(&["approve", "wa/a"]).ok(),
        "warmapp/a 11.0.0+27.0.0 approved\n"
    );
    let asked = found(&host);
    assert_eq!((asked.len(), asked[0].0.as_str()), (1, "approve"));
    assert!(
        asked[0].1.contains("version: 11.0.0+27.0.0") && asked[0].1.contains("by: ann"),
        "{asked:?}"
    );
    assert_eq!(
        host.ccctl(&["approve", "warmapp", "a", "11.0.0+27.0.0"])
            .ok(),
        "warmapp/a 11.0.0+27.0.0 was approved before, and waits for the operator\n"
    );
    assert_eq!(found(&host).len(), 1);
    let other = host.ccctl(&["approve", "wa/a", "12.0.0+28.0.0"]);
    assert_eq!(other.code, 0);
    assert!(
        other.err.contains("11.0.0+27.0.0 is held, and stays so"),
        "{other:?}"
    );
    let store = host.operator();
    assert_eq!(store.requests(&name("a")).unwrap().0.len(), 2);
    relist(&store);
}

#[test]
fn approve_should_not_guess() {
    let host = host();
    host.operator();
    let ran = host.ccctl(&["approve", "wa/a"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("no version of warmapp/a is held"),
        "{ran:?}"
    );
    for (arguments, code) in [
        (&["approve", "wa/a", "latest"][..], 2),
        (&["approve", "wa/a", "1.0.0+1", "2.0.0+2"], 2),
        (&["approve", "wa"], 2),
        (&["approve", "snap/a"], 2),
        (&["approve", "wa/b"], 3),
    ] {
        assert_eq!(host.ccctl(arguments).code, code, "{arguments:?}");
    }
    assert_eq!(found(&host), []);
}

#[test]
fn retry_and_reconcile_should_leave_a_request() {
    let host = host();
    let ran = host.ccctl(&["reconcile", "wa/a"]);
    assert!(
        ran.code == 0 && ran.err.contains("no operator has looked at warmapp/a yet"),
        "{ran:?}"
    );
    host.operator();
    assert_eq!(
        host.ccctl(&["retry", "wa", "a"]).ok(),
        "warmapp/a will be retried\n"
    );
    let verbs: Vec<_> = found(&host).into_iter().map(|(verb, _)| verb).collect();
    assert_eq!(verbs, ["reconcile", "retry"]);
    assert_eq!(host.ccctl(&["retry", "wa", "a", "b"]).code, 3);
    assert_eq!(found(&host).len(), 2);
}
