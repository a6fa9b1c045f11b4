//! Answers to the planner's questions. No decisions: what cannot be answered is unknown, with the reason.

use std::collections::BTreeMap;

use ci_warm_api_types::conditions::types;
use ci_warm_api_types::journal::{Candidate, Operation, Release, Standing};
use ci_warm_api_types::version::Version;
use ci_warm_api_types::warm_app::WarmAppSpec;
use ci_warm_engine::Engine;
use ci_warm_rollout::{
    Catalog, Dependencies, Deployment, Gate, Images, Intent, MigrationNotes, Observed, Offer,
    Preflight, Purged, Question, Refresh, Rendering, Restoration, Seal, Seen, Stored, Subject,
};
use ci_warm_runtime::{ConditionStatus, ObjectName, Store};
use jiff::Timestamp;

use super::WarmApp;
use super::probing::{Probing, Round};
use super::render::{RenderError, generated, render, source};
use super::stops::Stops;
use crate::coverage::{self, Look};
use crate::deploy;
use crate::instance::Instance;
use crate::recipe::{
    CommitId, Freshness, GitUrl, ManualMigration, Mirror, TaggedVersion, Tree, manual_migration,
    notes_of,
};
use crate::release::{self, Frozen};

/// How many versions newer than the one that runs are looked into. A recipe publishes a few dozen a year.
const NEWEST: usize = 60;

/// One turn's view of the world.
pub(super) struct Desk<'a> {
    pub(super) spec: &'a WarmAppSpec,
    pub(super) intent: &'a Intent,
    pub(super) instance: &'a Instance,
    pub(super) engine: &'a Engine,
    pub(super) root: &'a std::path::Path,
    pub(super) store: &'a Store<WarmApp>,
    pub(super) probing: &'a Probing,
    pub(super) stops: &'a Stops,
    pub(super) now: Timestamp,
    /// What was learned on the way and status should say.
    pub(super) found: Found,
}

/// What was learned of the recipe in this turn.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) recipe: Option<RecipeState>,
    pub(super) warnings: Option<Vec<String>>,
    /// Tags that are no versions.
    pub(super) unparsable: Option<u64>,
    tagged: BTreeMap<Version, TaggedVersion>,
}

/// How the recipe's remote answered.
#[derive(Clone, Debug)]
pub(super) enum RecipeState {
    Fresh(String),
    Stale(String),
}

impl Desk<'_> {
    /// Answers one question into `observed`.
    pub(super) async fn answer(
        &mut self,
        question: Question,
        standing: &Standing,
        observed: &mut Observed,
    ) {
        match question {
            Question::Catalog(refresh) => {
                observed.catalog = seen(self.catalog(refresh, standing).await);
            }
            Question::Render(version) => {
                let rendering = self.rendering(&version).await;
                observed.renderings.insert(version, rendering);
            }
            Question::Deployment(subject) => {
                observed.deployment = seen(self.deployment(subject.as_ref(), standing).await);
            }
            Question::Dependencies => observed.dependencies = Seen::Is(self.dependencies()),
            Question::Preflight(candidate) => {
                observed.preflight = seen(
                    self.preflight(&candidate, standing.last_good.as_ref())
                        .await,
                );
            }
            Question::Images(candidate) => observed.images = seen(self.images(&candidate).await),
            Question::Stored(candidate) => observed.stored = seen(self.stored(&candidate)),
            Question::Seal(name) => observed.seal = seen(self.seal(&name)),
            Question::Restoration(_, operation) => {
                let done = self.instance.restored_mark(&operation).try_exists();
                observed.restoration = seen(done.map_err(|error| error.to_string()).map(|done| {
                    if done {
                        Restoration::Done
                    } else {
                        Restoration::Pending
                    }
                }));
            }
            Question::Gate(subject) => observed.gate = seen(self.gate(&subject, standing).await),
            Question::Purged => observed.purged = seen(self.purged().await),
        }
    }

    // ---- the recipe ----

    pub(super) fn mirror(&self) -> Result<(GitUrl, Mirror), String> {
        let url: GitUrl = self
            .spec
            .recipe
            .git
            .parse()
            .map_err(|error| format!("spec.recipe.git: {error}"))?;
        Ok((url.clone(), Mirror::new(self.root, url)))
    }

    async fn catalog(&mut self, refresh: Refresh, standing: &Standing) -> Result<Catalog, String> {
        let (url, mirror) = self.mirror()?;
        if refresh == Refresh::Now {
            let refreshed = mirror
                .refresh(self.now)
                .await
                .map_err(|error| error.to_string())?;
            let mut told: Vec<String> = refreshed
                .moved
                .iter()
                .map(|moved| {
                    format!(
                        "tag {} moved from {} to {}",
                        moved.tag, moved.from, moved.to
                    )
                })
                .collect();
            if !refreshed.gone.is_empty() {
                told.push(format!(
                    "tags gone from the remote: {}",
                    refreshed.gone.join(", ")
                ));
            }
            self.found.recipe = Some(match refreshed.freshness {
                Freshness::Fresh { .. } => RecipeState::Fresh(told.join("; ")),
                Freshness::Stale { why, .. } => RecipeState::Stale(why),
            });
        }
        let versions = mirror.versions().await.map_err(|error| error.to_string())?;
        self.found.unparsable = Some(versions.skipped as u64);
        // A note may have been added or corrected since its version; the newest tree is the same for all of them.
        let newest = newest_tree(&mirror).await;
        let book = Book {
            url,
            newest: newest.map_err(|error| error.to_string())?,
            mirror,
        };
        let floor = standing.last_good.as_ref().map(|good| &good.of.version);
        let mut offers = Vec::new();
        for (index, tagged) in versions.versions.iter().rev().enumerate() {
            self.found
                .tagged
                .insert(tagged.version.clone(), tagged.clone());
            let worth_a_look = index < NEWEST && floor.is_none_or(|floor| tagged.version >= *floor);
            offers.push(if worth_a_look {
                self.offer(&book, tagged)
                    .await
                    .map_err(|error| error.to_string())?
            } else {
                Offer {
                    version: tagged.version.clone(),
                    notes: MigrationNotes::Unflagged,
                    secrets: BTreeMap::new(),
                }
            });
        }
        self.offer_what_runs(&book, standing, &mut offers).await;
        Ok(Catalog { offers })
    }

    /// The tag of what runs may be gone. As long as the mirror has its commit, a change of env or secrets can still be made.
    async fn offer_what_runs(&mut self, book: &Book, standing: &Standing, offers: &mut Vec<Offer>) {
        let Some(good) = &standing.last_good else {
            return;
        };
        if self.found.tagged.contains_key(&good.of.version) {
            return;
        }
        let Some(commit) = CommitId::parse(&good.of.commit) else {
            return;
        };
        let tagged = TaggedVersion {
            version: good.of.version.clone(),
            commit,
        };
        if let Ok(offer) = self.offer(book, &tagged).await {
            self.found.tagged.insert(tagged.version.clone(), tagged);
            offers.push(offer);
        }
    }

    /// What the gates have to know of a version. A version that cannot be read asks for nothing here: rendering it will refuse it.
    async fn offer(&self, book: &Book, tagged: &TaggedVersion) -> Result<Offer, RenderError> {
        let tree = book.mirror.tree(&tagged.commit).await?;
        let trees: Vec<_> = std::iter::once(&tree).chain(&book.newest).collect();
        let notes = notes_of(&tagged.version, &trees).await?;
        let notes = match manual_migration(&notes) {
            ManualMigration::NotFlagged => MigrationNotes::Unflagged,
            ManualMigration::Flagged { .. } | ManualMigration::TooLong { .. } => {
                MigrationNotes::ManualMigration
            }
        };
        let secrets = match source(self.spec, &book.url, &tree).await {
            Ok(source) => source
                .secret_needs()
                .map(|needs| generated(self.spec, &needs))
                .unwrap_or_default(),
            Err(RenderError::Refused { .. }) => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Offer {
            version: tagged.version.clone(),
            notes,
            secrets,
        })
    }

    /// The notes of the versions after one, up to and with another: what a person reads before approving. Nothing when there are
    /// none, or they cannot be read now.
    pub(super) async fn notes_between(
        &self,
        after: Option<&Version>,
        to: &Version,
    ) -> Option<String> {
        let (_, mirror) = self.mirror().ok()?;
        let versions = mirror.versions().await.ok()?.versions;
        let mut text = String::new();
        for tagged in versions {
            if tagged.version > *to || after.is_some_and(|after| tagged.version <= *after) {
                continue;
            }
            let tree = mirror.tree(&tagged.commit).await.ok()?;
            for note in notes_of(&tagged.version, &[&tree]).await.ok()? {
                text.extend([&note.version.to_string(), ":\n", note.text.trim_end(), "\n"]);
            }
        }
        (!text.is_empty()).then_some(text)
    }

    async fn rendering(&mut self, version: &Version) -> Seen<Rendering> {
        match self.rendered(version, None).await {
            Ok(frozen) => Seen::Is(Rendering::Candidate(frozen.candidate)),
            Err(RenderError::Refused { reason, message }) => Seen::Is(Rendering::Refused {
                reason: reason.to_owned(),
                message,
            }),
            Err(RenderError::Unknown(why)) => Seen::Unknown(why),
        }
    }

    /// The release that a version is; from the commit when that is already decided.
    pub(super) async fn rendered(
        &mut self,
        version: &Version,
        commit: Option<&str>,
    ) -> Result<Frozen, RenderError> {
        let (url, mirror) = self.mirror().map_err(RenderError::Unknown)?;
        let commit = match (
            commit.and_then(CommitId::parse),
            self.found.tagged.get(version),
        ) {
            (Some(commit), _) => commit,
            (None, Some(tagged)) => tagged.commit.clone(),
            (None, None) => mirror.resolve(&version.to_string()).await?,
        };
        let tree = mirror.tree(&commit).await?;
        let source = source(self.spec, &url, &tree).await?;
        let (frozen, warnings) = render(self.spec, version, commit.as_str(), &source)?;
        self.found.warnings = Some(warnings);
        Ok(frozen)
    }

    /// A candidate's release: as stored, or rendered again from its own commit.
    pub(super) async fn release(&mut self, candidate: &Candidate) -> Result<Frozen, String> {
        match release::load(&self.instance.release(&candidate.id)) {
            Ok(Some(frozen)) => return Ok(frozen),
            Ok(None) => {}
            Err(error) => return Err(error.to_string()),
        }
        let frozen = self
            .rendered(&candidate.version, Some(&candidate.commit))
            .await;
        let frozen = frozen.map_err(|error| error.to_string())?;
        if frozen.candidate.digest != candidate.digest {
            return Err(format!(
                "{} renders differently now than when it was chosen",
                candidate.version
            ));
        }
        Ok(frozen)
    }

    // ---- the Swarm ----

    async fn deployment(
        &mut self,
        subject: Option<&Subject>,
        standing: &Standing,
    ) -> Result<Deployment, String> {
        let deployment = match subject {
            None => deploy::left_of(self.engine, self.instance.stack()).await,
            Some(subject) => {
                let frozen = self.stored_release(&subject.release)?;
                deploy::measure(self.engine, &frozen, subject.nonce, since(standing)).await
            }
        };
        let deployment = deployment.map_err(|error| error.to_string())?;
        if deployment != Deployment::Converged {
            self.probing.reset(self.instance.stack());
        }
        Ok(deployment)
    }

    pub(super) fn stored_release(&self, candidate: &Candidate) -> Result<Frozen, String> {
        match release::load(&self.instance.release(&candidate.id)) {
            Ok(Some(frozen)) => Ok(frozen),
            Ok(None) => Err(format!("the stored release {} is missing", candidate.id)),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn preflight(
        &mut self,
        candidate: &Candidate,
        last_good: Option<&Release>,
    ) -> Result<Preflight, String> {
        let frozen = self.release(candidate).await?;
        let look = Look {
            engine: self.engine,
            instance: self.instance,
            release: &frozen,
            last_good,
            policy: &self.spec.data,
        };
        coverage::preflight(look)
            .await
            .map_err(|error| error.to_string())
    }

    async fn images(&mut self, candidate: &Candidate) -> Result<Images, String> {
        let frozen = self.release(candidate).await?;
        for service in &frozen.stack.services {
            let image = self
                .engine
                .image(service.sent_image())
                .await
                .map_err(|error| error.to_string())?;
            if image.is_none() {
                return Ok(Images::Missing);
            }
        }
        Ok(Images::Present)
    }

    async fn gate(&mut self, subject: &Subject, standing: &Standing) -> Result<Gate, String> {
        let frozen = self.stored_release(&subject.release)?;
        let of = match &standing.operation {
            Some(operation) => format!("{} {}", operation.id(), operation_name(operation)),
            None => format!("idle {}", subject.release.id),
        };
        let round = Round {
            instance: self.instance.stack(),
            of,
            spec: &self.spec.health,
            env: &frozen.env,
            engine: self.engine,
            every: self.intent.gate.every,
            now: self.now,
        };
        Ok(self.probing.round(round).await)
    }

    async fn purged(&self) -> Result<Purged, String> {
        super::act::remains(self.engine, self.instance)
            .await
            .map(|nothing| {
                if nothing {
                    Purged::Clean
                } else {
                    Purged::Remains
                }
            })
            .map_err(|error| error.to_string())
    }

    // ---- the disk ----

    fn stored(&self, candidate: &Candidate) -> Result<Stored, String> {
        match release::load(&self.instance.release(&candidate.id)) {
            Ok(Some(_)) => Ok(Stored::Whole),
            // What is damaged is stored anew.
            Ok(None) | Err(release::ReleaseError::Damaged { .. }) => Ok(Stored::Missing),
            Err(error) => Err(error.to_string()),
        }
    }

    fn seal(&self, name: &ci_warm_api_types::journal::SnapshotName) -> Result<Seal, String> {
        match ci_warm_data::open_sealed(&self.instance.snapshot(name)) {
            Ok(Some(sealed)) => Ok(Seal::Whole(ci_warm_api_types::journal::Sealed {
                name: name.clone(),
                volumes: sealed
                    .volumes()
                    .iter()
                    .map(|volume| {
                        ci_warm_api_types::journal::VolumeName(volume.name.as_str().to_owned())
                    })
                    .collect(),
            })),
            Ok(None) => Ok(Seal::Absent),
            Err(error) => Err(error.to_string()),
        }
    }

    // ---- other objects ----

    fn dependencies(&self) -> Dependencies {
        for dependency in &self.spec.depends_on {
            let record = ObjectName::new(&dependency.name)
                .ok()
                .and_then(|name| self.store.get(&name));
            // After a rollback it is not Ready, and serves all the same.
            let serves = record.as_ref().is_some_and(|record| {
                record
                    .status
                    .conditions
                    .is(types::AVAILABLE, ConditionStatus::True)
            });
            if !serves {
                let why = if record.is_some() {
                    "does not serve (condition Available)"
                } else {
                    "does not exist"
                };
                return Dependencies::NotReady(format!("WarmApp {} {why}", dependency.name));
            }
        }
        Dependencies::Ready
    }
}

/// A recipe as it is looked through once.
struct Book {
    url: GitUrl,
    mirror: Mirror,
    newest: Option<Tree>,
}

async fn newest_tree(mirror: &Mirror) -> Result<Option<Tree>, RenderError> {
    Ok(match mirror.default_branch().await? {
        Some(commit) => Some(mirror.tree(&commit).await?),
        None => None,
    })
}

/// Failures before this do not count: the operation's beginning, or last good's proof.
fn since(standing: &Standing) -> Timestamp {
    let begun = standing.operation.as_ref().and_then(|operation| {
        let (stamp, _) = operation.id().0.rsplit_once('-')?;
        let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).ok()?;
        civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    });
    begun
        .or_else(|| standing.last_good.as_ref().map(|good| good.passed.at))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The direction of an operation: what was counted going forward does not count going back.
fn operation_name(operation: &Operation) -> &'static str {
    operation.phase().split('/').next().unwrap_or_default()
}

fn seen<T>(answer: Result<T, String>) -> Seen<T> {
    match answer {
        Ok(answer) => Seen::Is(answer),
        Err(why) => Seen::Unknown(why),
    }
}
