//! One turn, as the operator takes it: answer questions until there is a decision.

use ci_warm_rollout::{Decision, Next, Observed, Question, Seen, next};

use crate::scenario::Scenario;
use crate::search::State;
use crate::world::NOW;

pub struct Turn {
    pub decision: Decision,
    pub asked: Vec<Question>,
    /// Which question could not be answered.
    pub unknown: Option<Question>,
}

/// Takes a turn. The answer to the question at position `unknown` cannot be had.
pub fn turn(scenario: &Scenario, state: &State, unknown: Option<usize>) -> Turn {
    let want = state.world.want.unwrap();
    let intent = scenario.intent(&state.world, want);
    let mut observed = Observed {
        failed: state.world.failed.then(|| "no".to_owned()),
        ..Observed::default()
    };
    let mut asked: Vec<Question> = vec![];
    loop {
        let question = match next(&intent, &state.standing, &observed, NOW) {
            Next::Decide(decision) => {
                return Turn {
                    decision: *decision,
                    unknown: unknown.map(|position| asked[position].clone()),
                    asked,
                };
            }
            Next::Ask(question) => question,
        };
        assert!(!asked.contains(&question), "asked twice: {question:?}");
        if unknown == Some(asked.len()) {
            cannot_tell(&question, &mut observed);
        } else {
            state.world.answer(scenario, &question, &mut observed);
        }
        asked.push(question);
    }
}

fn cannot_tell(question: &Question, observed: &mut Observed) {
    let why = "cannot tell".to_owned();
    match question {
        Question::Catalog(_) => observed.catalog = Seen::Unknown(why),
        Question::Render(version) => {
            observed
                .renderings
                .insert(version.clone(), Seen::Unknown(why));
        }
        Question::Deployment(_) => observed.deployment = Seen::Unknown(why),
        Question::Dependencies => observed.dependencies = Seen::Unknown(why),
        Question::Preflight(_) => observed.preflight = Seen::Unknown(why),
        Question::Images(_) => observed.images = Seen::Unknown(why),
        Question::Stored(_) => observed.stored = Seen::Unknown(why),
        Question::Seal(_) => observed.seal = Seen::Unknown(why),
        Question::Restoration(..) => observed.restoration = Seen::Unknown(why),
        Question::Gate(_) => observed.gate = Seen::Unknown(why),
        Question::Purged => observed.purged = Seen::Unknown(why),
    }
}

impl Turn {
    pub fn label(&self) -> String {
        let (kind, record, detail) = match &self.decision {
            Decision::Act { record, step } => ("act", record, step.name().to_owned()),
            Decision::Wait { record, why, .. } => {
                ("wait", record, format!("{}: {}", why.reason, why.message))
            }
            Decision::Settle {
                record,
                end,
                notice,
                ..
            } => {
                let told = notice.as_ref().map(|notice| &notice.identity);
                ("settle", record, format!("{end:?}, told {told:?}"))
            }
        };
        let phase = record.operation.as_ref().map_or("idle", |op| op.phase());
        format!("[{phase}] {kind} {detail}")
    }
}
