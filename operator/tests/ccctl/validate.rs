//! `validate`.

use std::path::Path;

use crate::host::{Host, app};

#[test]
fn validate_should_say_everything_with_its_place() {
    let host = Host::new();
    let two = app("two", "")
        .replace("domain: two", "domain: TWO")
        .replace("name: two", "name: Two");
    host.put(
        "m/one.yaml",
        &format!("{}---\n{two}", app("one", "  dependson: []\n")),
    );
    host.put("m/three.yaml", "kind: WarmApp\n\tspec: x\n");
    host.put(
        "m/four.json",
        "{\"apiVersion\": \"ci-warm/v1alpha1\", \"kind\": \"Warmapp\"}",
    );
    std::fs::write(host.path("m/five.yaml"), b"kind: \xff").unwrap();
    insta::assert_snapshot!(
        "validate_problems",
        host.ccctl(&["validate", "-f", "m"]).all()
    );
}

#[test]
fn validate_should_look_between_objects() {
    let host = Host::new();
    let on = |other: &str| format!("  dependsOn:\n    - kind: WarmApp\n      name: {other}\n");
    host.put("root/warmapps/a.yaml", &app("a", &on("b")));
    host.put("root/warmapps/proxy.yaml", &app("proxy", ""));
    host.operator();
    host.put("m/b.yaml", &app("b", &on("a")));
    host.put("m/c.yaml", &app("c", &on("nobody")));
    host.put("m/d.yaml", &app("d", "  stack: proxy_example_org\n"));
    insta::assert_snapshot!(
        "validate_relations",
        host.ccctl(&["validate", "-f", "m"]).all()
    );
    let warned = host.ccctl(&["validate", "-f", "m/c.yaml"]);
    assert_eq!(warned.code, 0);
    assert!(
        warned.out.ends_with("1 object valid, 1 warning\n"),
        "{warned:?}"
    );
}

#[test]
fn validate_should_need_no_root_and_know_the_roots_own_files() {
    let host = Host::new();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let samples = samples.to_str().unwrap();
    assert_eq!(
        host.ccctl(&["--root", "nowhere", "validate", "-f", samples])
            .ok(),
        "3 objects valid\n"
    );
    host.put("root/warmapps/a.yaml", &app("b", ""));
    let ran = host.ccctl(&["validate", "-f", "root/warmapps"]);
    assert!(
        ran.code == 1
            && ran
                .out
                .contains("rename the file to `b.yaml`, or the object to `a`"),
        "{ran:?}"
    );
    assert_eq!(host.ccctl(&["validate", "-f", "nowhere.yaml"]).code, 1);
}
