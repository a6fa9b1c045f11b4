#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

#[test]
fn real_tags_should_display_as_they_were_read() {
    for tag in [
        "10.7.1+26.6.2",
        "5.1.1+v3.6.15",
        "1.0.0+1.0.5-social-amd64",
        "1.1.1+6-alpine",
        "1.0.0+v1.6.870-0",
        "1.0.0+2024.01+build.7",
        "1.0.0-rc.1+2",
    ] {
        let parsed = version(tag);
        assert_eq!(parsed.to_string(), tag);
        assert_eq!(
            serde_json::to_string(&parsed).unwrap(),
            format!("\"{tag}\"")
        );
        assert_eq!(
            serde_json::from_str::<Version>(&format!("\"{tag}\"")).unwrap(),
            parsed
        );
    }
}

#[test]
fn everything_after_the_first_plus_should_be_the_app_version() {
    let parsed = version("1.0.0+2024.01+build.7");
    assert_eq!(parsed.recipe, semver::Version::new(1, 0, 0));
    assert_eq!(parsed.app.as_str(), "2024.01+build.7");
}

#[test]
fn a_text_that_is_not_a_version_should_say_why() {
    let check = |text: &str, part: &str| {
        let error = text.parse::<Version>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    };
    check("0.0.1", "after a `+`");
    check("", "after a `+`");
    check("${COOP_CLOUD_VERSION:-latest}", "after a `+`");
    check("v1.0.0+1", "recipe part `v1.0.0`");
    check("01.0.0+1", "recipe part `01.0.0`");
    check("1.0+1", "recipe part `1.0`");
    check("1.0.0+", "is empty");
    check("1.0.0+a/../b", "may have only");
    check("1.0.0+a b", "may have only");
    check(&format!("1.0.0+{}", "9".repeat(4096)), "longer than 128");
    assert!(
        format!("1.0.0+{}", "9".repeat(4096))
            .parse::<Version>()
            .unwrap_err()
            .to_string()
            .len()
            < 400
    );
}

#[test]
fn versions_should_sort_as_people_read_them() {
    let sorted = [
        "0.9.0+99",
        "1.0.0-rc.1+1",
        "1.0.0+1.0-alpha1",
        "1.0.0+1.0-rc1",
        "1.0.0+1.0-rc2",
        "1.0.0+1.0",
        "1.0.0+1.0-alpine",
        "1.0.0+1.0.5-social-amd64",
        "1.0.0+1.0.6-social-amd64",
        "1.0.0+v1.6.870-0",
        "1.0.0+1.6.870-1",
        "1.0.0+v1.9",
        "1.0.0+1.10",
        "1.0.0+99999999999999999999999998",
        "1.0.0+99999999999999999999999999",
        "1.0.1+0",
        "2.0.0+1.0.5-social-amd64",
        "10.0.0+1",
    ]
    .map(version);
    assert!(sorted.is_sorted());
    for pair in sorted.windows(2) {
        assert!(pair[0] < pair[1], "{} {}", pair[0], pair[1]);
    }
}

#[test]
fn texts_that_read_the_same_should_still_have_one_order() {
    let (plain, prefixed) = (version("1.0.0+1.0"), version("1.0.0+v1.0"));
    assert_ne!(plain, prefixed);
    assert!(plain < prefixed);
}

#[test]
fn a_major_rise_should_name_its_part() {
    let check = |from: &str, to: &str, expected| {
        assert_eq!(
            major_rise(&version(from), &version(to)),
            expected,
            "{from} -> {to}"
        );
    };
    check("10.7.1+26.6.2", "10.7.2+26.7.0", None);
    check("10.7.1+26.6.2", "11.0.0+26.6.2", Some(MajorPart::Recipe));
    check("10.7.1+26.6.2", "10.8.0+27.0.0", Some(MajorPart::App));
    check("10.7.1+26.6.2", "11.0.0+27.0.0", Some(MajorPart::Recipe));
    check(
        "1.0.0+1.0.5-social-amd64",
        "2.0.0+1.0.5-social-amd64",
        Some(MajorPart::Recipe),
    );
    check("2.0.0+1.0.5-social-amd64", "2.0.1+1.0.6-social-amd64", None);
    check("1.0.0+v3.6", "1.0.1+3.7", None);
    check("1.0.0+3.6", "1.0.1+v4.0", Some(MajorPart::App));
    check("1.0.0+6-alpine", "1.0.1+7-alpine", Some(MajorPart::App));
    check("1.0.0+9.1", "1.0.1+10.0", Some(MajorPart::App));
    check("1.0.0+7.4", "1.0.0+7.4", None);
    // Going back is not a rise.
    check("11.0.0+27.0.0", "10.7.1+26.6.2", None);
}

#[test]
fn an_app_version_without_a_number_in_front_should_err_to_hold() {
    let check = |from: &str, to: &str, expected| {
        assert_eq!(
            major_rise(&version(from), &version(to)),
            expected,
            "{from} -> {to}"
        );
    };
    check("1.0.0+latest", "1.0.1+latest", None);
    check("1.0.0+latest", "1.0.1+stable", Some(MajorPart::App));
    check("1.0.0+latest", "1.0.1+3.0", Some(MajorPart::App));
    check("1.0.0+3.0", "1.0.1+8f3a2c1", Some(MajorPart::App));
    check("1.0.0+release-3.1", "1.0.1+release-3.2", None);
    check(
        "1.0.0+release-3.1",
        "1.0.1+release-4.0",
        Some(MajorPart::App),
    );
    check(
        "1.0.0+release-v3.1",
        "1.0.1+release-v4.0",
        Some(MajorPart::App),
    );
    check("1.0.0+release", "1.0.1+release-4.0", Some(MajorPart::App));
    check("1.0.0+2024.1", "1.0.1+5.0", Some(MajorPart::App));
}

#[test]
fn policies_should_read_and_match() {
    let check = |policy: &str, matching: &[&str], other: &[&str]| {
        let parsed: VersionPolicy = policy.parse().unwrap();
        assert_eq!(parsed.to_string(), policy);
        assert_eq!(
            serde_json::from_value::<VersionPolicy>(policy.into()).unwrap(),
            parsed
        );
        for text in matching {
            assert!(parsed.matches(&version(text)), "{policy} {text}");
        }
        for text in other {
            assert!(!parsed.matches(&version(text)), "{policy} {text}");
        }
    };
    check("latest", &["1.0.0+1", "99.0.0+latest"], &["1.0.0-rc.1+1"]);
    check(
        "~10.7",
        &["10.7.0+1", "10.7.9+26"],
        &["10.8.0+1", "10.6.9+1", "10.7.1-rc.1+1"],
    );
    check(
        ">=1.2, <2",
        &["1.2.0+9", "1.99.0+1"],
        &["1.1.9+1", "2.0.0+1"],
    );
    check("10.*", &["10.0.0+1"], &["11.0.0+1"]);
    check(
        "10.7.1+26.6.2",
        &["10.7.1+26.6.2"],
        &["10.7.1+26.6.3", "10.7.1+v26.6.2"],
    );
}

#[test]
fn a_bad_policy_should_say_what_to_write() {
    let check = |text: &str, part: &str| {
        let error = text.parse::<VersionPolicy>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    };
    check("  ", "write `latest`");
    check("10.7.1", "write `=10.7.1`");
    check(">=1, 2", "write `=2`");
    check("~10.7+26", "leave out `+`");
    check("newest", "not a range of versions");
    check("~~1", "not a range of versions");
    check("10.7+26", "recipe part `10.7`");
}

#[test]
fn schemas_should_be_strings() {
    for schema in [
        schemars::schema_for!(Version),
        schemars::schema_for!(VersionPolicy),
    ] {
        assert_eq!(schema.get("type").unwrap(), "string");
    }
}

fn any_app() -> impl Strategy<Value = String> {
    prop_oneof![
        "[v]?[0-9]{1,3}([.-][0-9]{1,3}){0,3}",
        "[v0-9a-c.+_-]{1,8}",
        "(v|V)?[0-2]{1,2}(\\.|-|_)?(rc|alpha|alpine|b)?[0-2]{0,2}",
    ]
}

fn any_version() -> impl Strategy<Value = String> {
    (0..3u8, 0..2u8, 0..2u8, any_app())
        .prop_map(|(major, minor, patch, app)| format!("{major}.{minor}.{patch}+{app}"))
}

proptest! {
    #[test]
    fn any_version_should_come_back_byte_for_byte(text in any_version()) {
        prop_assert_eq!(version(&text).to_string(), text);
    }

    #[test]
    fn any_text_should_be_refused_or_come_back(text in ".{0,40}") {
        if let Ok(parsed) = text.parse::<Version>() {
            prop_assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn the_order_should_be_total(a in any_version(), b in any_version(), c in any_version()) {
        let (a, b, c) = (version(&a), version(&b), version(&c));
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        let mut sorted = [a, b, c];
        sorted.sort();
        let [a, b, c] = sorted;
        prop_assert!(a <= b && b <= c && a <= c);
    }

    #[test]
    fn the_order_of_apps_should_be_total(a in any_app(), b in any_app(), c in any_app()) {
        let [a, b, c] = [a, b, c].map(|app| version(&format!("1.0.0+{app}")));
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn nothing_should_rise_to_itself(text in any_version()) {
        prop_assert_eq!(major_rise(&version(&text), &version(&text)), None);
    }
}
