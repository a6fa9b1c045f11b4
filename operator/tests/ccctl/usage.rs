//! Exit codes, help, pipes and colours.

use std::process::Stdio;

use crate::host::{Host, app};

#[test]
fn exit_codes_should_be_as_documented() {
    let host = Host::new();
    host.put("root/warmapps/a.yaml", &app("a", ""));
    for (arguments, code) in [
        (&["get", "wa"][..], 0),
        (&["--help"], 0),
        (&["version"], 0),
        (&["get", "wa", "--root", "/nonexistent"], 1),
        (&["get", "pods"], 2),
        (&["get"], 2),
        (&["frobnicate"], 2),
        (&["get", "wa/A"], 2),
        (&["get", "wa/b"], 3),
        (&["describe", "wa", "a", "b"], 3),
    ] {
        let ran = host.ccctl(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(!ran.err.contains("backtrace"), "{ran:?}");
    }
}

#[test]
fn help_should_show_examples_and_exit_codes() {
    let help = Host::new().ccctl(&["--help"]).ok();
    for part in [
        "Examples:",
        "ccctl approve wa/keycloak",
        "Exit codes: 0",
        "CI_WARM_ROOT",
        "/var/lib/ci-warm",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn a_missing_root_should_not_be_made_up() {
    let host = Host::new();
    let ran = host.ccctl_with(&["--root", "fresh", "apply", "-f", "-"], &app("a", ""));
    assert_eq!(ran.code, 1);
    assert!(
        ran.err
            .contains("name the directory with --root or CI_WARM_ROOT"),
        "{ran:?}"
    );
    assert!(!host.path("fresh").exists());
    std::fs::create_dir(host.path("empty")).unwrap();
    let ran = host.ccctl(&["--root", "empty", "get", "wa"]);
    assert!(ran.err.contains("no .ci-warm marker"), "{ran:?}");
    assert_eq!(std::fs::read_dir(host.path("empty")).unwrap().count(), 0);
}

#[test]
fn a_reader_that_leaves_should_be_no_failure() {
    let host = Host::new();
    // More than a pipe holds, so that the write fails for sure.
    for number in 0..400 {
        host.put(
            &format!("root/warmapps/app-{number}.yaml"),
            &app(&format!("app-{number}"), ""),
        );
    }
    let mut child = host
        .command(&["get", "wa", "-o", "yaml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn output_into_a_pipe_should_have_no_colours() {
    let host = Host::new();
    host.put("root/warmapps/a.yaml", &app("a", ""));
    assert!(!host.ccctl(&["get", "wa"]).ok().contains('\x1b'));
}
