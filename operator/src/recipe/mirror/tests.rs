use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::super::tags::TaggedVersion;
use super::super::testing::{Host, serve, snapshot};
use super::*;

fn mirror(host: &Host) -> Mirror {
    Mirror::new(&host.root(), host.url().parse().unwrap())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn names(versions: &Versions) -> Vec<String> {
    versions.versions.iter().map(TaggedVersion::tag).collect()
}

fn stale(refreshed: &Refreshed) -> (Option<Timestamp>, &str) {
    match &refreshed.freshness {
        Freshness::Stale { since, why } => (*since, why),
        Freshness::Fresh { .. } => panic!("{refreshed:?}"),
    }
}

fn fresh(refreshed: &Refreshed) -> Timestamp {
    match &refreshed.freshness {
        Freshness::Fresh { at } => *at,
        Freshness::Stale { why, .. } => panic!("{why}"),
    }
}

#[tokio::test]
async fn annotated_and_lightweight_tags_should_name_their_commits() {
    let host = Host::new();
    let first = host.publish("1.0.0+v1.9");
    let second = host.commit("second");
    host.git(["tag", "1.0.1+v1.10"]);
    host.git(["tag", "-a", "-m", "x", "1.0.2+1.10", "1.0.1+v1.10"]);
    host.git(["tag", "-a", "-m", "x", "1.0.3+1.10", "1.0.2+1.10"]);
    let mirror = mirror(&host);
    assert!(matches!(
        mirror.versions().await,
        Err(MirrorError::Missing { .. })
    ));
    assert_eq!(fresh(&mirror.refresh(at(1)).await.unwrap()), at(1));
    let versions = mirror.versions().await.unwrap();
    assert_eq!(
        names(&versions),
        ["1.0.0+v1.9", "1.0.1+v1.10", "1.0.2+1.10", "1.0.3+1.10"]
    );
    let commits: Vec<&str> = versions
        .versions
        .iter()
        .map(|tagged| tagged.commit.as_str())
        .collect();
    assert_eq!(commits, [&first, &second, &second, &second]);
    assert_eq!(versions.skipped, 0);
}

#[tokio::test]
async fn tags_that_are_no_versions_should_be_counted_and_some_named() {
    let host = Host::new();
    host.publish("1.0.0+1");
    for number in 0..30 {
        host.git(["tag", &format!("0.0.{number}")]);
    }
    host.git(["tag", "2.0.0+2", "HEAD^{tree}"]);
    host.git([OsStr::from_bytes(b"tag"), OsStr::from_bytes(b"1.0.0+\xff")]);
    let mirror = mirror(&host);
    mirror.refresh(at(1)).await.unwrap();
    let versions = mirror.versions().await.unwrap();
    assert_eq!(names(&versions), ["1.0.0+1"]);
    assert_eq!(versions.skipped, 32);
    assert_eq!(versions.skipped_names.len(), tags::SKIPPED_NAMES_MAX);
}

#[tokio::test]
async fn a_new_version_should_come_and_nothing_new_should_write_nothing() {
    let host = Host::new();
    host.publish("1.0.0+1");
    let mirror = mirror(&host);
    mirror.refresh(at(1)).await.unwrap();
    let before = snapshot(&host.root());
    assert_eq!(fresh(&mirror.refresh(at(60)).await.unwrap()), at(60));
    assert_eq!(snapshot(&host.root()), before);
    host.publish("1.0.1+1");
    mirror.refresh(at(120)).await.unwrap();
    assert_eq!(
        names(&mirror.versions().await.unwrap()),
        ["1.0.0+1", "1.0.1+1"]
    );
}

#[tokio::test]
async fn moved_and_vanished_tags_should_be_reported_once() {
    let host = Host::new();
    let from = host.publish("1.0.0+1");
    host.publish("1.1.0+1");
    host.publish("1.2.0+1");
    let mirror = mirror(&host);
    mirror.refresh(at(1)).await.unwrap();
    let to = host.commit("rewritten");
    host.git(["tag", "--force", "1.0.0+1"]);
    host.git(["tag", "--delete", "1.1.0+1"]);
    // The same commit under a new annotation is the same version.
    host.git([
        "tag",
        "--force",
        "-a",
        "-m",
        "again",
        "1.2.0+1",
        "1.2.0+1^{commit}",
    ]);
    let refreshed = mirror.refresh(at(2)).await.unwrap();
    let id = |text: &str| CommitId::parse(text).unwrap();
    assert_eq!(
        refreshed.moved,
        [MovedTag {
            tag: "1.0.0+1".to_owned(),
            from: id(&from),
            to: id(&to)
        }]
    );
    assert_eq!(refreshed.gone, ["1.1.0+1"]);
    assert_eq!(
        names(&mirror.versions().await.unwrap()),
        ["1.0.0+1", "1.2.0+1"]
    );
    let again = mirror.refresh(at(3)).await.unwrap();
    assert!(again.moved.is_empty() && again.gone.is_empty());
}

#[tokio::test]
async fn a_remote_that_is_down_should_leave_the_mirror_in_use() {
    let host = Host::new();
    host.publish("1.0.0+1");
    let mirror = mirror(&host);
    mirror.refresh(at(1)).await.unwrap();
    host.hide();
    let refreshed = mirror.refresh(at(100)).await.unwrap();
    let (since, why) = stale(&refreshed);
    assert_eq!(since, Some(at(1)));
    assert!(
        why.contains("does not appear to be a git repository"),
        "{why}"
    );
    assert_eq!(names(&mirror.versions().await.unwrap()), ["1.0.0+1"]);
    // Another process knows as much.
    let other = Mirror::new(&host.root(), host.url().parse().unwrap());
    assert_eq!(stale(&other.refresh(at(101)).await.unwrap()).0, Some(at(1)));
    host.show();
    assert_eq!(fresh(&mirror.refresh(at(200)).await.unwrap()), at(200));
}

#[tokio::test]
async fn no_mirror_and_no_remote_should_be_an_error() {
    let host = Host::new();
    host.publish("1.0.0+1");
    host.hide();
    let mirror = mirror(&host);
    let error = mirror.refresh(at(1)).await.unwrap_err();
    assert!(matches!(error, MirrorError::Unreachable { .. }), "{error}");
    assert!(matches!(
        mirror.versions().await,
        Err(MirrorError::Missing { .. })
    ));
}

#[tokio::test]
async fn a_remote_that_lost_all_its_tags_should_not_empty_the_mirror() {
    let host = Host::new();
    host.publish("1.0.0+1");
    let mirror = mirror(&host);
    mirror.refresh(at(1)).await.unwrap();
    host.git(["tag", "--delete", "1.0.0+1"]);
    let refreshed = mirror.refresh(at(2)).await.unwrap();
    assert!(stale(&refreshed).1.contains("no tags"), "{refreshed:?}");
    assert_eq!(names(&mirror.versions().await.unwrap()), ["1.0.0+1"]);
}

#[tokio::test]
async fn an_empty_repository_should_have_no_versions() {
    let host = Host::new();
    let mirror = mirror(&host);
    mirror.refresh(at(1)).await.unwrap();
    assert_eq!(mirror.versions().await.unwrap(), Versions::default());
    assert_eq!(mirror.default_branch().await.unwrap(), None);
}

/// Cuts every object file of the mirror short.
fn damage(dir: &Path) {
    for (path, bytes) in snapshot(&dir.join("objects")) {
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        #[allow(clippy::permissions_set_readonly_false)]
        permissions.set_readonly(false);
        std::fs::set_permissions(&path, permissions).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 3]).unwrap();
    }
}

#[tokio::test]
async fn damaged_objects_should_be_fetched_anew() {
    let host = Host::new();
    host.publish("1.0.0+1");
    mirror(&host).refresh(at(1)).await.unwrap();
    let mirror = mirror(&host);
    damage(mirror.dir());
    let error = mirror.versions().await.unwrap_err();
    assert!(matches!(error, MirrorError::Unreadable { .. }), "{error}");
    fresh(&mirror.refresh(at(2)).await.unwrap());
    assert_eq!(names(&mirror.versions().await.unwrap()), ["1.0.0+1"]);
}

#[tokio::test]
async fn damage_should_be_found_by_the_first_refresh_of_a_process() {
    let host = Host::new();
    host.publish("1.0.0+1");
    let before = mirror(&host);
    before.refresh(at(1)).await.unwrap();
    damage(before.dir());
    let after = mirror(&host);
    fresh(&after.refresh(at(2)).await.unwrap());
    assert_eq!(names(&after.versions().await.unwrap()), ["1.0.0+1"]);
}

#[tokio::test]
async fn damage_that_shows_while_reading_should_be_repaired_by_the_next_refresh() {
    let host = Host::new();
    host.write("compose.yml", "services: {}");
    let commit = host.publish("1.0.0+1");
    let mirror = mirror(&host);
    mirror.refresh(at(1)).await.unwrap();
    damage(mirror.dir());
    let commit = CommitId::parse(&commit).unwrap();
    assert!(mirror.tree(&commit).await.is_err());
    fresh(&mirror.refresh(at(2)).await.unwrap());
    assert!(mirror.tree(&commit).await.unwrap().has("compose.yml"));
}

type Ruin = fn(&Path) -> std::io::Result<()>;

#[tokio::test]
async fn anything_in_the_mirrors_place_should_be_replaced() {
    let host = Host::new();
    host.publish("1.0.0+1");
    let cases: [(&str, Ruin); 6] = [
        ("emptied", |dir| {
            std::fs::remove_dir_all(dir).and_then(|()| std::fs::create_dir(dir))
        }),
        ("config", |dir| {
            std::fs::write(dir.join("config"), "[core\n\0")
        }),
        ("head", |dir| std::fs::write(dir.join("HEAD"), "")),
        ("file", |dir| {
            std::fs::remove_dir_all(dir).and_then(|()| std::fs::write(dir, "x"))
        }),
        ("ref", |dir| {
            std::fs::write(dir.join("refs/tags/1.0.0+1"), "")
        }),
        ("objects", |dir| {
            std::fs::remove_dir_all(dir.join("objects"))
        }),
    ];
    for (name, ruin) in cases {
        mirror(&host).refresh(at(1)).await.unwrap();
        let mirror = mirror(&host);
        ruin(mirror.dir()).unwrap();
        fresh(
            &mirror
                .refresh(at(2))
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}")),
        );
        assert_eq!(
            names(&mirror.versions().await.unwrap()),
            ["1.0.0+1"],
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_damaged_mirror_of_a_remote_that_is_down_should_be_an_error_that_says_both() {
    let host = Host::new();
    host.publish("1.0.0+1");
    mirror(&host).refresh(at(1)).await.unwrap();
    let mirror = mirror(&host);
    std::fs::write(mirror.dir().join("config"), "[core\n").unwrap();
    host.hide();
    let error = mirror.refresh(at(2)).await.unwrap_err().to_string();
    assert!(error.contains("no usable mirror"), "{error}");
    assert!(mirror.versions().await.is_err());
}

#[tokio::test]
async fn what_an_interrupted_build_left_should_not_get_in_the_way() {
    let host = Host::new();
    host.publish("1.0.0+1");
    let mirror = mirror(&host);
    let left = mirror.place.new_dir().join("objects");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("half"), "x").unwrap();
    mirror.refresh(at(1)).await.unwrap();
    assert_eq!(names(&mirror.versions().await.unwrap()), ["1.0.0+1"]);
    assert!(!left.exists());
}

#[tokio::test]
async fn refreshes_at_the_same_time_should_all_succeed() {
    let host = Host::new();
    host.publish("1.0.0+1");
    let (a, b, c) = (mirror(&host), mirror(&host), mirror(&host));
    let (a, b, c) = tokio::join!(a.refresh(at(1)), b.refresh(at(1)), c.refresh(at(1)));
    for refreshed in [a, b, c] {
        fresh(&refreshed.unwrap());
    }
}

#[tokio::test]
async fn names_should_resolve_to_commits() {
    let host = Host::new();
    let tagged = host.publish("1.0.0+1");
    let head = host.commit("newer");
    host.git(["branch", "side", "1.0.0+1"]);
    host.git(["update-ref", "refs/pull/7/head", &head]);
    let mirror = Mirror::new(
        &host.root(),
        format!("file://{}", host.url()).parse().unwrap(),
    );
    mirror.refresh(at(1)).await.unwrap();
    for (name, commit) in [
        ("1.0.0+1", &tagged),
        ("side", &tagged),
        ("main", &head),
        ("refs/heads/main", &head),
        ("refs/pull/7/head", &head),
        (head.as_str(), &head),
    ] {
        assert_eq!(
            mirror.resolve(name).await.unwrap().as_str(),
            commit,
            "{name}"
        );
    }
    assert_eq!(
        mirror.default_branch().await.unwrap().unwrap().as_str(),
        head
    );
    for name in [
        "",
        "nothing",
        "refs/pull/8/head",
        "--all",
        "main~1",
        "main:x",
        "HEAD^",
        "0123456789012345678901234567890123456789",
    ] {
        let error = mirror.resolve(name).await.unwrap_err();
        assert!(
            matches!(error, MirrorError::NoSuchRef { .. }),
            "{name}: {error}"
        );
    }
}

#[tokio::test]
async fn a_commit_whose_tag_moved_should_still_be_readable() {
    let host = Host::new();
    host.write("compose.yml", "old");
    let old = CommitId::parse(&host.publish("1.0.0+1")).unwrap();
    let mirror = mirror(&host);
    mirror.refresh(at(1)).await.unwrap();
    host.write("compose.yml", "new");
    host.git(["add", "--all"]);
    host.git(["commit", "--quiet", "--amend", "-m", "rewritten"]);
    host.git(["tag", "--force", "1.0.0+1"]);
    assert_eq!(mirror.refresh(at(2)).await.unwrap().moved.len(), 1);
    assert_eq!(
        mirror
            .tree(&old)
            .await
            .unwrap()
            .read_text("compose.yml")
            .await
            .unwrap(),
        "old"
    );
    // A mirror that was built since has it from the remote, while the remote still has it.
    std::fs::remove_dir_all(mirror.dir()).unwrap();
    mirror.refresh(at(3)).await.unwrap();
    host.git(["config", "uploadpack.allowAnySHA1InWant", "true"]);
    assert_eq!(
        mirror
            .tree(&old)
            .await
            .unwrap()
            .read_text("compose.yml")
            .await
            .unwrap(),
        "old"
    );
    // A commit that is nowhere is no damage: nothing is built again.
    let absent = CommitId::parse(&"1".repeat(40)).unwrap();
    assert!(matches!(
        mirror.tree(&absent).await,
        Err(MirrorError::NoSuchRef { .. })
    ));
    assert_ne!(mirror.health.get(), DAMAGED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_server_should_be_mirrored_and_its_password_kept_secret() {
    let host = Host::new();
    host.publish("1.0.0+1");
    host.git(["update-server-info"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = serve(host.origin(), listener);
    let url = format!("http://bot:hunter2@127.0.0.1:{port}/.git");
    let mirror = Mirror::new(&host.root(), url.parse().unwrap());
    fresh(&mirror.refresh(at(1)).await.unwrap());
    assert_eq!(names(&mirror.versions().await.unwrap()), ["1.0.0+1"]);
    assert!(mirror.default_branch().await.unwrap().is_some());
    server.abort();
    let _ = server.await;
    let refreshed = mirror.refresh(at(2)).await.unwrap();
    assert!(stale(&refreshed).1.contains("127.0.0.1"), "{refreshed:?}");
    let other = Mirror::new(&host.root(), format!("{url}/other").parse().unwrap());
    let error = other.refresh(at(3)).await.unwrap_err();
    for shown in [
        format!("{refreshed:?}"),
        error.to_string(),
        format!("{error:?}"),
        format!("{mirror:?}"),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    for (path, bytes) in snapshot(&host.root()) {
        assert!(
            !String::from_utf8_lossy(&bytes).contains("hunter2"),
            "{}",
            path.display()
        );
    }
}

#[tokio::test]
async fn a_local_repository_of_another_user_should_be_readable() {
    let host = Host::new();
    host.publish("1.0.0+1");
    for (path, _) in snapshot(&host.origin()) {
        for path in path
            .ancestors()
            .take_while(|path| path.starts_with(host.origin()))
        {
            if std::os::unix::fs::chown(path, Some(12345), None).is_err() {
                // Only root can give files away, and only then is there something to test.
                return;
            }
        }
    }
    for url in [host.url(), format!("file://{}", host.url())] {
        let mirror = Mirror::new(&host.root(), url.parse().unwrap());
        fresh(&mirror.refresh(at(1)).await.unwrap());
        assert_eq!(names(&mirror.versions().await.unwrap()), ["1.0.0+1"]);
    }
}

#[tokio::test]
async fn a_mirror_that_git_cannot_bring_up_to_date_should_be_built_anew() {
    let host = Host::new();
    host.publish("1.0.0+1");
    let mirror = mirror(&host);
    mirror.refresh(at(1)).await.unwrap();
    host.publish("1.1.0+1");
    // What a git that was killed leaves behind.
    std::fs::write(mirror.dir().join("refs/tags/1.1.0+1.lock"), "").unwrap();
    fresh(&mirror.refresh(at(2)).await.unwrap());
    assert_eq!(
        names(&mirror.versions().await.unwrap()),
        ["1.0.0+1", "1.1.0+1"]
    );
}

#[tokio::test]
async fn a_branch_that_became_a_directory_of_branches_should_not_stop_refreshes() {
    let host = Host::new();
    host.publish("1.0.0+1");
    host.git(["branch", "side"]);
    let mirror = mirror(&host);
    mirror.refresh(at(1)).await.unwrap();
    host.git(["branch", "--delete", "--force", "side"]);
    host.git(["branch", "side/one"]);
    host.publish("1.1.0+1");
    fresh(&mirror.refresh(at(2)).await.unwrap());
    assert_eq!(
        names(&mirror.versions().await.unwrap()),
        ["1.0.0+1", "1.1.0+1"]
    );
    assert!(mirror.resolve("side/one").await.is_ok());
}
