//! Which version is taken.

use ci_warm_api_types::version::VersionPolicy;
use ci_warm_rollout::Seen;

use crate::case::{Case, candidate, case, flagged, generation, offer, version, with_secret};

fn offered(offers: &[&str]) -> Case {
    case().offers(offers.iter().map(|text| offer(text)).collect(), "a")
}

#[test]
fn newest_version_should_be_taken() {
    offered(&["1.0.0+1.0"]).check_choice("stay");
    offered(&["1.0.0+1.0", "1.2.0+1.2", "1.1.0+1.1"]).check_choice("take 1.2.0+1.2-a");
    offered(&["1.0.0+1.0", "1.0.0+1.1"]).check_choice("take 1.0.0+1.1-a");
    offered(&["1.0.0+1.0", "1.1.0-rc.1+1.1"]).check_choice("stay");
}

#[test]
fn versions_should_be_held_by_either_major_part() {
    offered(&["1.0.0+1.0", "2.0.0+1.0"]).check_choice("stay, held 2.0.0+1.0 held-major");
    offered(&["1.0.0+1.0", "1.1.0+2.0"]).check_choice("stay, held 1.1.0+2.0 held-major");
    offered(&["1.0.0+1.0", "2.0.0+1.0"])
        .with(|case| case.intent.hold.major = false)
        .check_choice("take 2.0.0+1.0-a");
}

#[test]
fn newest_version_that_is_not_held_should_be_taken_beside_the_held_one() {
    offered(&["1.0.0+1.0", "1.1.0+1.1", "2.0.0+2.0", "3.0.0+3.0"])
        .check_choice("take 1.1.0+1.1-a, held 3.0.0+3.0 held-major");
}

#[test]
fn notes_of_skipped_versions_should_hold() {
    let offers = vec![
        flagged("1.0.0+1.0"),
        offer("1.1.0+1.1"),
        flagged("1.2.0+1.2"),
        offer("1.3.0+1.3"),
    ];
    let held = case().offers(offers, "a");
    held.check_choice("take 1.1.0+1.1-a, held 1.3.0+1.3 held-manual-migration");
    held.with(|case| case.intent.hold.manual_migration = false)
        .check_choice("take 1.3.0+1.3-a");
    case()
        .offers(vec![offer("1.1.0+1.1"), flagged("1.2.0+1.2")], "a")
        .policy("1.1.0+1.1")
        .check_choice("take 1.1.0+1.1-a");
    case()
        .offers(vec![flagged("1.1.0+1.1")], "a")
        .check_choice("stay, held 1.1.0+1.1 held-manual-migration");
}

#[test]
fn rotated_secrets_should_hold_where_there_is_data() {
    let rotates = |before: &'static str, after: &str| {
        case()
            .offers(vec![with_secret("1.1.0+1.1", after)], "a")
            .with(|case| {
                let good = case.standing.last_good.as_mut().unwrap();
                good.of.secrets = [("db".to_owned(), before.to_owned())].into();
            })
    };
    rotates("v1", "v1").check_choice("take 1.1.0+1.1-a");
    rotates("v1", "v2").check_choice("stay, held 1.1.0+1.1 held-secret-rotation");
    rotates("v1", "v2")
        .stateless()
        .check_choice("take 1.1.0+1.1-a");
    rotates("v1", "v2")
        .with(|case| case.intent.hold.secret_rotation = false)
        .check_choice("take 1.1.0+1.1-a");
    // A secret that comes or goes is no rotation.
    case()
        .offers(vec![with_secret("1.1.0+1.1", "v1")], "a")
        .check_choice("take 1.1.0+1.1-a");
    rotates("v1", "v1")
        .offers(vec![offer("1.1.0+1.1")], "a")
        .check_choice("take 1.1.0+1.1-a");
}

#[test]
fn approval_should_let_exactly_one_version_through() {
    let approves = |text: &'static str| {
        offered(&["1.0.0+1.0", "2.0.0+2.0", "2.1.0+2.1"])
            .with(|case| case.standing.approved = [version(text)].into())
    };
    approves("2.1.0+2.1").check_choice("take 2.1.0+2.1-a");
    approves("2.0.0+2.0").check_choice("take 2.0.0+2.0-a, held 2.1.0+2.1 held-major");
    approves("9.9.9+9.9").check_choice("stay, held 2.1.0+2.1 held-major");
}

#[test]
fn failed_releases_should_be_passed_over_by_version_and_digest() {
    let offers = ["1.0.0+1.0", "1.1.0+1.1", "1.2.0+1.2"];
    offered(&offers)
        .quarantined("1.2.0+1.2", "a")
        .check_choice("take 1.1.0+1.1-a, refused 1.2.0+1.2 Quarantined");
    offered(&offers)
        .quarantined("1.2.0+1.2", "b")
        .check_choice("take 1.2.0+1.2-a");
    offered(&offers)
        .quarantined("1.1.0+1.1", "a")
        .check_choice("take 1.2.0+1.2-a");
}

#[test]
fn versions_that_cannot_be_rendered_should_be_passed_over() {
    offered(&["1.0.0+1.0", "1.1.0+1.1", "1.2.0+1.2"])
        .refused("1.2.0+1.2")
        .refused("1.1.0+1.1")
        .check_choice("stay, refused 1.2.0+1.2 InvalidRecipe");
}

#[test]
fn what_is_not_known_should_not_be_chosen() {
    let unknown = |case: &mut Case| case.observed.catalog = Seen::Unknown("git is away".into());
    case().with(unknown).check_choice("unknown: git is away");
    case()
        .with(|case| case.observed.catalog = Seen::NotAsked)
        .check_choice("ask Catalog(Now)");
    let unrendered = |case: &mut Case| {
        let away = Seen::Unknown("registry is away".into());
        case.observed.renderings.insert(version("1.1.0+1.1"), away);
    };
    offered(&["1.1.0+1.1"])
        .with(unrendered)
        .check_choice("unknown: registry is away");
    offered(&["1.1.0+1.1"])
        .never_ran()
        .with(unrendered)
        .check_choice("unknown: registry is away");
    offered(&["0.9.0+0.9"])
        .stateless()
        .policy("~0.9")
        .with(|case| {
            let away = Seen::Unknown("registry is away".into());
            case.observed.renderings.insert(version("0.9.0+0.9"), away);
        })
        .check_choice("unknown: registry is away");
}

#[test]
fn policy_should_bound_the_choice() {
    let offers = ["1.0.0+1.0", "1.0.3+1.0", "1.1.0+1.1", "1.2.0+1.2"];
    offered(&offers)
        .policy("~1.0")
        .check_choice("take 1.0.3+1.0-a");
    offered(&offers)
        .policy("1.1.0+1.1")
        .check_choice("take 1.1.0+1.1-a");
    offered(&offers).policy("1.0.0+1.0").check_choice("stay");
    offered(&offers)
        .policy("1.5.0+1.5")
        .check_choice("stay, refused 1.0.0+1.0 NoVersion");
    // What is newer and allowed is held: nothing to say beside.
    offered(&["1.0.0+1.0", "2.0.0+2.0"])
        .policy("~2.0")
        .check_choice("stay, held 2.0.0+2.0 held-major");
    offered(&["1.0.0+1.0", "0.9.0+0.9", "2.0.0+2.0"])
        .policy("<1")
        .check_choice("stay, refused 0.9.0+0.9 DowngradeRefused");
}

#[test]
fn lowered_policy_should_be_refused_where_there_is_data() {
    let offers = ["0.9.0+0.9", "1.0.0+1.0"];
    offered(&offers)
        .policy("0.9.0+0.9")
        .check_choice("stay, refused 0.9.0+0.9 DowngradeRefused");
    offered(&offers)
        .policy("0.9.0+0.9")
        .stateless()
        .check_choice("take 0.9.0+0.9-a");
    offered(&offers)
        .policy("0.9.0+0.9")
        .stateless()
        .quarantined("0.9.0+0.9", "a")
        .check_choice("stay, refused 0.9.0+0.9 Quarantined");
}

#[test]
fn vanished_tag_should_be_no_reason_to_leave() {
    offered(&["0.9.0+0.9"]).check_choice("stay");
    offered(&["0.9.0+0.9"]).policy("~1.0").check_choice("stay");
    offered(&[]).check_choice("stay");
    // One that was taken as a pre-release stays, too.
    offered(&["0.9.0+0.9"])
        .with(|case| {
            let good = case.standing.last_good.as_mut().unwrap();
            good.of = candidate("1.0.0-rc.1+1.0", "a");
        })
        .check_choice("stay");
}

#[test]
fn changed_spec_should_be_a_change_only_when_it_renders_otherwise() {
    let changed = |digest: &str| {
        case()
            .offers(vec![offer("1.0.0+1.0")], digest)
            .with(|case| case.intent.generation = generation(8))
    };
    changed("a").check_choice("stay");
    changed("b").check_choice("take 1.0.0+1.0-b");
    changed("b")
        .quarantined("1.0.0+1.0", "b")
        .check_choice("stay, refused 1.0.0+1.0 Quarantined");
    // Known already: it is not even rendered.
    offered(&["1.0.0+1.0"])
        .unrendered("1.0.0+1.0")
        .check_choice("stay");
    changed("a")
        .unrendered("1.0.0+1.0")
        .check_choice(&format!("ask Render({:?})", version("1.0.0+1.0")));
    // What was measured is another release than what runs.
    case()
        .offers(vec![offer("1.0.0+1.0")], "b")
        .with(|case| {
            let checked = case.standing.checked.as_mut().unwrap();
            checked.measured = Some(candidate("1.0.0+1.0", "c").id);
        })
        .check_choice("take 1.0.0+1.0-b");
}

#[test]
fn same_digest_of_another_version_should_be_another_release() {
    case()
        .offers(vec![offer("1.1.0+1.1")], "a")
        .check_choice("take 1.1.0+1.1-a");
}

#[test]
fn first_deploy_should_take_the_newest_that_may_run_on_the_data() {
    let first = |offers: &[&str]| offered(offers).never_ran();
    first(&["1.0.0+1.0", "2.0.0+2.0"]).check_choice("take 2.0.0+2.0-a");
    first(&["1.0.0+1.0", "2.0.0+2.0"])
        .refused("2.0.0+2.0")
        .check_choice("take 1.0.0+1.0-a, refused 2.0.0+2.0 InvalidRecipe");
    first(&[]).check_choice("stay");
    first(&["1.0.0+1.0"])
        .policy("2.0.0+2.0")
        .check_choice("stay, refused 2.0.0+2.0 NoVersion");
    first(&["1.0.0+1.0"])
        .policy("1.0.0+1.0")
        .refused("1.0.0+1.0")
        .check_choice("stay, refused 1.0.0+1.0 InvalidRecipe");
    first(&["1.0.0+1.0"]).policy("~2.0").check_choice("stay");
    let touched = |case: &mut Case| case.standing.data_of = Some(version("1.5.0+1.5"));
    first(&["1.0.0+1.0"])
        .with(touched)
        .check_choice("stay, refused 1.0.0+1.0 DowngradeRefused");
    first(&["1.5.0+1.5"])
        .with(touched)
        .check_choice("take 1.5.0+1.5-a");
    first(&["1.0.0+1.0"])
        .with(touched)
        .stateless()
        .check_choice("take 1.0.0+1.0-a");
}

#[test]
fn choice_should_say_what_was_looked_at() {
    let choice = ci_warm_rollout::choose(
        &offered(&["1.0.0+1.0", "1.1.0+1.1"]).intent,
        &case().standing,
        &offered(&["1.0.0+1.0", "1.1.0+1.1"])
            .refused("1.1.0+1.1")
            .observed,
        crate::case::NOW,
        ci_warm_rollout::Refresh::Now,
    );
    let Ok(ci_warm_rollout::Choice::Stay(checked)) = choice else {
        panic!("{choice:?}");
    };
    assert_eq!(checked.of, generation(7));
    assert_eq!(checked.at, crate::case::NOW);
    assert_eq!(checked.latest, Some(version("1.1.0+1.1")));
    assert_eq!(checked.measured, Some(candidate("1.0.0+1.0", "a").id));
    assert_eq!(case().intent.policy, VersionPolicy::Latest);
}
