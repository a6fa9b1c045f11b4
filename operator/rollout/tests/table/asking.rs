//! What is asked, and what is not.

use ci_warm_rollout::{Deployment, Observed, Question, Refresh, Seen, Subject};

use crate::case::{Case, candidate, case, gate, offer, version};

fn ignorant() -> Case {
    case().with(|case| case.observed = Observed::default())
}

#[test]
fn idle_app_should_ask_neither_git_nor_for_a_rendering() {
    let subject = Subject {
        release: candidate("1.0.0+1.0", "a"),
        nonce: None,
    };
    let asks = ignorant();
    assert_eq!(
        asks.asks(),
        Some(Question::Deployment(Some(subject.clone())))
    );
    let asks = asks.deployment(Deployment::Converged);
    assert_eq!(asks.asks(), Some(Question::Gate(subject)));
    let asks = asks.with(|case| case.observed.gate = Seen::Is(gate(1, 0)));
    assert_eq!(asks.asks(), None);
}

#[test]
fn versions_should_be_asked_for_when_it_is_time() {
    let catalog = |refresh| Some(Question::Catalog(refresh));
    let aged = |seconds: i64| {
        ignorant().with(|case| {
            case.standing.checked.as_mut().unwrap().at = crate::case::at(-seconds);
        })
    };
    assert_ne!(aged(899).asks(), catalog(Refresh::Now));
    assert_eq!(aged(900).asks(), catalog(Refresh::Now));
    let never = ignorant().with(|case| case.standing.checked = None);
    assert_eq!(never.asks(), catalog(Refresh::Now));
    let respecified = ignorant().with(|case| case.intent.generation.number = 8);
    assert_eq!(respecified.asks(), catalog(Refresh::Now));
    let pending = ignorant().with(|case| {
        case.standing.checked.as_mut().unwrap().pending = Some(version("1.1.0+1.1"));
    });
    assert_eq!(pending.asks(), catalog(Refresh::Cached));
}

#[test]
fn change_should_be_asked_about_before_it_begins() {
    let take = ignorant().due().offers(vec![offer("1.1.0+1.1")], "a");
    assert_eq!(take.asks(), Some(Question::Dependencies));
    let take = take.with(|case| {
        case.observed.dependencies = Seen::Is(ci_warm_rollout::Dependencies::Ready);
    });
    let to = candidate("1.1.0+1.1", "a");
    assert_eq!(take.asks(), Some(Question::Preflight(to)));
}
