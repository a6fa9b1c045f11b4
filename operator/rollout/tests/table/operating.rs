//! In the middle of an operation that moves forward.

use std::collections::BTreeSet;

use ci_warm_api_types::journal::{
    Back, BackOperation, Candidate, Cause, Clock, ConfigDigest, Fault, Forward, ForwardOperation,
    Guard, Keep, NotTaken, Operation, OperationId, Quarantined, Sealed, SnapshotName, Standing,
    VolumeName,
};
use ci_warm_api_types::warm_app::RollbackCondition;
use ci_warm_rollout::{
    Decision, Dependencies, Deployment, Images, Notice, Preflight, Request, Seal, Seen, Step,
    Stored, apply,
};

use crate::case::{Case, at, candidate, case, gate, generation, record, release, version};

pub fn id() -> OperationId {
    OperationId::from("20260101T000000Z-0004")
}

pub fn volumes() -> BTreeSet<VolumeName> {
    [VolumeName::from("data")].into()
}

pub fn sealed() -> Sealed {
    Sealed {
        name: SnapshotName::from("app-20260101t000000z-0004"),
        volumes: volumes(),
    }
}

pub fn to() -> Candidate {
    candidate("1.1.0+1.1", "a")
}

pub fn fault(cause: Cause) -> Fault {
    Fault {
        cause,
        message: "it broke".into(),
    }
}

pub fn forward(at: Forward) -> Case {
    case()
        .operation(Operation::Forward(ForwardOperation {
            id: id(),
            of: generation(7),
            to: to(),
            covers: Some(volumes()),
            at,
        }))
        .with(|case| case.standing.checked.as_mut().unwrap().latest = Some(version("1.1.0+1.1")))
}

pub fn back_operation(cause: Cause, at: Back) -> BackOperation {
    BackOperation {
        id: id(),
        fault: fault(cause),
        failed: to(),
        to: release("1.0.0+1.0", "a"),
        at,
    }
}

pub fn back(at: Back) -> Case {
    case().operation(Operation::Back(back_operation(Cause::TasksFailing, at)))
}

pub fn keep(at: Keep) -> Case {
    case().operation(Operation::Keep {
        id: id(),
        of: generation(7),
        why: "drift".into(),
        at,
    })
}

pub fn proving(guard: Guard, until: i64) -> Case {
    forward(Forward::Prove {
        guard,
        clock: Clock::Until(at(until)),
    })
}

pub fn clock(decision: &Decision) -> Clock {
    match record(decision).operation.clone().unwrap() {
        Operation::Forward(ForwardOperation {
            at: Forward::Prove { clock, .. },
            ..
        })
        | Operation::Back(BackOperation {
            at: Back::Prove(clock),
            ..
        })
        | Operation::Keep {
            at: Keep::Prove(clock),
            ..
        } => clock,
        other => panic!("no clock in {other:?}"),
    }
}

pub fn failed(case: &mut Case) {
    case.observed.failed = Some("no space".into());
}

pub fn passes(case: &mut Case) {
    case.observed.gate = Seen::Is(gate(3, 0));
}

pub fn failing() -> Deployment {
    Deployment::TasksFailing("exit 1".into())
}

pub fn converging() -> Deployment {
    Deployment::Converging {
        why: "1/2".into(),
        since: at(-1),
    }
}

pub fn not_ready(case: &mut Case) {
    case.observed.dependencies = Seen::Is(Dependencies::NotReady("traefik".into()));
}

pub fn notice(decision: &Decision) -> Notice {
    match decision {
        Decision::Settle { notice, .. } => notice.clone().unwrap(),
        other => panic!("nobody is told in {other:?}"),
    }
}

pub fn last(standing: &Standing) -> (String, bool, String) {
    let entry = standing.history.last().unwrap();
    assert_eq!(entry.operation, id());
    assert_eq!(entry.at, crate::case::NOW);
    assert_eq!(standing.result.as_ref(), Some(&entry.result));
    let line = entry.result.to_string();
    (line, entry.healthy, entry.message.clone())
}

#[test]
fn forward_should_go_from_step_to_step() {
    let images =
        |images| forward(Forward::Pull).with(|case| case.observed.images = Seen::Is(images));
    images(Images::Missing).check("Forward/Pull: act Pull");
    images(Images::Present).check("Forward/Freeze: act Freeze");
    let stored =
        |stored| forward(Forward::Freeze).with(|case| case.observed.stored = Seen::Is(stored));
    stored(Stored::Missing).check("Forward/Freeze: act Freeze");
    let touching = stored(Stored::Whole).check("Forward/Deploy: wait Progressing +0");
    assert_eq!(record(&touching).data_of, Some(version("1.1.0+1.1")));
    let covered = stored(Stored::Whole).with(|case| {
        case.observed.preflight = Seen::Is(Preflight::Clear {
            covers: Some(volumes()),
        });
    });
    let covered = covered.with(|case| {
        if let Some(Operation::Forward(op)) = &mut case.standing.operation {
            op.covers = None;
        }
    });
    let decision = covered.check("Forward/Undeploy: act Undeploy");
    let Some(Operation::Forward(op)) = &record(&decision).operation else {
        panic!("no operation");
    };
    assert_eq!(op.covers, Some(volumes()));
    let undeploying = || forward(Forward::Undeploy);
    undeploying().check("Forward/Undeploy: act Undeploy");
    let drains = Deployment::Draining("1 task".into());
    undeploying()
        .deployment(drains)
        .check("Forward/Undeploy: wait Progressing +5");
    let sealing = undeploying()
        .deployment(Deployment::Absent)
        .check("Forward/Seal: act Seal");
    let seal = Step::Seal {
        name: SnapshotName::from("app-20260101t000000z-0004"),
        volumes: volumes(),
    };
    assert!(matches!(sealing, Decision::Act { step, .. } if step == seal));
    let seal = |seal| {
        forward(Forward::Seal)
            .deployment(Deployment::Absent)
            .with(|case| case.observed.seal = Seen::Is(seal))
    };
    seal(Seal::Absent).check("Forward/Seal: act Seal");
    // Somebody started it again.
    forward(Forward::Seal).check("Forward/Undeploy: act Undeploy");
    let deploying = seal(Seal::Whole(sealed())).check("Forward/Deploy: act Deploy");
    assert_eq!(record(&deploying).data_of, Some(version("1.1.0+1.1")));
    let deployed =
        forward(Forward::Deploy(Guard::NoData)).check("Forward/Prove: wait Progressing +0");
    assert_eq!(clock(&deployed), Clock::Until(at(600)));
}

#[test]
fn release_that_passes_should_become_last_good() {
    let passing = proving(Guard::NoData, 100).with(passes).with(|case| {
        let failed = |text: &str| Quarantined {
            version: version(text),
            digest: ConfigDigest("a".into()),
            cause: Cause::TasksFailing,
        };
        let standing = &mut case.standing;
        standing.quarantine = vec![failed("1.1.0+1.1"), failed("1.2.0+1.2")];
        standing.approved = [version("1.1.0+1.1"), version("1.2.0+1.2")].into();
        standing.alerted = ["refused-x".to_owned(), "held-major-x".to_owned()].into();
        standing.unhealthy_since = Some(at(-9));
    });
    let decision = passing.check("idle: upgraded:1.0.0+1.0->1.1.0+1.1, tells nobody +0");
    let standing = record(&decision);
    let good = standing.last_good.clone().unwrap();
    assert_eq!((good.of, good.passed.at), (to(), at(-1)));
    assert_eq!(good.passed.probes.get(), 3);
    assert_eq!(standing.quarantine.len(), 1);
    assert_eq!(standing.quarantine[0].version, version("1.2.0+1.2"));
    assert_eq!(standing.approved, [version("1.2.0+1.2")].into());
    assert_eq!(standing.alerted, ["held-major-x".to_owned()].into());
    assert_eq!(standing.unhealthy_since, None);
    assert!(last(standing).1);
    let beside = passing.clone().with(|case| {
        case.standing.checked.as_mut().unwrap().held = Some(NotTaken {
            version: version("2.0.0+2.0"),
            reason: "held-major".into(),
            message: "major".into(),
        });
    });
    let decision = beside.check("idle: upgraded:1.0.0+1.0->1.1.0+1.1, tells held-major +0");
    let Decision::Settle {
        notice: Some(notice),
        ..
    } = &decision
    else {
        panic!("nobody is told");
    };
    assert_eq!(notice.version, Some(version("1.1.0+1.1")));
    assert_eq!(notice.attempted, Some(version("2.0.0+2.0")));
    let standing = record(&decision).clone();
    assert!(standing.alerted.contains("held-major-2.0.0+2.0"));
    beside
        .with(|case| case.standing.alerted = standing.alerted)
        .check("idle: upgraded:1.0.0+1.0->1.1.0+1.1, tells nobody +0");
    let first = passing.clone().with(|case| case.standing.last_good = None);
    first.check("idle: deployed:1.1.0+1.1, tells nobody +0");
    let reconfigured = passing.with(|case| {
        let good = case.standing.last_good.as_mut().unwrap();
        good.of = candidate("1.1.0+1.1", "0123456789");
    });
    reconfigured.check("idle: upgraded:1.1.0+1.1#01234567->1.1.0+1.1#a, tells nobody +0");
    let few = |case: &mut Case| case.observed.gate = Seen::Is(gate(2, 0));
    proving(Guard::NoData, 100)
        .with(few)
        .check("Forward/Prove: wait Progressing +5");
}

#[test]
fn release_that_fails_should_lead_back_where_the_spec_says_so() {
    let guarded = |until| proving(Guard::Sealed(sealed()), until);
    guarded(1)
        .deployment(converging())
        .check("Forward/Prove: wait Progressing +5");
    guarded(0)
        .deployment(converging())
        .check("Back/Undeploy: act Undeploy");
    guarded(0).check("Back/Undeploy: act Undeploy");
    guarded(0)
        .deployment(Deployment::Absent)
        .check("Back/Undeploy: act Undeploy");
    guarded(1)
        .deployment(failing())
        .check("Back/Undeploy: act Undeploy");
    let given_up = || Deployment::GivenUp("paused".into());
    guarded(1)
        .deployment(given_up())
        .check("Back/Undeploy: act Undeploy");
    guarded(1)
        .deployment(Deployment::Absent)
        .check("Forward/Prove: act Deploy");
    proving(Guard::NoData, 1)
        .deployment(failing())
        .check("Back/Deploy: wait Progressing +0");
    let first = proving(Guard::NoData, 1).with(|case| case.standing.last_good = None);
    first.deployment(failing()).check("Abandon: act Undeploy");

    let without = |condition, until| {
        guarded(until).with(|case: &mut Case| {
            case.intent.rollback.on.remove(&condition);
        })
    };
    let kept = "Stuck: deploy-failed:1.1.0+1.1, tells deploy-failed +0";
    let waits = "Forward/Prove: wait Progressing +5";
    without(RollbackCondition::HealthGateFailed, 0).check(kept);
    without(RollbackCondition::TasksFailing, 1)
        .deployment(failing())
        .check(waits);
    without(RollbackCondition::TasksFailing, 0)
        .deployment(failing())
        .check(kept);
    without(RollbackCondition::DeployFailed, 1)
        .deployment(given_up())
        .check(waits);
    without(RollbackCondition::DeployFailed, 0)
        .deployment(given_up())
        .check(kept);
    without(RollbackCondition::DeployFailed, 0)
        .deployment(converging())
        .check(kept);
    without(RollbackCondition::DeployFailed, 1)
        .with(failed)
        .check(kept);
    without(RollbackCondition::TasksFailing, 0).check("Back/Undeploy: act Undeploy");
}

#[test]
fn release_that_nobody_wants_undone_should_be_kept_and_told() {
    let decision = proving(Guard::Sealed(sealed()), 0)
        .with(|case| case.intent.rollback.on.clear())
        .decide();
    let told = notice(&decision);
    assert_eq!(told.identity, "20260101T000000Z-0004-deploy-failed");
    assert_eq!(told.attempted, Some(version("1.1.0+1.1")));
    assert_eq!(told.last_good, Some(version("1.0.0+1.0")));
    assert_eq!(told.version, Some(version("1.0.0+1.0")));
    assert_eq!(told.latest, Some(version("1.1.0+1.1")));
    assert_eq!((told.recovered, told.operation), (Some(false), Some(id())));
    let (line, healthy, message) = last(record(&decision));
    assert_eq!((line.as_str(), healthy), ("deploy-failed:1.1.0+1.1", false));
    assert_eq!(
        message,
        "HealthGateFailed: 502; rollback.on does not name it"
    );
    assert_eq!(told.message, message);

    let stuck = case().with(|case| case.standing = record(&decision).clone());
    stuck.check("Stuck: wait HealthGateFailed +30");
    let retried = apply(&stuck.standing, &Request::Retry);
    let Some(Operation::Forward(op)) = retried.operation else {
        panic!("not taken up: {retried:?}");
    };
    assert_eq!((op.id, op.of, op.to), (id(), generation(7), to()));
    assert_eq!(op.at, Forward::Deploy(Guard::Sealed(sealed())));
}

#[test]
fn deadline_should_not_run_while_it_would_be_unfair() {
    let away = |case: &mut Case| case.observed.deployment = Seen::Unknown("no engine".into());
    let unprobed = |case: &mut Case| case.observed.gate = Seen::Unknown("no probe".into());
    let starts: [fn() -> Case; 3] = [
        || proving(Guard::NoData, 100),
        || back(Back::Prove(Clock::Until(at(100)))),
        || keep(Keep::Prove(Clock::Until(at(100)))),
    ];
    for start in starts {
        let phase = start().standing.operation.unwrap().phase();
        let waits = |reason: &str| format!("{phase}: wait {reason} +5");
        let paused = Clock::PausedWithMs(100_000);
        let decision = start().with(not_ready).check(&waits("DependencyNotReady"));
        assert_eq!(clock(&decision), paused);
        let decision = start().with(away).check(&waits("EngineUnreachable"));
        assert_eq!(clock(&decision), paused);
        let decision = start().with(unprobed).check(&waits("Progressing"));
        assert_eq!(clock(&decision), paused);
        let stood = start().with(|case| case.standing = record(&decision).clone());
        assert_eq!(clock(&stood.decide()), Clock::Until(at(100)));
    }
}

#[test]
fn new_spec_should_take_effect_at_a_safe_point() {
    let changed = |at| forward(at).with(|case| case.intent.generation = generation(8));
    let superseded = "idle: superseded:1.0.0+1.0->1.1.0+1.1, tells nobody +0";
    changed(Forward::Pull).check(superseded);
    let decision = changed(Forward::Freeze).check(superseded);
    let (_, healthy, message) = last(record(&decision));
    assert_eq!((healthy, message.as_str()), (true, "the spec changed"));
    let ill = |case: &mut Case| case.standing.unhealthy_since = Some(at(-9));
    let decision = changed(Forward::Pull).with(ill).decide();
    assert!(!last(record(&decision)).1);
    changed(Forward::Undeploy).check("Back/Deploy: wait Progressing +0");
    changed(Forward::Seal).check("Back/Deploy: wait Progressing +0");
    changed(Forward::Deploy(Guard::NoData)).check("Back/Deploy: wait Progressing +0");
    changed(Forward::Deploy(Guard::Sealed(sealed()))).check("Back/Undeploy: act Undeploy");
    let first = |at| changed(at).with(|case| case.standing.last_good = None);
    first(Forward::Undeploy).check("idle: superseded:none->1.1.0+1.1, tells nobody +0");
    let decision = first(Forward::Seal).check("idle: superseded:none->1.1.0+1.1, tells nobody +0");
    assert!(!last(record(&decision)).1);
    first(Forward::Deploy(Guard::NoData)).check("Abandon: act Undeploy");
    keep(Keep::Submit { nonce: None })
        .with(|case| case.intent.generation = generation(8))
        .check("idle: wait Progressing +0");
    keep(Keep::Submit { nonce: None })
        .with(|case| case.standing.last_good = None)
        .check("idle: wait Progressing +0");
}

#[test]
fn step_that_cannot_work_should_end_what_it_was_for() {
    let failing = |at| forward(at).with(failed);
    let decision =
        failing(Forward::Pull).check("idle: refused:1.0.0+1.0->1.1.0+1.1, tells refused +0");
    let refused = record(&decision).checked.clone().unwrap().refused.unwrap();
    assert_eq!(refused.reason, "ImagePullFailed");
    assert_eq!(refused.message, "no space");
    assert_eq!(notice(&decision).message, "ImagePullFailed: no space");
    let decision = failing(Forward::Freeze).decide();
    assert_eq!(
        notice(&decision).identity,
        "app-uid-refused-1.1.0+1.1-a-ReleaseNotStored"
    );
    failing(Forward::Seal).check("Back/Deploy: wait Progressing +0");
    failing(Forward::Deploy(Guard::NoData)).check("Back/Deploy: wait Progressing +0");
    proving(Guard::NoData, 9)
        .with(failed)
        .check("Back/Deploy: wait Progressing +0");
    let preflight = forward(Forward::Freeze).with(|case| {
        case.observed.stored = Seen::Is(Stored::Whole);
        case.observed.preflight = Seen::Is(Preflight::Refused {
            reason: "DataNotCovered".into(),
            message: "volume x".into(),
        });
    });
    preflight.check("idle: refused:1.0.0+1.0->1.1.0+1.1, tells refused +0");
    let cause = |case: Case| match record(&case.decide()).operation.clone() {
        Some(Operation::Stuck { fault, .. }) => fault.cause,
        other => panic!("not stuck: {other:?}"),
    };
    assert_eq!(
        cause(back(Back::Restore(sealed())).with(failed)),
        Cause::RestoreFailed
    );
    assert_eq!(
        cause(back(Back::Undeploy(sealed())).with(failed)),
        Cause::RestoreFailed
    );
    assert_eq!(cause(back(Back::Deploy).with(failed)), Cause::DeployFailed);
}
