//! Each kind of probe against an app on a real Swarm.
#![allow(clippy::unwrap_used, missing_docs)]

use ci_warm_e2e::{Scene, Variant};

const V1: &str = "1.0.0+1.0";
const STATELESS: &str = "  data: { snapshot: Never }\n";

/// A manifest with these probes.
fn manifest(scene: &Scene, probes: &str) -> String {
    let text = scene.warm_app(STATELESS);
    let (head, _) = text.split_once("  health:\n").unwrap();
    format!(
        "{head}  health:\n{probes}    interval: 300ms\n    successThreshold: 3\n    deadline: 15s\n{STATELESS}"
    )
}

#[track_caller]
fn expect(name: &str, probes: impl Fn(&Scene) -> String, result: &str, said: &str) -> Scene {
    let scene = Scene::new(name);
    scene.publish(V1, &Variant::v1());
    scene.declare(&manifest(&scene, &probes(&scene)));
    let operator = scene.operator();
    scene.wait_for_result(&format!("{result}:{V1}"));
    if result == "deploy-failed" {
        scene.wait_for_ready("False", "HealthGateFailed");
        scene.wait_for_no_services();
    }
    let text = format!("{} {}", scene.status(), scene.operator_log());
    assert!(text.contains(said), "{said}: {text}");
    drop(operator);
    scene
}

#[test]
fn tcp() {
    let to = |scene: &Scene| format!("    tcp: {{ address: \"127.0.0.1:{}\" }}\n", scene.port());
    expect("tcp", to, "deployed", "");
}

#[test]
fn tcp_where_nobody_listens() {
    let to = |_: &Scene| "    tcp: { address: \"127.0.0.1:1\" }\n".to_owned();
    expect("tcpno", to, "deploy-failed", "refused");
}

#[test]
fn a_command_in_the_task() {
    let run =
        |path: &str| format!("    exec: {{ service: app, command: [/records, check, {path}] }}\n");
    expect("exec", |_| run("/health"), "deployed", "");
    expect("execno", |_| run("/none"), "deploy-failed", "404");
}

#[test]
fn http_with_a_body() {
    let with = |scene: &Scene, body: &str| {
        let port = scene.port();
        format!(
            "    http: {{ url: \"http://${{DOMAIN}}/version\", resolve: \"127.0.0.1:{port}\", body: {{ {body} }} }}\n"
        )
    };
    expect("body", |scene| with(scene, "regex: \"^1\""), "deployed", "");
    expect(
        "bodyno",
        |scene| with(scene, "contains: nine"),
        "deploy-failed",
        "nine",
    );
}

#[test]
fn a_gate_that_is_not_passed_often_enough_in_a_row() {
    // Passes from the fourth second on; three rounds in a row are wanted, and all of several probes.
    let scene = Scene::new("streak");
    scene.publish(V1, &Variant::slow(4));
    let port = scene.port();
    let probes = format!(
        "    http: {{ url: \"http://${{DOMAIN}}/health\", resolve: \"127.0.0.1:{port}\" }}\n    \
         tcp: {{ address: \"127.0.0.1:{port}\" }}\n"
    );
    scene.declare(&manifest(&scene, &probes).replace("deadline: 15s", "deadline: 30s"));
    let _operator = scene.operator();
    scene.wait_for_version("1.3");
    assert_eq!(scene.said("/version"), "", "it serves, and is not good yet");
    scene.wait_for_result(&format!("deployed:{V1}"));
    let probes = scene.standing()["lastGood"]["passed"]["probes"].as_u64();
    assert!(probes >= Some(3), "{probes:?}");
}
