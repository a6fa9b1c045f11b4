use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use jiff::Timestamp;

use super::super::mirror::Mirror;
use super::super::notes::{Extent, ManualMigration, NOTE_MAX_BYTES, manual_migration, notes_of};
use super::super::testing::Host;
use super::*;

async fn tree(host: &Host, commit: &str) -> Tree {
    let mirror = Mirror::new(&host.root(), host.url().parse().unwrap());
    mirror.refresh(Timestamp::UNIX_EPOCH).await.unwrap();
    mirror
        .tree(&CommitId::parse(commit).unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn files_should_be_those_of_the_commit() {
    let host = Host::new();
    host.write("compose.yml", "old");
    host.write("conf/a b\n.tmpl", [0, 159, 146, 150]);
    let old = host.commit("old");
    host.write("compose.yml", "new");
    host.commit("new");
    let tree = tree(&host, &old).await;
    assert_eq!(tree.read_text("compose.yml").await.unwrap(), "old");
    assert_eq!(
        tree.read("./conf/../conf/a b\n.tmpl").await.unwrap(),
        [0, 159, 146, 150]
    );
    let files = tree.load().await.unwrap();
    assert_eq!(files.read("conf", "../compose.yml").unwrap(), b"old");
    assert_eq!(
        files.read("conf", "a b\n.tmpl").unwrap(),
        [0, 159, 146, 150]
    );
    assert!(matches!(
        files.read_text("conf/a b\n.tmpl"),
        Err(TreeError::NotText { at: 1, .. })
    ));
    assert!(matches!(
        tree.read("conf").await,
        Err(TreeError::NotAFile {
            what: "a directory",
            ..
        })
    ));
    assert!(matches!(
        tree.read("compose.yaml").await,
        Err(TreeError::NotFound { .. })
    ));
}

#[tokio::test]
async fn nothing_should_lead_out_of_the_tree() {
    let host = Host::new();
    host.write("conf/inside", "text");
    for (target, link) in [
        ("/etc/passwd", "absolute"),
        ("../../etc/passwd", "up"),
        ("loop", "loop"),
        ("conf/inside", "good"),
        ("conf", "dir"),
        ("../good", "conf/back"),
    ] {
        symlink(target, host.origin().join(link)).unwrap();
    }
    let commit = host.commit("links");
    let tree = tree(&host, &commit).await;
    let files = tree.load().await.unwrap();
    for path in [
        "/etc/passwd",
        "../x",
        "conf/../../x",
        "absolute",
        "up",
        "dir/../../x",
    ] {
        assert!(
            matches!(tree.read(path).await, Err(TreeError::Outside { .. })),
            "{path}"
        );
        assert!(
            matches!(files.read("", path), Err(TreeError::Outside { .. })),
            "{path}"
        );
    }
    assert!(matches!(
        tree.read("loop").await,
        Err(TreeError::NotAFile { .. })
    ));
    for path in ["good", "dir/inside", "conf/back", "dir/back"] {
        assert_eq!(files.read_text(path).unwrap(), "text", "{path}");
    }
}

#[tokio::test]
async fn names_that_are_not_utf8_should_not_hurt() {
    let host = Host::new();
    host.write("compose.yml", "x");
    std::fs::write(host.origin().join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    let commit = host.commit("odd");
    let tree = tree(&host, &commit).await;
    assert_eq!(
        tree.paths().collect::<Vec<_>>(),
        ["caf\u{fffd}", "compose.yml"]
    );
    assert_eq!(
        tree.load().await.unwrap().read_text("compose.yml").unwrap(),
        "x"
    );
}

#[tokio::test]
async fn large_files_should_not_be_read_whole() {
    let host = Host::new();
    host.write("huge", vec![b'x'; 3 << 20]);
    host.write("small", "x");
    let commit = host.commit("large");
    let tree = tree(&host, &commit).await;
    let files = tree.load().await.unwrap();
    assert!(matches!(
        tree.read("huge").await,
        Err(TreeError::TooLarge {
            size_bytes: 3_145_728,
            ..
        })
    ));
    assert!(matches!(
        files.read("", "huge"),
        Err(TreeError::TooLarge {
            size_bytes: 3_145_728,
            ..
        })
    ));
    assert_eq!(files.read("", "small").unwrap(), b"x");
}

#[tokio::test]
async fn a_commit_that_is_not_there_should_be_an_error() {
    let host = Host::new();
    host.commit("one");
    let mirror = Mirror::new(&host.root(), host.url().parse().unwrap());
    mirror.refresh(Timestamp::UNIX_EPOCH).await.unwrap();
    let absent = CommitId::parse(&"1".repeat(40)).unwrap();
    assert!(mirror.tree(&absent).await.is_err());
}

#[tokio::test]
async fn notes_should_be_read_from_both_places_and_both_trees() {
    let host = Host::new();
    host.write("release/1.1.0+2", "first words");
    host.write("releaseNotes/1.1.0+2.md", "from the older system");
    let old = host.publish("1.1.0+2");
    host.write("release/1.1.0+2", "corrected: needs manual intervention");
    let new = host.publish("1.2.0+2");
    let (old, new) = (tree(&host, &old).await, tree(&host, &new).await);
    let version = "1.1.0+2".parse().unwrap();
    let notes = notes_of(&version, &[&old, &new]).await.unwrap();
    let texts: Vec<&str> = notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "first words",
            "from the older system",
            "corrected: needs manual intervention"
        ]
    );
    assert!(matches!(
        manual_migration(&notes),
        ManualMigration::Flagged {
            phrase: "manual intervention",
            ..
        }
    ));
    assert!(
        notes_of(&"1.2.0+2".parse().unwrap(), &[&old, &new])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_note_of_a_hundred_megabytes_should_be_read_to_its_limit_only() {
    let host = Host::new();
    host.write("release/1.1.0+2", vec![b'a'; 100 << 20]);
    let commit = host.publish("1.1.0+2");
    let tree = tree(&host, &commit).await;
    let notes = notes_of(&"1.1.0+2".parse().unwrap(), &[&tree])
        .await
        .unwrap();
    assert_eq!(notes[0].text.len(), NOTE_MAX_BYTES);
    assert_eq!(
        notes[0].extent,
        Extent::Cut {
            size_bytes: 104_857_600
        }
    );
    assert!(matches!(
        manual_migration(&notes),
        ManualMigration::TooLong { .. }
    ));
}
