//! Undoing, giving up, keeping alive and removing.

use ci_warm_api_types::journal::{
    Back, Cause, Clock, HistoryEntry, Keep, Operation, OperationId, Remove, Resume, Standing,
};
use ci_warm_api_types::outcome::{Outcome, Verb};
use ci_warm_api_types::warm_app::DeletionPolicy;
use ci_warm_rollout::{Deployment, Purged, Request, Restoration, Seen, Want, apply};

use crate::case::{at, case, record, version};
use crate::operating::{
    back, back_operation, clock, converging, failed, failing, fault, id, keep, last, not_ready,
    notice, passes, sealed, to,
};

#[test]
fn undoing_should_go_from_step_to_step() {
    back(Back::Undeploy(sealed())).check("Back/Undeploy: act Undeploy");
    let gone = |at| back(at).deployment(Deployment::Absent);
    gone(Back::Undeploy(sealed())).check("Back/Restore: act Restore");
    back(Back::Restore(sealed())).check("Back/Undeploy: act Undeploy");
    let restored = |restoration| {
        gone(Back::Restore(sealed()))
            .with(|case| case.observed.restoration = Seen::Is(restoration))
            .with(|case| case.standing.data_of = Some(version("1.1.0+1.1")))
    };
    restored(Restoration::Pending).check("Back/Restore: act Restore");
    let decision = restored(Restoration::Done).check("Back/Deploy: act Submit");
    assert_eq!(record(&decision).data_of, Some(version("1.0.0+1.0")));
    gone(Back::Deploy).check("Back/Deploy: act Submit");
    let drains = || Deployment::Draining("1 task".into());
    back(Back::Deploy)
        .deployment(drains())
        .check("Back/Deploy: wait Progressing +5");
    let decision = back(Back::Deploy).check("Back/Prove: wait Progressing +0");
    assert_eq!(clock(&decision), Clock::Until(at(600)));
    let prove = |until| back(Back::Prove(Clock::Until(at(until))));
    prove(1)
        .deployment(Deployment::Absent)
        .check("Back/Prove: act Submit");
    prove(1)
        .deployment(failing())
        .check("Back/Prove: wait Progressing +5");
    let stuck = "Stuck: rollback-failed:1.1.0+1.1->1.0.0+1.0, tells rollback-failed +0";
    prove(0).deployment(failing()).check(stuck);
    prove(0).deployment(Deployment::Absent).check(stuck);
    prove(0).check(stuck);
}

#[test]
fn undoing_that_works_should_blame_and_tell() {
    let decision = back(Back::Prove(Clock::Until(at(9))))
        .with(passes)
        .with(|case| case.standing.unhealthy_since = Some(at(-9)))
        .check("idle: rolled-back:1.1.0+1.1->1.0.0+1.0, tells rolled-back +0");
    let standing = record(&decision);
    assert!(standing.is_quarantined(&to()));
    assert_eq!(standing.quarantine[0].cause, Cause::TasksFailing);
    assert_eq!(standing.unhealthy_since, None);
    assert_eq!(standing.last_good.as_ref().unwrap().passed.at, at(-1));
    let (_, healthy, message) = last(standing);
    assert_eq!(
        (healthy, message.as_str()),
        (true, "TasksFailing: it broke")
    );
    let told = notice(&decision);
    assert_eq!(told.identity, "20260101T000000Z-0004-rolled-back");
    assert_eq!(
        (told.recovered, told.attempted),
        (Some(true), Some(version("1.1.0+1.1")))
    );
    let superseded = back_operation(Cause::Superseded, Back::Prove(Clock::Until(at(9))));
    let decision = case()
        .operation(Operation::Back(superseded))
        .with(passes)
        .check("idle: superseded:1.0.0+1.0->1.1.0+1.1, tells nobody +0");
    assert!(record(&decision).quarantine.is_empty());
}

#[test]
fn undoing_that_fails_should_stand_still_for_a_person() {
    let decision = back(Back::Prove(Clock::Until(at(0)))).decide();
    let standing = record(&decision).clone();
    assert!(standing.is_quarantined(&to()));
    let (_, healthy, message) = last(&standing);
    assert!(!healthy);
    assert_eq!(
        message,
        "TasksFailing: it broke; going back failed: HealthGateFailed: 502"
    );
    assert_eq!(notice(&decision).recovered, Some(false));
    let stuck = case().with(|case| case.standing = standing.clone());
    stuck.check("Stuck: wait RollbackFailed +30");
    let retried = apply(&standing, &Request::Retry);
    let expected = back_operation(Cause::TasksFailing, Back::Deploy);
    assert_eq!(retried.operation, Some(Operation::Back(expected)));
    let superseded = back_operation(Cause::Superseded, Back::Restore(sealed()));
    let decision = case()
        .operation(Operation::Back(superseded))
        .with(failed)
        .decide();
    assert!(record(&decision).quarantine.is_empty());
    let retried = apply(record(&decision), &Request::Retry);
    assert_eq!(retried.operation.unwrap().phase(), "Back/Restore");
}

#[test]
fn first_deploy_that_failed_should_be_given_up() {
    let abandon = |cause| {
        case()
            .with(|case| case.standing.last_good = None)
            .operation(Operation::Abandon {
                id: id(),
                fault: fault(cause),
                failed: to(),
            })
    };
    abandon(Cause::DeployFailed).check("Abandon: act Undeploy");
    let gone = |cause| abandon(cause).deployment(Deployment::Absent);
    let decision =
        gone(Cause::DeployFailed).check("idle: deploy-failed:1.1.0+1.1, tells deploy-failed +0");
    assert!(record(&decision).is_quarantined(&to()));
    assert_eq!(last(record(&decision)).2, "DeployFailed: it broke");
    let told = notice(&decision);
    assert_eq!(
        (told.recovered, told.attempted),
        (Some(false), Some(version("1.1.0+1.1")))
    );
    let decision =
        gone(Cause::Superseded).check("idle: superseded:none->1.1.0+1.1, tells nobody +0");
    assert!(record(&decision).quarantine.is_empty());
}

#[test]
fn keeping_alive_should_end_well_or_be_told_once() {
    let submit = |nonce| keep(Keep::Submit { nonce });
    submit(None)
        .deployment(Deployment::Absent)
        .check("Keep/Submit: act Submit");
    submit(Some(9))
        .deployment(Deployment::Absent)
        .check("Keep/Submit: act Submit 9");
    let drains = Deployment::Draining("1 task".into());
    submit(None)
        .deployment(drains)
        .check("Keep/Submit: wait Progressing +5");
    assert_eq!(
        clock(&submit(None).check("Keep/Prove: wait Progressing +0")),
        Clock::Until(at(600))
    );
    let prove = |until| keep(Keep::Prove(Clock::Until(at(until))));
    prove(1)
        .deployment(Deployment::Absent)
        .check("Keep/Prove: act Submit");
    prove(1)
        .deployment(converging())
        .check("Keep/Prove: wait Progressing +5");
    let decision = prove(1)
        .with(passes)
        .with(|case| case.standing.unhealthy_since = Some(at(-9)))
        .check("idle: redeployed:1.0.0+1.0, tells nobody +0");
    assert_eq!(
        record(&decision).last_good.as_ref().unwrap().passed.at,
        at(-1)
    );
    assert_eq!(record(&decision).unhealthy_since, None);
    assert_eq!(
        last(record(&decision)),
        ("redeployed:1.0.0+1.0".into(), true, "drift".into())
    );
    let told = "idle: unhealthy-on-latest:1.0.0+1.0, tells unhealthy-on-latest +0";
    prove(0).deployment(Deployment::Absent).check(told);
    prove(0).check(told);
    submit(None).with(failed).check(told);
    let decision = prove(1).deployment(failing()).check(told);
    let first = record(&decision).clone();
    assert_eq!(first.unhealthy_since, Some(crate::case::NOW));
    assert!(!last(&first).1);
    assert_eq!(
        notice(&decision).message,
        "drift; submitted again, and still: exit 1"
    );
    assert_eq!(
        (notice(&decision).recovered, notice(&decision).attempted),
        (Some(false), None)
    );
    let again = submit(None).with(failed).with(|case| {
        case.standing.history.clone_from(&first.history);
        case.standing.history[0].at = at(-700);
        case.standing.unhealthy_since = Some(at(-700));
    });
    let decision = again.check("idle: unhealthy-on-latest:1.0.0+1.0, tells nobody +0");
    assert_eq!(record(&decision).unhealthy_since, Some(at(-700)));
    assert_eq!(record(&decision).history.len(), 1);
    assert_eq!(record(&decision).history[0].at, crate::case::NOW);
    // Another line is not written over.
    let other = again.with(|case| {
        case.standing.history[0].result = Outcome::of(Verb::Redeployed, "1.0.0+1.0");
    });
    assert_eq!(record(&other.decide()).history.len(), 2);
}

#[test]
fn history_should_be_bounded() {
    let old = |number: usize| HistoryEntry {
        at: at(-1),
        operation: OperationId(number.to_string()),
        result: Outcome::of(Verb::Redeployed, "1.0.0+1.0"),
        healthy: true,
        message: String::new(),
    };
    let full = keep(Keep::Prove(Clock::Until(at(9))))
        .with(passes)
        .with(|case| {
            case.standing.history = (0..Standing::HISTORY).map(old).collect();
        });
    let decision = full.decide();
    let history = &record(&decision).history;
    assert_eq!(history.len(), Standing::HISTORY);
    assert_eq!(history[0].operation, OperationId::from("1"));
    assert_eq!(history.last().unwrap().operation, id());
}

#[test]
fn removal_should_go_as_far_as_it_was_asked() {
    let removing = |at, want| {
        case()
            .operation(Operation::Remove { id: id(), at })
            .with(|case| case.standing.unhealthy_since = Some(crate::case::at(-9)))
            .with(|case| case.intent.want = want)
    };
    let gone = Want::Gone;
    removing(Remove::Undeploy, gone(DeletionPolicy::Undeploy))
        .check("Remove/Undeploy: act Undeploy");
    let absent = |at, want| removing(at, want).deployment(Deployment::Absent);
    let decision = absent(Remove::Undeploy, gone(DeletionPolicy::Undeploy))
        .check("idle: removed, tells nobody +0");
    assert_eq!(record(&decision).last_good, case().standing.last_good);
    assert_eq!(record(&decision).checked, None);
    assert_eq!(record(&decision).unhealthy_since, None);
    absent(Remove::Undeploy, gone(DeletionPolicy::Purge)).check("Remove/Purge: act Purge");
    removing(Remove::Undeploy, gone(DeletionPolicy::Orphan))
        .check("idle: removed, tells nobody +0");
    removing(Remove::Undeploy, Want::Run).check("idle: wait Progressing +0");
    let purged = |purged, want| {
        removing(Remove::Purge, want).with(|case| case.observed.purged = Seen::Is(purged))
    };
    purged(Purged::Remains, gone(DeletionPolicy::Purge)).check("Remove/Purge: act Purge");
    purged(Purged::Remains, Want::Run).check("Remove/Purge: act Purge");
    let forgotten = Standing {
        operations: 4,
        ..Standing::default()
    };
    let decision =
        purged(Purged::Clean, gone(DeletionPolicy::Purge)).check("idle: removed, tells nobody +0");
    assert_eq!(*record(&decision), forgotten);
    let decision = purged(Purged::Clean, Want::Run).check("idle: wait Progressing +0");
    assert_eq!(*record(&decision), forgotten);
}

#[test]
fn what_is_stuck_should_stay_so_when_its_object_goes() {
    let stuck = |want| {
        case()
            .operation(Operation::Stuck {
                fault: fault(Cause::RestoreFailed),
                resume: Resume::Back(back_operation(Cause::TasksFailing, Back::Restore(sealed()))),
            })
            .with(|case| case.intent.want = want)
    };
    stuck(Want::Run).check("Stuck: wait RollbackFailed +30");
    stuck(Want::Suspended).check("Stuck: wait RollbackFailed +30");
    stuck(Want::Gone(DeletionPolicy::Orphan)).check("Stuck: removed, tells nobody +0");
    let undeploy = Want::Gone(DeletionPolicy::Undeploy);
    stuck(undeploy).check("Stuck: act Undeploy");
    stuck(undeploy)
        .deployment(Deployment::Absent)
        .check("Stuck: removed, tells nobody +0");
    stuck(Want::Gone(DeletionPolicy::Purge))
        .deployment(Deployment::Absent)
        .check("Remove/Purge: act Purge");
}

#[test]
fn deletion_should_not_wait_for_last_good_to_prove_itself() {
    let deleted = |at, policy| {
        back(at)
            .with(not_ready)
            .with(|case| case.intent.want = Want::Gone(policy))
    };
    let decision =
        deleted(Back::Deploy, DeletionPolicy::Undeploy).check("Remove/Undeploy: act Undeploy");
    assert!(record(&decision).is_quarantined(&to()));
    let prove = || Back::Prove(Clock::Until(at(9)));
    deleted(prove(), DeletionPolicy::Purge).check("Remove/Undeploy: act Undeploy");
    deleted(prove(), DeletionPolicy::Orphan).check("Back/Prove: wait DependencyNotReady +5");
    deleted(Back::Restore(sealed()), DeletionPolicy::Undeploy).check("Back/Undeploy: act Undeploy");
}
