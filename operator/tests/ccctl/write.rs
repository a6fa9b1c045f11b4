//! `apply`, `delete`, `suspend` and `resume`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::host::{Host, app, name, relist};

fn snapshot(instance: &str) -> String {
    format!(
        "apiVersion: ci-warm/v1alpha1\nkind: Snapshot\nmetadata:\n  name: before\nspec:\n  instance: {instance}\n"
    )
}

#[test]
fn apply_should_keep_what_a_person_wrote() {
    let host = Host::new();
    let text = format!("---\n{}# the end\n", app("a", ""));
    host.put("a.yaml", &text);
    assert_eq!(
        host.ccctl(&["apply", "-f", "a.yaml"]).ok(),
        "warmapp/a created\n"
    );
    assert_eq!(host.text("root/warmapps/a.yaml"), text);
    assert_eq!(
        host.ccctl(&["apply", "-f", "a.yaml"]).ok(),
        "warmapp/a unchanged\n"
    );
    host.put("a.yaml", &text.replace("the end", "that is all"));
    assert_eq!(
        host.ccctl(&["apply", "-f", "a.yaml", "--dry-run"]).ok(),
        "warmapp/a configured (dry run)\n"
    );
    assert_eq!(host.text("root/warmapps/a.yaml"), text);
    assert_eq!(
        host.ccctl(&["apply", "-f", "a.yaml"]).ok(),
        "warmapp/a configured\n"
    );
    assert!(host.text("root/warmapps/a.yaml").contains("that is all"));
    let store = host.operator();
    assert_eq!(
        store.get(&name("a")).unwrap().spec.as_ref().unwrap().domain,
        "a.example.org"
    );
}

#[test]
fn apply_should_take_documents_directories_and_standard_input() {
    let host = Host::new();
    host.put(
        "m/one.yaml",
        &format!("# both\n---\n{}---\n{}", app("a", ""), app("b", "")),
    );
    host.put("m/notes.txt", "not read");
    host.put("m/.hidden.yaml", "{");
    host.put("m/below/c.yml", &app("c", ""));
    assert_eq!(
        host.ccctl(&["apply", "-f", "m"]).ok(),
        "warmapp/a created\nwarmapp/b created\n"
    );
    assert_eq!(host.text("root/warmapps/b.yaml"), app("b", ""));
    assert!(
        host.ccctl(&["apply", "-R", "-f", "m"])
            .ok()
            .starts_with("warmapp/c created\n")
    );
    assert_eq!(
        host.ccctl_with(&["apply", "-f", "-"], &snapshot("a_example_org"))
            .ok(),
        "snapshot/before created\n"
    );
    let nothing = host.ccctl_with(&["apply", "-f", "-"], "# nothing\n");
    assert_eq!(nothing.code, 1);
    assert!(nothing.err.contains("no object in -"), "{nothing:?}");
}

#[test]
fn apply_should_do_all_or_nothing() {
    let host = Host::new();
    let both = format!("{}---\n{}", app("a", ""), app("b", "  suspend: maybe\n"));
    let ran = host.ccctl_with(&["apply", "-f", "-"], &both);
    insta::assert_snapshot!("apply_problem", ran.all());
    assert!(!host.path("root/warmapps/a.yaml").exists());
    let twice = host.ccctl_with(
        &["apply", "-f", "-"],
        &format!("{}---\n{}", app("a", ""), app("a", "")),
    );
    assert!(
        twice
            .err
            .contains("<stdin>:16:3: warmapp/a was given before, at <stdin>:5"),
        "{twice:?}"
    );
}

#[test]
fn apply_should_refuse_what_the_operator_would() {
    let host = Host::new();
    host.put("root/warmapps/old.yaml", &app("old", ""));
    host.operator();
    let taken = app("new", "").replace("new.example.org", "old.example.org");
    let ran = host.ccctl_with(&["apply", "-f", "-"], &taken);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("<stdin>:9:3: spec.domain: NameTaken: the domain `old.example.org` belongs to WarmApp old"), "{ran:?}");
    host.ccctl_with(&["apply", "-f", "-"], &snapshot("a")).ok();
    let ran = host.ccctl_with(&["apply", "-f", "-"], &snapshot("b"));
    assert!(
        ran.err
            .contains("<stdin>:6:3: the spec of snapshot/before cannot change"),
        "{ran:?}"
    );
}

#[test]
fn symlinked_manifests_should_be_left_alone() {
    let host = Host::new();
    let elsewhere = host.put("nix/a.yaml", &app("a", ""));
    fs::create_dir(host.path("root/warmapps")).unwrap();
    symlink(&elsewhere, host.path("root/warmapps/a.yaml")).unwrap();
    host.operator();
    let says_where = format!(
        "root>/warmapps/a.yaml is a symlink to {}",
        elsewhere.display()
    );
    for arguments in [
        vec!["delete", "wa/a"],
        vec!["suspend", "wa/a"],
        vec!["apply", "-f", "-"],
    ] {
        let ran = host.ccctl_with(&arguments, &app("a", "  interval: 5m\n"));
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(&says_where), "{ran:?}");
    }
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), app("a", ""));
    assert_eq!(
        host.ccctl(&["apply", "-f", "nix"]).ok(),
        "warmapp/a unchanged\n"
    );
    assert!(
        host.ccctl(&["describe", "wa/a"])
            .out
            .contains(&format!("-> {}", elsewhere.display()))
    );
    // Asking for something once needs no writable manifest.
    assert_eq!(
        host.ccctl(&["retry", "wa/a"]).ok(),
        "warmapp/a will be retried\n"
    );
}

#[test]
fn a_vanished_directory_should_not_be_made_anew() {
    let host = Host::new();
    host.ccctl_with(&["apply", "-f", "-"], &app("a", "")).ok();
    let store = host.operator();
    fs::remove_dir_all(host.path("root/warmapps")).unwrap();
    let ran = host.ccctl_with(&["apply", "-f", "-"], &app("b", ""));
    assert_eq!(ran.code, 1);
    assert!(
        ran.err
            .contains("warmapps is missing although the operator knows 1 object"),
        "{ran:?}"
    );
    relist(&store);
    assert!(
        store
            .get(&name("a"))
            .unwrap()
            .meta
            .deletion_timestamp
            .is_none()
    );
}

#[test]
fn deleting_by_name_should_not_be_taken_for_an_accident() {
    let host = Host::new();
    host.ccctl_with(
        &["apply", "-f", "-"],
        &format!("{}---\n{}", app("a", ""), app("b", "")),
    )
    .ok();
    let store = host.operator();
    assert_eq!(
        host.ccctl(&["delete", "warmapp", "a", "b"]).ok(),
        "warmapp/a deletion asked for\nwarmapp/b deletion asked for\n"
    );
    let relisted = relist(&store);
    assert_eq!(relisted.held, None);
    assert_eq!(store.snapshot().iter().count(), 0);
    assert_eq!(host.ccctl(&["get", "wa", "-o", "name"]).ok(), "");
}

#[test]
fn a_held_deletion_should_be_released_by_name() {
    let host = Host::new();
    host.ccctl_with(
        &["apply", "-f", "-"],
        &format!("{}---\n{}", app("a", ""), app("b", "")),
    )
    .ok();
    let store = host.operator();
    for stem in ["a", "b"] {
        fs::remove_file(host.path("root/warmapps").join(format!("{stem}.yaml"))).unwrap();
    }
    assert!(relist(&store).held.is_some());
    assert_eq!(
        host.ccctl(&["delete", "wa/a"]).ok(),
        "warmapp/a deletion asked for\n"
    );
    relist(&store);
    assert_eq!(host.ccctl(&["get", "wa", "-o", "name"]).ok(), "warmapp/b\n");
}

#[test]
fn delete_should_say_what_is_not_there() {
    let host = Host::new();
    let file = host.put("a.yaml", &app("a", ""));
    host.ccctl(&["apply", "-f", "a.yaml"]).ok();
    let ran = host.ccctl(&["delete", "wa", "a", "nope"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, "warmapp/a deleted\n"));
    assert!(
        ran.err
            .starts_with("error: warmapp/nope not found in <root>"),
        "{ran:?}"
    );
    assert_eq!(host.ccctl(&["delete", "-f", "a.yaml"]).code, 3);
    assert_eq!(
        host.ccctl(&["delete", "-f", "a.yaml", "--ignore-not-found"])
            .ok(),
        ""
    );
    assert_eq!(host.ccctl(&["delete", "wa/a", "-f", "a.yaml"]).code, 2);
    assert_eq!(host.ccctl(&["delete", "wa"]).code, 2);
    assert!(file.exists());
}

#[test]
fn delete_should_wait_for_the_operator() {
    let host = Host::new();
    host.ccctl_with(&["apply", "-f", "-"], &app("a", "")).ok();
    let store = host.operator();
    let ran = host.ccctl(&["delete", "wa/a", "--wait", "--timeout", "1ms"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (1, "warmapp/a deletion asked for\n")
    );
    assert!(ran.err.contains("still there: warmapp/a"), "{ran:?}");
    let uid = store.get(&name("a")).unwrap().meta.uid.clone();
    store
        .update(&name("a"), &uid, |record, _| {
            record.meta.finalizers.push("test".into());
        })
        .unwrap();
    relist(&store);
    let mut child = host
        .command(&["delete", "wa/a", "--wait"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    // It says so before it waits, and it cannot end while the finalizer stands.
    let said = out.next().unwrap().unwrap();
    assert_eq!(said, "warmapp/a is being deleted already");
    store
        .update(&name("a"), &uid, |record, _| {
            record.meta.finalizers.clear();
        })
        .unwrap();
    assert_eq!(out.next().unwrap().unwrap(), "warmapp/a gone");
    assert!(child.wait().unwrap().success());
}

#[test]
fn suspend_and_resume_should_change_one_line() {
    let host = Host::new();
    let text = app("a", "  suspend: false # by night\n  interval: 5m\n");
    host.put("root/warmapps/a.yaml", &text);
    host.put("root/warmapps/b.yaml", &app("b", ""));
    assert_eq!(
        host.ccctl(&["suspend", "wa", "a", "b"]).ok(),
        "warmapp/a suspended\nwarmapp/b suspended\n"
    );
    assert_eq!(
        host.text("root/warmapps/a.yaml"),
        text.replace("suspend: false", "suspend: true")
    );
    assert_eq!(
        host.text("root/warmapps/b.yaml"),
        app("b", "").replace("spec:\n", "spec:\n  suspend: true\n")
    );
    assert_eq!(
        host.ccctl(&["suspend", "wa/a"]).ok(),
        "warmapp/a unchanged: it is suspended already\n"
    );
    assert_eq!(host.ccctl(&["resume", "wa/a"]).ok(), "warmapp/a resumed\n");
    assert_eq!(host.text("root/warmapps/a.yaml"), text);
    assert_eq!(
        host.ccctl(&["resume", "wa/a"]).ok(),
        "warmapp/a unchanged: it is not suspended\n"
    );
    assert_eq!(host.ccctl(&["suspend", "snap/x"]).code, 2);
    assert_eq!(host.ccctl(&["suspend", "wa/x"]).code, 3);
    host.put("root/warmapps/a.yaml", &app("a", "  intervall: 5m\n"));
    let ran = host.ccctl(&["suspend", "wa/a"]);
    assert!(
        ran.code == 1
            && ran.err.contains("did you mean `interval`?")
            && ran.err.contains("mend the manifest"),
        "{ran:?}"
    );
}
