//! The helpers of the other tests that need no engine.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use ci_warm_e2e::{LIMIT, RecipeRepo, VolumeHash, free_port, wait_for};

#[test]
fn waiting_gives_what_was_found() {
    let mut looks = 0;
    let found = wait_for("three looks", LIMIT, || {
        looks += 1;
        if looks == 3 { Ok(looks) } else { Err(looks) }
    });
    assert_eq!(found, 3);
}

#[test]
#[should_panic(expected = "waited 0ns for a miracle; last seen: nothing yet")]
fn waiting_in_vain_says_what_was_seen_last() {
    wait_for("a miracle", Duration::ZERO, || Err::<(), _>("nothing yet"));
}

#[test]
fn a_hash_notices_content_mode_links_and_absence() {
    let root = tempfile::tempdir().unwrap();
    let (file, link) = (root.path().join("file"), root.path().join("link"));
    fs::write(&file, "one").unwrap();
    symlink("file", &link).unwrap();
    let before = VolumeHash::of(root.path());
    assert_eq!(before, VolumeHash::of(root.path()));

    fs::write(&file, "two").unwrap();
    let written = VolumeHash::of(root.path());
    assert_ne!(before.short(), written.short());

    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let changed = VolumeHash::of(root.path());
    assert_ne!(written, changed);

    fs::remove_file(&link).unwrap();
    assert_ne!(changed, VolumeHash::of(root.path()));
}

#[test]
fn a_recipe_publishes_moves_and_removes_versions() {
    let repo = RecipeRepo::new();
    let first = repo.publish("1.0.0+1", "records:v1");
    let second = repo
        .version("2.0.0+2", "records:v2")
        .notes("Read this.")
        .env("COLOUR=red")
        .publish();
    assert_ne!(first, second);
    assert_eq!(repo.git(&["tag", "--list"]), "1.0.0+1\n2.0.0+2");
    assert_eq!(repo.git(&["cat-file", "-t", "2.0.0+2"]), "tag");
    assert_eq!(repo.git(&["show", "2.0.0+2:release/2.0.0+2"]), "Read this.");
    assert!(
        repo.git(&["show", "2.0.0+2:compose.yml"])
            .contains("image: records:v2")
    );
    assert!(
        repo.git(&["show", "2.0.0+2:.env.sample"])
            .ends_with("COLOUR=red")
    );
    for file in ["compose.yml", ".env.sample", "abra.sh"] {
        assert!(
            !repo
                .git(&["show", &format!("1.0.0+1:{file}")])
                .contains('@'),
            "{file} is filled in"
        );
    }

    repo.move_tag("2.0.0+2", &first);
    assert_eq!(repo.git(&["rev-parse", "2.0.0+2^{commit}"]), first);
    repo.remove_tag("1.0.0+1");
    assert_eq!(repo.git(&["tag", "--list"]), "2.0.0+2");
}

#[test]
fn ports_are_given_once() {
    assert_ne!(free_port(), free_port());
}
