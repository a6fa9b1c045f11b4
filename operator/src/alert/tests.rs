use ci_warm_api_types::alert::AlertTime;
use tempfile::TempDir;

use super::*;

const TS: &str = "20260613T054428Z";

fn alert(app: &str, ts: &str) -> Alert {
    Alert::new(
        app,
        "rolled-back".parse().unwrap(),
        ts.parse::<AlertTime>().unwrap(),
    )
}

fn id(operation: &str) -> AlertId {
    AlertId::of_operation(operation, &"rolled-back".parse().unwrap())
}

fn written(raised: &Raised) -> PathBuf {
    match raised {
        Raised::Written(path) => path.clone(),
        Raised::Before(path) => panic!("found {}", path.display()),
    }
}

fn names(root: &Path) -> Vec<String> {
    list(root)
        .unwrap()
        .iter()
        .map(|one| {
            one.path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

/// What a relay does with a delivered alert.
fn deliver(root: &Path, path: &Path) -> PathBuf {
    let seen = directory(root, Delivery::Seen);
    fs::create_dir_all(&seen).unwrap();
    let to = seen.join(path.file_name().unwrap());
    fs::rename(path, &to).unwrap();
    to
}

fn root() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn an_alert_is_a_file_of_the_documented_name_and_form() {
    let root = root();
    let mut traefik = alert("traefik", TS);
    traefik.version = Some("5.1.1+v3.6.15".to_owned());
    let path = written(&raise(root.path(), &traefik, &id("1")).unwrap());
    assert_eq!(
        path,
        root.path()
            .join("alerts/20260613T054428Z-traefik-rolled-back.json")
    );
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        concat!(
            r#"{"id":"operation/1/rolled-back","app":"traefik","reason":"rolled-back","ts":"20260613T054428Z","version":"5.1.1+v3.6.15"}"#,
            "\n"
        )
    );
    assert_eq!(
        names(root.path()),
        ["alerts/20260613T054428Z-traefik-rolled-back.json"]
    );
}

#[test]
fn the_same_identity_is_raised_once_whenever_and_wherever_it_lies() {
    let root = root();
    let path = written(&raise(root.path(), &alert("a", TS), &id("1")).unwrap());
    let again = alert("a", "20260613T060000Z");
    assert_eq!(
        raise(root.path(), &again, &id("1")).unwrap(),
        Raised::Before(path.clone())
    );

    let seen = deliver(root.path(), &path);
    assert_eq!(
        raise(root.path(), &again, &id("1")).unwrap(),
        Raised::Before(seen)
    );
    assert_eq!(
        names(root.path()),
        ["alerts/seen/20260613T054428Z-a-rolled-back.json"]
    );
}

#[test]
fn different_alerts_of_one_second_get_a_file_each() {
    let root = root();
    let first = written(&raise(root.path(), &alert("a", TS), &id("1")).unwrap());
    written(&raise(root.path(), &alert("a", TS), &id("2")).unwrap());
    // Also when the first has been delivered: a relay that moves the next one must not lose it.
    deliver(root.path(), &first);
    written(&raise(root.path(), &alert("a", TS), &id("3")).unwrap());
    assert_eq!(
        names(root.path()),
        [
            "alerts/20260613T054428Z-a-rolled-back-2.json",
            "alerts/20260613T054428Z-a-rolled-back-3.json",
            "alerts/seen/20260613T054428Z-a-rolled-back.json",
        ]
    );
}

#[test]
fn a_torn_file_is_listed_as_broken_and_its_alert_raised_again() {
    let root = root();
    let path = written(&raise(root.path(), &alert("a", TS), &id("1")).unwrap());
    let half = fs::read(&path).unwrap();
    fs::write(&path, &half[..half.len() / 2]).unwrap();
    written(&raise(root.path(), &alert("a", TS), &id("1")).unwrap());

    let listed = list(root.path()).unwrap();
    let [good, broken] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert_eq!(good.content.as_ref().unwrap().id, Some(id("1")));
    assert_eq!(broken.path, path);
    let why = broken.content.as_ref().unwrap_err();
    assert!(
        why.contains("rolled-back.json is not an alert: EOF"),
        "{why}"
    );
}

#[test]
fn what_cannot_be_an_alert_is_listed_as_broken() {
    let root = root();
    let alerts = directory(root.path(), Delivery::Due);
    fs::create_dir_all(alerts.join("directory.json")).unwrap();
    fs::write(alerts.join("garbage.json"), [0xff, 0x00]).unwrap();
    File::create(alerts.join("huge.json"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    fs::write(alerts.join(".hidden.json"), "{").unwrap();
    fs::write(alerts.join("notes.txt"), "x").unwrap();
    fs::write(
        alerts.join("old.json"),
        format!(r#"{{"app":"a","reason":"x","ts":"{TS}"}}"#),
    )
    .unwrap();
    let broken: Vec<_> = list(root.path())
        .unwrap()
        .into_iter()
        .map(|one| {
            (
                one.path.file_name().unwrap().to_str().unwrap().to_owned(),
                one.content.is_err(),
            )
        })
        .collect();
    assert_eq!(
        broken,
        [
            ("directory.json", true),
            ("garbage.json", true),
            ("huge.json", true),
            ("old.json", false)
        ]
        .map(|(name, broken)| (name.to_owned(), broken))
    );
    written(&raise(root.path(), &alert("a", TS), &id("1")).unwrap());
}

#[test]
fn nothing_there_yet_is_empty_but_unreadable_is_an_error() {
    let root = root();
    assert_eq!(list(root.path()).unwrap(), []);

    let gone = root.path().join("unmounted");
    assert!(list(&gone).is_err());
    assert!(raise(&gone, &alert("a", TS), &id("1")).is_err());
    assert!(!gone.exists(), "a missing root must not be made");

    let alerts = directory(root.path(), Delivery::Due);
    fs::write(&alerts, "in the way").unwrap();
    let error = list(root.path()).unwrap_err().to_string();
    assert!(
        error.contains("cannot list") && error.contains("alerts"),
        "{error}"
    );
    assert!(raise(root.path(), &alert("a", TS), &id("1")).is_err());

    fs::remove_file(&alerts).unwrap();
    fs::create_dir(&alerts).unwrap();
    fs::write(directory(root.path(), Delivery::Seen), "in the way").unwrap();
    assert!(list(root.path()).is_err());
    assert!(raise(root.path(), &alert("a", TS), &id("1")).is_err());
}

#[test]
fn odd_names_stay_inside_the_directory() {
    let root = root();
    for (number, app) in ["../../etc/passwd", "", "a b\n", &"x".repeat(5000)]
        .iter()
        .enumerate()
    {
        let path = written(&raise(root.path(), &alert(app, TS), &id(&number.to_string())).unwrap());
        assert_eq!(
            path.parent().unwrap(),
            directory(root.path(), Delivery::Due)
        );
    }
    assert!(
        list(root.path())
            .unwrap()
            .iter()
            .all(|one| one.content.is_ok())
    );
}

#[test]
fn long_notes_are_cut_and_say_so() {
    let root = root();
    let mut long = alert("a", TS);
    long.release_notes = Some("é".repeat(1 << 20));
    let path = written(&raise(root.path(), &long, &id("1")).unwrap());
    assert!(fs::metadata(path).unwrap().len() < 20_000);
    let listed = list(root.path()).unwrap().remove(0).content.unwrap();
    assert!(
        listed
            .release_notes
            .unwrap()
            .ends_with("[cut here; 2097152 bytes in all]")
    );
}

#[test]
fn secrets_are_taken_out() {
    let key = "-----BEGIN KEY-----\nMIIBOgIBAAJBAK\nshort\n-----END KEY-----\n";
    let redactor = Redactor::new(["hunter2", "hunter2-and-more", "", " \n", "r", key]);
    assert_eq!(
        redactor.text("pw hunter2, hunter2-and-more."),
        "pw [redacted], [redacted]."
    );
    assert_eq!(redactor.text("near"), "nea[redacted]");
    assert_eq!(
        redactor.text("line MIIBOgIBAAJBAK is bad"),
        "line [redacted] is bad"
    );
    assert_eq!(redactor.text(&format!("é {key}")), "é [redacted]\n");
    assert_eq!(Redactor::default().text("as it is"), "as it is");
    assert!(!format!("{redactor:?}").contains("hunter2"));

    let mut loud = alert("a", TS);
    loud.message = Some("login as x:hunter2".to_owned());
    loud.release_notes = Some("hunter2".to_owned());
    let quiet = serde_json::to_string(&redactor.alert(&loud)).unwrap();
    assert!(!quiet.contains("hunter2"), "{quiet}");
}
