//! The world as the model sees it: just enough of it to tell right from wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use ci_warm_api_types::journal::{Candidate, ConfigDigest, ReleaseId, Sealed, VolumeName};
use ci_warm_api_types::version::Version;
use ci_warm_rollout::{
    Catalog, Dependencies, Deployment, Gate, Images, MigrationNotes, Observed, Offer, Preflight,
    Purged, Question, Rendering, Restoration, Seal, Seen, Stored, Subject, Want,
};
use jiff::{SignedDuration, Timestamp};

use crate::scenario::{Behaviour, DEADLINE, Scenario};

/// Every state is looked at at this time; what it remembers of the past and the future moves instead.
pub const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

/// The versions there are, oldest first.
pub const VERSIONS: [&str; 4] = ["1.0.0+1.0", "1.1.0+1.1", "1.2.0+1.2", "2.0.0+2.0"];

/// A release: a version under an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rel {
    pub version: usize,
    pub env: usize,
}

impl Rel {
    pub fn bit(self) -> u16 {
        1 << (self.version * 2 + self.env)
    }

    pub fn candidate(self) -> &'static Candidate {
        static ALL: OnceLock<Vec<Candidate>> = OnceLock::new();
        let all = ALL.get_or_init(|| {
            let each = |index: usize| {
                let (version, env) = (VERSIONS[index / 2], ["aaaaaaaa", "bbbbbbbb"][index % 2]);
                Candidate {
                    id: ReleaseId(format!("{version}-{env}")),
                    version: version.parse().unwrap(),
                    commit: "c0ffee".into(),
                    digest: ConfigDigest(env.into()),
                    secrets: BTreeMap::new(),
                }
            };
            (0..VERSIONS.len() * 2).map(each).collect()
        });
        &all[self.version * 2 + self.env]
    }

    pub fn of(candidate: &Candidate) -> Self {
        Self {
            version: index(&candidate.version),
            env: usize::from(candidate.digest.0.starts_with('b')),
        }
    }
}

pub fn index(version: &Version) -> usize {
    let text = version.to_string();
    VERSIONS.iter().position(|known| *known == text).unwrap()
}

pub fn volumes() -> BTreeSet<VolumeName> {
    [VolumeName::from("data")].into()
}

/// The bytes of the data: who wrote them, and whether they are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bytes {
    pub writers: u16,
    pub half_restored: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tasks {
    /// For so many ticks.
    Converging(i64),
    Up,
    Failing,
    GivenUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stack {
    Absent,
    Draining,
    Running {
        rel: Rel,
        nonce: Option<u64>,
        tasks: Tasks,
        /// Somebody changed a service by hand.
        drift: bool,
        /// It does not answer until its tasks are made anew.
        ails: bool,
    },
}

/// What stands in the way of a release from outside of its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    None,
    /// A file with a secret is missing, say.
    Rendering,
    /// There is no room for a snapshot, say.
    Preflight,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// One bit for each version on offer.
    pub offers: u8,
    /// Nothing: there is no object, or it was let go.
    pub want: Option<Want>,
    /// The spec's generation.
    pub generation: u64,
    pub env: usize,
    pub stack: Stack,
    pub data: Option<Bytes>,
    /// Whole snapshots by name, with the bytes in them.
    pub snapshots: BTreeMap<String, Option<Bytes>>,
    /// Operations whose failed data was set aside.
    pub aside: BTreeSet<String>,
    /// The operation that put data back last.
    pub restored: Option<String>,
    pub images: u16,
    pub stored: u16,
    /// By identity.
    pub alerts: BTreeSet<String>,
    pub dependency_ready: bool,
    pub obstacle: Obstacle,
    /// Releases that turned bad after they were good.
    pub cursed: u16,
    /// Successes and failures in a row; lost when the process dies.
    pub gate: (u32, u32),
    /// The last step cannot work; lost when the process dies.
    pub failed: bool,
    /// The bytes when the operation under way began. The model's memory, not the world's.
    pub before: Option<Bytes>,
    /// How many moves the environment has left, and how many faults may still happen.
    pub moves: u8,
    pub faults: u8,
}

impl World {
    pub fn behaviour(&self, scenario: &Scenario, rel: Rel) -> Behaviour {
        if self.cursed & rel.bit() == 0 {
            (scenario.behaviour)(rel)
        } else {
            scenario.curse
        }
    }

    /// The true answer.
    pub fn answer(&self, scenario: &Scenario, question: &Question, observed: &mut Observed) {
        match question {
            Question::Catalog(_) => observed.catalog = Seen::Is(self.catalog(scenario)),
            Question::Render(version) => {
                let rendering = self.rendering(index(version));
                observed
                    .renderings
                    .insert(version.clone(), Seen::Is(rendering));
            }
            Question::Deployment(subject) => {
                observed.deployment = Seen::Is(self.deployment(subject.as_ref()));
            }
            Question::Dependencies => {
                observed.dependencies = Seen::Is(if self.dependency_ready {
                    Dependencies::Ready
                } else {
                    Dependencies::NotReady("traefik is not Ready".into())
                });
            }
            Question::Preflight(_) => observed.preflight = Seen::Is(self.preflight(scenario)),
            Question::Images(candidate) => {
                let present = self.images & Rel::of(candidate).bit() != 0;
                observed.images = Seen::Is(if present {
                    Images::Present
                } else {
                    Images::Missing
                });
            }
            Question::Stored(candidate) => {
                let whole = self.stored & Rel::of(candidate).bit() != 0;
                observed.stored = Seen::Is(if whole {
                    Stored::Whole
                } else {
                    Stored::Missing
                });
            }
            Question::Seal(name) => {
                observed.seal = Seen::Is(if self.snapshots.contains_key(&name.0) {
                    Seal::Whole(Sealed {
                        name: name.clone(),
                        volumes: volumes(),
                    })
                } else {
                    Seal::Absent
                });
            }
            Question::Restoration(_, id) => {
                observed.restoration = Seen::Is(if self.restored.as_ref() == Some(&id.0) {
                    Restoration::Done
                } else {
                    Restoration::Pending
                });
            }
            Question::Gate(_) => {
                observed.gate = Seen::Is(Gate {
                    passes: self.gate.0,
                    failures: self.gate.1,
                    at: NOW,
                    message: "502".into(),
                });
            }
            Question::Purged => {
                observed.purged = Seen::Is(if self.is_clean() {
                    Purged::Clean
                } else {
                    Purged::Remains
                });
            }
        }
    }

    pub fn is_clean(&self) -> bool {
        self.data.is_none() && self.snapshots.is_empty() && self.stored == 0
    }

    fn catalog(&self, scenario: &Scenario) -> Catalog {
        let offer = |version: usize| Offer {
            version: VERSIONS[version].parse().unwrap(),
            notes: if scenario.flagged == Some(version) {
                MigrationNotes::ManualMigration
            } else {
                MigrationNotes::Unflagged
            },
            secrets: BTreeMap::new(),
        };
        let offers = (0..VERSIONS.len())
            .filter(|version| self.offers & (1 << version) != 0)
            .map(offer)
            .collect();
        Catalog { offers }
    }

    fn rendering(&self, version: usize) -> Rendering {
        if self.obstacle == Obstacle::Rendering {
            return Rendering::Refused {
                reason: "SecretMissing".into(),
                message: "no such file".into(),
            };
        }
        let rel = Rel {
            version,
            env: self.env,
        };
        Rendering::Candidate(rel.candidate().clone())
    }

    fn preflight(&self, scenario: &Scenario) -> Preflight {
        if self.obstacle == Obstacle::Preflight {
            return Preflight::Refused {
                reason: "DataNotCovered".into(),
                message: "no room".into(),
            };
        }
        let covered = scenario.stateful() && self.data.is_some();
        Preflight::Clear {
            covers: covered.then(volumes),
        }
    }

    fn deployment(&self, subject: Option<&Subject>) -> Deployment {
        match &self.stack {
            Stack::Absent => Deployment::Absent,
            Stack::Draining => Deployment::Draining("1 task".into()),
            Stack::Running {
                rel,
                nonce,
                tasks,
                drift,
                ..
            } => {
                if let Some(subject) = subject
                    && (subject.release != *rel.candidate()
                        || *drift
                        || (subject.nonce.is_some() && subject.nonce != *nonce))
                {
                    return Deployment::Differs("service app".into());
                }
                match tasks {
                    Tasks::Converging(age) => Deployment::Converging {
                        why: "1/2".into(),
                        since: NOW - SignedDuration::from_secs(*age),
                    },
                    Tasks::Up => Deployment::Converged,
                    Tasks::Failing => Deployment::TasksFailing("exit 1".into()),
                    Tasks::GivenUp => Deployment::GivenUp("paused".into()),
                }
            }
        }
    }

    /// One tick of the clock in which everything that can move does.
    pub fn progress(&mut self, scenario: &Scenario) {
        match self.stack {
            Stack::Absent => {}
            Stack::Draining => self.stack = Stack::Absent,
            Stack::Running {
                rel, tasks, ails, ..
            } => {
                let behaviour = self.behaviour(scenario, rel);
                match tasks {
                    Tasks::Converging(_) => self.converge(behaviour),
                    Tasks::Up => {
                        let passes = behaviour == Behaviour::Good && !ails && self.dependency_ready;
                        self.gate = if passes {
                            ((self.gate.0 + 1).min(2), 0)
                        } else {
                            (0, (self.gate.1 + 1).min(2))
                        };
                    }
                    Tasks::Failing | Tasks::GivenUp => {}
                }
            }
        }
    }

    fn converge(&mut self, behaviour: Behaviour) {
        if let Stack::Running { tasks, .. } = &mut self.stack {
            *tasks = match (behaviour, *tasks) {
                (Behaviour::Good | Behaviour::GateFails, _) => Tasks::Up,
                (Behaviour::TasksFail, _) => Tasks::Failing,
                (Behaviour::GivenUp, _) => Tasks::GivenUp,
                (_, Tasks::Converging(age)) => Tasks::Converging((age + 1).min(DEADLINE)),
                (_, other) => other,
            };
        }
    }
}
