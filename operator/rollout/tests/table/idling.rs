//! Between operations.

use ci_warm_api_types::journal::{HistoryEntry, OperationId};
use ci_warm_api_types::outcome::{Outcome, Verb};
use ci_warm_api_types::warm_app::DeletionPolicy;
use ci_warm_api_types::window::Window;
use ci_warm_rollout::{
    Decision, Dependencies, Deployment, Notice, Preflight, Request, Seen, Want, apply,
};

use crate::case::{Case, at, candidate, case, gate, generation, not_taken, offer, record, version};

fn converging(since: i64) -> Deployment {
    Deployment::Converging {
        why: "1/2".into(),
        since: at(since),
    }
}

fn unhealthy(case: &mut Case) {
    case.standing.unhealthy_since = Some(at(-5000));
}

fn tried(seconds: i64) -> impl FnOnce(&mut Case) {
    move |case| {
        case.standing.history.push(HistoryEntry {
            at: at(seconds),
            operation: OperationId::from("x"),
            result: Outcome::of(Verb::UnhealthyOnLatest, "1.0.0+1.0"),
            healthy: false,
            message: String::new(),
        });
    }
}

fn window(start: &str, end: &str) -> impl FnOnce(&mut Case) {
    let window = Window {
        start: start.into(),
        end: end.into(),
        days: vec![],
        time_zone: "UTC".into(),
    };
    |case| case.intent.window = Some(window)
}

#[test]
fn healthy_app_should_be_left_alone() {
    let left = case().check("idle: wait Healthy +30");
    assert_eq!(*record(&left), case().standing);
    let soon = |case: &mut Case| case.standing.checked.as_mut().unwrap().at = at(-890);
    case().with(soon).check("idle: wait Healthy +10");
}

#[test]
fn app_should_be_kept_alive() {
    let nonce = crate::case::NOW.as_second();
    let again = format!("Keep/Submit: act Submit {nonce}");
    let drains = Deployment::Draining("1 task".into());
    case().deployment(drains).check("idle: wait Progressing +5");
    case()
        .deployment(Deployment::Absent)
        .check("Keep/Submit: act Submit");
    let drift = Deployment::Differs("app".into());
    case().deployment(drift).check("Keep/Submit: act Submit");
    case()
        .deployment(converging(-599))
        .check("idle: wait Progressing +5");
    case().deployment(converging(-600)).check(&again);
    let failing = Deployment::TasksFailing("exit 1".into());
    case().deployment(failing).check(&again);
    let given_up = Deployment::GivenUp("paused".into());
    case().deployment(given_up).check(&again);
    let probes = |passes, failures| {
        case().with(|case| case.observed.gate = Seen::Is(gate(passes, failures)))
    };
    probes(0, 0).check("idle: wait Progressing +5");
    probes(0, 2).check("idle: wait Progressing +5");
    let begun = probes(0, 3).check(&again);
    assert_eq!(record(&begun).operations, 5);
    let id = record(&begun).operation.as_ref().unwrap().id().clone();
    assert_eq!(id.0, "20260101T000000Z-0005");
}

#[test]
fn what_is_not_known_should_be_waited_for() {
    let away = |case: &mut Case| case.observed.deployment = Seen::Unknown("no engine".into());
    case().with(away).check("idle: wait EngineUnreachable +5");
    let unprobed = |case: &mut Case| case.observed.gate = Seen::Unknown("no probe".into());
    case()
        .with(unprobed)
        .check("idle: wait EngineUnreachable +5");
    let git = |case: &mut Case| case.observed.catalog = Seen::Unknown("no git".into());
    case()
        .due()
        .with(git)
        .check("idle: wait RecipeUnreachable +30");
    case()
        .never_ran()
        .with(git)
        .check("idle: wait RecipeUnreachable +30");
    // An upgrade that cannot be judged is no reason to leave what runs alone.
    let unjudged = case()
        .due()
        .offers(vec![offer("1.1.0+1.1")], "a")
        .with(|case| case.observed.preflight = Seen::Unknown("no registry".into()));
    unjudged.check("idle: wait RecipeUnreachable +30");
    unjudged
        .deployment(Deployment::Absent)
        .check("Keep/Submit: act Submit");
}

#[test]
fn dependencies_should_come_first() {
    let not_ready = |case: &mut Case| {
        case.observed.dependencies = Seen::Is(Dependencies::NotReady("traefik".into()));
    };
    let unknown = |case: &mut Case| case.observed.dependencies = Seen::Unknown("?".into());
    case()
        .deployment(Deployment::Absent)
        .with(not_ready)
        .check("idle: wait DependencyNotReady +5");
    case()
        .deployment(Deployment::Absent)
        .with(unknown)
        .check("idle: wait DependencyNotReady +5");
    let blocked = case()
        .due()
        .offers(vec![offer("1.1.0+1.1")], "a")
        .with(not_ready)
        .check("idle: wait DependencyNotReady +30");
    let checked = record(&blocked).checked.clone().unwrap();
    assert_eq!(checked.pending, Some(version("1.1.0+1.1")));
    assert_eq!(checked.at, crate::case::NOW);
    case()
        .never_ran()
        .offers(vec![offer("1.1.0+1.1")], "a")
        .with(not_ready)
        .check("idle: wait DependencyNotReady +30");
    // A healthy app does not care.
    case().with(not_ready).check("idle: wait Healthy +30");
}

#[test]
fn unhealthy_app_should_be_submitted_once_and_then_watched() {
    let failing = || case().deployment(Deployment::TasksFailing("exit 1".into()));
    failing()
        .with(unhealthy)
        .check("idle: wait UnhealthyOnLatest +30");
    // A newer version may mend it, and one that waits is remembered.
    failing()
        .with(unhealthy)
        .due()
        .offers(vec![offer("1.1.0+1.1")], "a")
        .check("Forward/Pull: act Pull");
    let looked = failing()
        .with(unhealthy)
        .due()
        .offers(vec![offer("1.0.0+1.0")], "a")
        .check("idle: wait UnhealthyOnLatest +30");
    assert_eq!(
        record(&looked).checked.as_ref().unwrap().at,
        crate::case::NOW
    );
    let blocked = failing()
        .with(unhealthy)
        .due()
        .with(window("02:00", "03:00"))
        .offers(vec![offer("1.1.0+1.1")], "a")
        .check("idle: wait UnhealthyOnLatest +30");
    assert!(record(&blocked).checked.as_ref().unwrap().pending.is_some());
    let gone = || case().deployment(Deployment::Absent).with(unhealthy);
    gone()
        .with(tried(-599))
        .check("idle: wait UnhealthyOnLatest +30");
    gone().with(tried(-600)).check("Keep/Submit: act Submit");
    gone().check("Keep/Submit: act Submit");
    case()
        .deployment(Deployment::Absent)
        .with(tried(-1))
        .check("Keep/Submit: act Submit");
}

#[test]
fn app_that_passes_again_should_be_looked_at_anew() {
    let recovered = case().with(unhealthy).check("idle: wait Progressing +0");
    assert_eq!(record(&recovered).unhealthy_since, None);
    assert_eq!(record(&recovered).checked, None);
}

#[test]
fn look_at_the_versions_should_be_told_once() {
    let held = case()
        .due()
        .offers(vec![offer("1.0.0+1.0"), offer("2.0.0+2.0")], "a");
    let decision = held.check("idle: held-major:1.0.0+1.0->2.0.0+2.0, tells held-major +30");
    let Decision::Settle {
        notice: Some(notice),
        record,
        ..
    } = decision
    else {
        panic!("nobody is told");
    };
    assert_eq!(
        notice,
        Notice {
            identity: "app-uid-held-major-2.0.0+2.0".into(),
            reason: "held-major",
            version: Some(version("1.0.0+1.0")),
            attempted: Some(version("2.0.0+2.0")),
            last_good: Some(version("1.0.0+1.0")),
            latest: Some(version("2.0.0+2.0")),
            recovered: None,
            operation: None,
            message: "the recipe part rises in its first component from 1.0.0+1.0 to 2.0.0+2.0"
                .into(),
        }
    );
    assert_eq!(record.result.as_ref().unwrap().verb, Verb::HeldMajor);
    let again = held.clone().with(|case| {
        case.standing = record;
        case.standing.checked = None;
    });
    again.check("idle: held-major:1.0.0+1.0->2.0.0+2.0, tells nobody +30");
}

#[test]
fn look_at_the_versions_should_say_what_it_came_to() {
    let due = |offers: &[&str]| {
        let offers = offers.iter().map(|text| offer(text)).collect();
        case().due().offers(offers, "a")
    };
    due(&["1.0.0+1.0"]).check("idle: noop-healthy:1.0.0+1.0, tells nobody +30");
    due(&["1.0.0+1.0", "1.1.0+1.1"])
        .refused("1.1.0+1.1")
        .check("idle: refused:1.0.0+1.0->1.1.0+1.1, tells refused +30");
    due(&["1.0.0+1.0", "1.1.0+1.1"])
        .quarantined("1.1.0+1.1", "a")
        .check("idle: wait Quarantined +30");
    due(&[]).never_ran().check("idle: wait NoVersion +30");
    case()
        .with(|case| case.standing.last_good = None)
        .check("idle: wait NoVersion +30");
    let flagged = vec![offer("1.0.0+1.0"), crate::case::flagged("1.1.0+1.1")];
    case()
        .due()
        .offers(flagged, "a")
        .check("idle: held-manual-migration:1.0.0+1.0->1.1.0+1.1, tells held-manual-migration +30");
    let rotated = vec![crate::case::with_secret("1.1.0+1.1", "v2")];
    case()
        .due()
        .with(|case| {
            let good = case.standing.last_good.as_mut().unwrap();
            good.of.secrets = [("db".to_owned(), "v1".to_owned())].into();
        })
        .offers(rotated, "a")
        .check("idle: held-secret-rotation:1.0.0+1.0->1.1.0+1.1, tells held-secret-rotation +30");
}

#[test]
fn upgrade_should_begin_with_a_number_of_its_own() {
    let begun = case()
        .due()
        .offers(vec![offer("1.1.0+1.1")], "a")
        .check("Forward/Pull: act Pull");
    let standing = record(&begun);
    assert_eq!(standing.operations, 5);
    let id = standing.operation.as_ref().unwrap().id().clone();
    assert_eq!(id.0, "20260101T000000Z-0005");
    let checked = standing.checked.as_ref().unwrap();
    assert_eq!(checked.at, crate::case::NOW);
    assert_eq!(checked.latest, Some(version("1.1.0+1.1")));
}

#[test]
fn window_should_hold_back_other_versions_only() {
    let shut = || window("02:00", "03:00");
    let due = |text: &str, digest: &str| case().due().offers(vec![offer(text)], digest);
    let blocked = due("1.1.0+1.1", "a")
        .with(shut())
        .check("idle: wait OutsideWindow +30");
    let pending = record(&blocked).clone();
    assert_eq!(
        pending.checked.as_ref().unwrap().pending,
        Some(version("1.1.0+1.1"))
    );
    due("1.1.0+1.1", "a")
        .with(window("00:00", "03:00"))
        .check("Forward/Pull: act Pull");
    due("1.0.0+1.0", "b")
        .with(|case| case.intent.generation = generation(8))
        .with(shut())
        .check("Forward/Pull: act Pull");
    due("1.1.0+1.1", "a")
        .never_ran()
        .with(shut())
        .check("Forward/Pull: act Pull");
    // It opens soon: that is when to look.
    due("1.1.0+1.1", "a")
        .with(|case| case.intent.gate.idle = jiff::SignedDuration::from_hours(5))
        .with(|case| case.intent.interval = jiff::SignedDuration::from_hours(9))
        .with(|case| case.standing.checked = None)
        .with(shut())
        .check("idle: wait OutsideWindow +7200");
    // While it is shut nothing is asked again; when it is open, what was fetched will do.
    let waits = || case().with(|case| case.standing.checked.clone_from(&pending.checked));
    waits().with(shut()).check("idle: wait OutsideWindow +30");
    waits()
        .offers(vec![offer("1.1.0+1.1")], "a")
        .check("Forward/Pull: act Pull");
}

#[test]
fn version_that_waits_should_not_put_off_the_next_look() {
    let mut pending = case().offers(vec![offer("1.1.0+1.1")], "a").with(|case| {
        case.observed.dependencies = Seen::Is(Dependencies::NotReady("traefik".into()));
    });
    let checked = pending.standing.checked.as_mut().unwrap();
    checked.pending = Some(version("1.1.0+1.1"));
    let blocked = pending.check("idle: wait DependencyNotReady +30");
    assert_eq!(record(&blocked).checked.as_ref().unwrap().at, at(-100));
}

#[test]
fn what_cannot_be_deployed_should_be_refused_once_before_anything_is_touched() {
    let refused = case()
        .due()
        .offers(vec![offer("1.1.0+1.1")], "a")
        .with(|case| {
            case.observed.preflight = Seen::Is(Preflight::Refused {
                reason: "DataNotCovered".into(),
                message: "volume x".into(),
            });
        });
    let decision = refused.check("idle: refused:1.0.0+1.0->1.1.0+1.1, tells refused +0");
    let standing = record(&decision).clone();
    let expected = standing.checked.as_ref().unwrap().refused.clone().unwrap();
    assert_eq!(expected.reason, "DataNotCovered");
    let again = refused.with(|case| {
        case.standing = standing;
        case.standing.checked = None;
    });
    again.check("idle: refused:1.0.0+1.0->1.1.0+1.1, tells nobody +0");
    assert_eq!(not_taken("1.1.0+1.1", "x").version, version("1.1.0+1.1"));
}

#[test]
fn wish_should_decide_whether_anything_is_done() {
    let wants = |want| {
        case()
            .deployment(Deployment::Absent)
            .with(|case| case.intent.want = want)
    };
    let left = wants(Want::Suspended).check("idle: wait Suspended +30");
    assert_eq!(*record(&left), case().standing);
    let gone = wants(Want::Gone(DeletionPolicy::Orphan)).check("idle: removed, tells nobody +0");
    assert_eq!(record(&gone).last_good, case().standing.last_good);
    let begun = wants(Want::Gone(DeletionPolicy::Undeploy)).check("Remove/Undeploy: act Undeploy");
    assert_eq!(record(&begun).operations, 5);
}

#[test]
fn requests_should_be_the_same_when_applied_twice() {
    let standing = case()
        .quarantined("1.1.0+1.1", "a")
        .with(unhealthy)
        .standing;
    for request in [
        Request::Approve(version("2.0.0+2.0")),
        Request::Retry,
        Request::Reconcile,
    ] {
        let once = apply(&standing, &request);
        assert_eq!(once.checked, None);
        assert_eq!(apply(&once, &request), once);
    }
    let approved = apply(&standing, &Request::Approve(version("2.0.0+2.0")));
    assert_eq!(approved.approved, [version("2.0.0+2.0")].into());
    assert!(approved.is_quarantined(&candidate("1.1.0+1.1", "a")));
    let retried = apply(&standing, &Request::Retry);
    assert!(retried.quarantine.is_empty());
    assert_eq!(retried.unhealthy_since, None);
}
