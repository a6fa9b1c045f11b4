//! Breadth-first through everything that can happen, and from everywhere onwards with no more faults.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use ci_warm_api_types::journal::{Operation, Standing};
use ci_warm_api_types::warm_app::DeletionPolicy;
use ci_warm_rollout::{Decision, End, Want};

use crate::canon::{canonical, tick};
use crate::check::{self, Rest};
use crate::driver::{Turn, turn};
use crate::moves::{How, died, moved, take};
use crate::scenario::{DEADLINE, Scenario};
use crate::world::{NOW, World};

/// What is durable, what the world is, and what the running process knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub standing: Standing,
    pub world: World,
}

/// What happens next when nothing interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calm {
    /// Something is done, or an operation moves.
    Busy,
    /// Time passes.
    Time,
    /// Neither.
    Still,
}

struct Node {
    parent: u32,
    label: String,
    next: u32,
    calm: Calm,
    goal: Result<Rest, String>,
}

struct Search<'a> {
    scenario: &'a Scenario,
    seen: HashMap<(u64, u64), u32>,
    nodes: Vec<Node>,
    queue: VecDeque<(u32, State)>,
}

/// Explores the scenario and gives the number of states; panics with the way to a state in which something does not hold.
pub fn explore(scenario: &Scenario, first: State) -> usize {
    let mut search = Search {
        scenario,
        seen: HashMap::new(),
        nodes: Vec::new(),
        queue: VecDeque::new(),
    };
    search.visit(first, 0, "start".to_owned());
    while let Some((index, state)) = search.queue.pop_front() {
        assert!(
            search.nodes.len() < 5_000_000,
            "{}: there is no end to it:\n{}",
            scenario.name,
            search.way_to(index)
        );
        if let Err(wrong) = search.expand(index, &state) {
            panic!(
                "{}: {wrong}\n{}\n{:?}\n{:?}",
                scenario.name,
                search.way_to(index),
                state.world,
                state.standing.operation
            );
        }
    }
    let longest = search.settle();
    println!(
        "{}: {} states, at most {longest} turns from anywhere to rest",
        scenario.name,
        search.nodes.len()
    );
    search.nodes.len()
}

/// Where it comes to rest when nothing interferes.
pub fn rest(scenario: &Scenario, mut state: State) -> State {
    for _ in 0..100 {
        let turn = turn(scenario, &state, None);
        let Ok((next, _)) = done(scenario, &state, &turn) else {
            break;
        };
        state = next;
        canonical(&mut state);
        if check::goal(scenario, &state) == Ok(Rest::Quiet) {
            return state;
        }
    }
    panic!("{}: it does not come to rest", scenario.name);
}

impl Search<'_> {
    fn visit(&mut self, mut state: State, parent: u32, label: String) -> u32 {
        canonical(&mut state);
        let print = fingerprint(&state);
        if let Some(known) = self.seen.get(&print) {
            return *known;
        }
        let index = u32::try_from(self.nodes.len()).unwrap();
        self.seen.insert(print, index);
        self.nodes.push(Node {
            parent,
            label,
            next: index,
            calm: Calm::Still,
            goal: check::goal(self.scenario, &state),
        });
        self.queue.push_back((index, state));
        index
    }

    fn expand(&mut self, index: u32, state: &State) -> Result<(), String> {
        self.expand_turn(index, state)?;
        if state.world.moves > 0 {
            for what in self.scenario.moves {
                if let Some(next) = moved(state, *what) {
                    self.visit(next, index, format!("{what:?}"));
                }
            }
        }
        // Where a dependency stays away, waiting is all there is; so calm means that it comes back.
        let removed_anyway = matches!(
            state.world.want,
            Some(Want::Gone(DeletionPolicy::Undeploy | DeletionPolicy::Purge))
        );
        if !state.world.dependency_ready && !removed_anyway {
            let mut ready = state.clone();
            ready.world.dependency_ready = true;
            let next = self.visit(ready, index, "the dependency is Ready again".into());
            self.calmly(index, next, Calm::Busy);
        }
        Ok(())
    }

    fn expand_turn(&mut self, index: u32, state: &State) -> Result<(), String> {
        if state.world.want.is_none() {
            return Ok(());
        }
        let calm = turn(self.scenario, state, None);
        check::decision(self.scenario, state, &calm)?;
        self.follow(index, state, &calm)?;
        if state.world.faults == 0 {
            return Ok(());
        }
        let mut state = state.clone();
        state.world.faults -= 1;
        self.fault(index, &state, &calm)?;
        for position in 0..calm.asked.len() {
            let unknown = turn(self.scenario, &state, Some(position));
            check::unknown(&state, &unknown)?;
            check::decision(self.scenario, &state, &unknown)?;
            let next = done(self.scenario, &state, &unknown)?;
            self.visit(next.0, index, format!("unknown: {}", unknown.label()));
        }
        Ok(())
    }

    /// What the decision comes to when nothing goes wrong.
    fn follow(&mut self, index: u32, state: &State, turn: &Turn) -> Result<(), String> {
        let (next, calm) = done(self.scenario, state, turn)?;
        let next = self.visit(next, index, turn.label());
        self.calmly(index, next, calm);
        Ok(())
    }

    fn calmly(&mut self, index: u32, next: u32, calm: Calm) {
        let node = &mut self.nodes[index as usize];
        node.next = next;
        node.calm = calm;
    }

    /// What it comes to when something does.
    fn fault(&mut self, index: u32, state: &State, turn: &Turn) -> Result<(), String> {
        let mut dead = state.clone();
        died(&mut dead.world);
        self.visit(dead, index, "died before the record".into());
        match &turn.decision {
            Decision::Act { record, step } => {
                for how in hows(step) {
                    let mut next = recorded(state, record);
                    take(self.scenario, &mut next, step, *how)?;
                    self.visit(next, index, format!("{} {how:?}", turn.label()));
                }
            }
            Decision::Wait { record, until, .. } if *until > NOW => {
                let mut slow = recorded(state, record);
                tick(&mut slow);
                self.visit(slow, index, format!("{}, slowly", turn.label()));
            }
            Decision::Wait { .. } => {}
            Decision::Settle { notice, .. } => {
                if let Some(notice) = notice {
                    let mut told = state.clone();
                    told.world.alerts.insert(notice.identity.clone());
                    died(&mut told.world);
                    self.visit(told, index, "died between notice and record".into());
                }
            }
        }
        Ok(())
    }

    /// From each state onwards with no more faults: it comes to rest, rightly, and soon.
    fn settle(&self) -> usize {
        let mut rests: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let mut path = vec![];
            let mut on_path = HashMap::new();
            let mut at = start;
            while rests[at].is_none() && !on_path.contains_key(&at) {
                on_path.insert(at, path.len());
                path.push(at);
                at = self.nodes[at].next as usize;
            }
            let mut turns = rests[at].unwrap_or(0);
            if let Some(from) = on_path.get(&at) {
                self.rest(&path[*from..]);
                for index in path.drain(from..) {
                    rests[index] = Some(0);
                }
            }
            for index in path.into_iter().rev() {
                turns += 1;
                rests[index] = Some(turns);
            }
        }
        rests.into_iter().flatten().max().unwrap_or(0)
    }

    fn rest(&self, cycle: &[usize]) {
        let fail = |index: usize, wrong: &str| {
            let way = self.way_to(u32::try_from(index).unwrap());
            let labels: Vec<&str> = cycle
                .iter()
                .map(|index| self.nodes[self.nodes[*index].next as usize].label.as_str())
                .collect();
            panic!(
                "{}: liveness: {wrong}\n{way}\nand then for ever: {labels:?}",
                self.scenario.name
            );
        };
        let ticks = cycle
            .iter()
            .filter(|index| self.nodes[**index].calm == Calm::Time)
            .count();
        for index in cycle {
            let node = &self.nodes[*index];
            match &node.goal {
                Ok(Rest::Quiet) if node.calm == Calm::Busy => {
                    fail(*index, "it never comes to rest");
                }
                Ok(Rest::Trying) if i64::try_from(ticks).unwrap() < DEADLINE => {
                    fail(*index, "it tries without end");
                }
                Ok(_) => {}
                Err(wrong) => fail(*index, wrong),
            }
        }
        let gone = cycle.len() == 1 && self.nodes[cycle[0]].calm == Calm::Still;
        if !gone
            && !cycle
                .iter()
                .any(|index| self.nodes[*index].calm == Calm::Time)
        {
            fail(cycle[0], "it goes round and round while no time passes");
        }
    }

    fn way_to(&self, index: u32) -> String {
        let mut labels = vec![];
        let mut at = index as usize;
        while at != 0 {
            labels.push(self.nodes[at].label.clone());
            at = self.nodes[at].parent as usize;
        }
        labels.reverse();
        labels.join("\n")
    }
}

fn hows(step: &ci_warm_rollout::Step) -> &'static [How] {
    use ci_warm_rollout::Step;
    match step {
        // These are tried until they work.
        Step::Undeploy | Step::Purge => &[
            How::Passing,
            How::DiedBefore,
            How::DiedWithin,
            How::DiedAfter,
        ],
        _ => &[
            How::Passing,
            How::Final,
            How::DiedBefore,
            How::DiedWithin,
            How::DiedAfter,
        ],
    }
}

fn recorded(state: &State, record: &Standing) -> State {
    let mut next = state.clone();
    next.world.failed = false;
    if state.standing.operation.is_none() && record.operation.is_some() {
        next.world.before = state.world.data;
    }
    next.standing = record.clone();
    next
}

fn done(scenario: &Scenario, state: &State, turn: &Turn) -> Result<(State, Calm), String> {
    Ok(match &turn.decision {
        Decision::Act { record, step } => {
            let mut next = recorded(state, record);
            take(scenario, &mut next, step, How::Done)?;
            (next, Calm::Busy)
        }
        Decision::Wait { record, until, .. } => later(scenario, state, record, *until > NOW),
        Decision::Settle {
            record,
            end,
            notice,
            until,
        } => {
            let mut told = state.clone();
            told.world
                .alerts
                .extend(notice.iter().map(|notice| notice.identity.clone()));
            if *end == End::Removed {
                let mut next = recorded(&told, record);
                next.world.want = None;
                return Ok((next, Calm::Busy));
            }
            later(scenario, &told, record, *until > NOW)
        }
    })
}

fn later(scenario: &Scenario, state: &State, record: &Standing, waits: bool) -> (State, Calm) {
    let mut next = recorded(state, record);
    let phase = |standing: &Standing| standing.operation.as_ref().map(Operation::phase);
    let moves = phase(record) != phase(&state.standing);
    if waits {
        next.world.progress(scenario);
        tick(&mut next);
    }
    let calm = match (moves, waits) {
        (true, _) => Calm::Busy,
        (false, true) => Calm::Time,
        (false, false) => Calm::Still,
    };
    (next, calm)
}

fn fingerprint(state: &State) -> (u64, u64) {
    let print = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        state.hash(&mut hasher);
        hasher.finish()
    };
    (print(0), print(1))
}
