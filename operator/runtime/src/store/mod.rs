//! The store: the objects of one kind. One writer, many cheap readers.
//!
//! *Expected flow.* [`Store::open`] loads what was known; [`Store::relist`] compares that with the directory, writes what
//! changed and swaps the snapshot whole; [`Store::update`] writes status. Each of them tells the sink what changed.
//!
//! *Guarantees.* What a snapshot shows is on disk. uid and generation survive a restart. A file that cannot be read keeps
//! the last accepted spec. Nothing is deleted unless a complete list of a marked root lacks it.
//!
//! *Assumptions.* One process writes below `status/` (the root's lock).

mod file;
mod listing;
mod relist;
mod types;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

use jiff::Timestamp;

use crate::conditions::{self, Condition, ConditionStatus, Reason};
use crate::durable::{self, DurableError};
use crate::events::{EventType, Events};
use crate::ids::{Key, ObjectName, Uid};
use crate::kind::{Kind, Meta, Object, Status, Verdict};
use crate::requests::{self, Request};
use crate::root::Root;
use ci_warm_api_types::problem::Problem;

pub use listing::LARGEST_MANIFEST;
pub use types::{Change, HeldDeletions, HeldReason, Listed, Relisted, StoreError, Unsettled, What};

/// Where the time of day comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// All that is known of one name.
#[derive(Debug)]
pub struct Record<K: Kind> {
    /// Who it is.
    pub meta: Meta,
    /// The last accepted spec; `None` until a manifest was accepted.
    pub spec: Option<K::Spec>,
    /// What is known of it.
    pub status: Status<K::Status>,
}

impl<K: Kind> Record<K> {
    /// The object, if a manifest was ever accepted.
    pub fn object(&self) -> Option<Object<K>> {
        let spec = self.spec.clone()?;
        Some(Object {
            meta: self.meta.clone(),
            spec,
            status: self.status.clone(),
        })
    }
}

impl<K: Kind> Clone for Record<K> {
    fn clone(&self) -> Self {
        Self {
            meta: self.meta.clone(),
            spec: self.spec.clone(),
            status: self.status.clone(),
        }
    }
}

/// The objects of a kind at one moment.
#[derive(Debug)]
pub struct Snapshot<K: Kind> {
    records: BTreeMap<ObjectName, Arc<Record<K>>>,
}

impl<K: Kind> Snapshot<K> {
    /// The object of that name.
    pub fn get(&self, name: &ObjectName) -> Option<&Arc<Record<K>>> {
        self.records.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Record<K>>> {
        self.records.values()
    }
}

struct Writer<K: Kind> {
    records: BTreeMap<ObjectName, Arc<Record<K>>>,
    /// What was last read of a manifest. The same again is the echo of a write, ours included, and changes nothing.
    seen: HashMap<ObjectName, Result<String, Problem>>,
    /// Objects whose status file cannot be read. They are neither made anew nor deleted.
    unreadable: BTreeMap<ObjectName, Problem>,
    requests: HashMap<ObjectName, BTreeSet<(PathBuf, SystemTime)>>,
    changes: Vec<Change>,
}

type Sink = Box<dyn Fn(Change) + Send + Sync>;

/// The objects of one kind. See the module.
pub struct Store<K: Kind> {
    root: Root,
    clock: Clock,
    writer: Mutex<Writer<K>>,
    snapshot: RwLock<Arc<Snapshot<K>>>,
    events: Events,
    sink: OnceLock<Sink>,
}

impl<K: Kind> Store<K> {
    /// Loads what was known of the kind. Call it while holding the root's lock.
    ///
    /// Creates the kind's directories, except one that is missing although objects are known: that is not an empty one.
    pub fn open(root: &Root) -> Result<Arc<Self>, StoreError> {
        Self::open_with_clock(root, Arc::new(Timestamp::now))
    }

    /// As [`Self::open`], with the time of day from elsewhere.
    pub fn open_with_clock(root: &Root, clock: Clock) -> Result<Arc<Self>, StoreError> {
        let statuses = root.statuses(K::PLURAL);
        durable::create_directory(&statuses)?;
        durable::sweep_leftovers(&statuses)?;
        durable::create_directory(&root.all_requests().join(K::PLURAL))?;
        let mut writer = Writer {
            records: BTreeMap::new(),
            seen: HashMap::new(),
            unreadable: BTreeMap::new(),
            requests: HashMap::new(),
            changes: Vec::new(),
        };
        let failed = |source| StoreError::List {
            path: statuses.clone(),
            source,
        };
        for entry in std::fs::read_dir(&statuses).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let stem = path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default();
            let Ok(name) = ObjectName::new(&stem) else {
                continue;
            };
            match file::decode::<K>(&path) {
                Ok(record) => writer
                    .records
                    .insert(name, Arc::new(record))
                    .map_or((), drop),
                Err(problem) => writer.unreadable.insert(name, problem).map_or((), drop),
            }
        }
        if writer.records.is_empty() && writer.unreadable.is_empty() {
            durable::create_directory(&root.manifests(K::PLURAL))?;
        }
        let snapshot = Arc::new(Snapshot {
            records: writer.records.clone(),
        });
        Ok(Arc::new(Self {
            root: root.clone(),
            clock,
            writer: Mutex::new(writer),
            snapshot: RwLock::new(snapshot),
            events: Events::default(),
            sink: OnceLock::new(),
        }))
    }

    /// The objects right now. Cheap; what it shows does not change any more.
    pub fn snapshot(&self) -> Arc<Snapshot<K>> {
        self.snapshot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The object of that name right now.
    pub fn get(&self, name: &ObjectName) -> Option<Arc<Record<K>>> {
        self.snapshot().get(name).cloned()
    }

    /// The root it lives in.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Changes status or finalizers of the object with that uid. Written only when something besides times changed;
    /// in the snapshot, and on disk, when this returns. `Ready` is derived here.
    ///
    /// When the last finalizer of a deleted object goes, the object goes.
    pub fn update(
        &self,
        name: &ObjectName,
        uid: &Uid,
        change: impl FnOnce(&mut Record<K>, Timestamp),
    ) -> Result<Arc<Record<K>>, StoreError> {
        let mut writer = self.write();
        let old = writer
            .records
            .get(name)
            .filter(|record| record.meta.uid == *uid)
            .cloned();
        let old = old.ok_or_else(|| StoreError::Gone(Key::new(K::KIND, name.clone())))?;
        let mut new = Record::clone(&old);
        change(&mut new, self.now());
        let over = new.meta.deletion_timestamp.is_some() && new.meta.finalizers.is_empty();
        let mut done = self.put(&mut writer, new, What::Status);
        if over && done.is_ok() {
            done = self.finish_deletion(&mut writer, name);
        }
        let current = writer.records.get(name).cloned().unwrap_or(old);
        // Also after an error: what was written before it counts.
        self.publish(writer);
        done.map(|()| current)
    }

    /// Writes a manifest the operator makes itself, such as a Run that belongs to a Sweep. It is in the snapshot when this
    /// returns; the echo from the watch changes nothing.
    pub fn create(&self, name: &ObjectName, text: &str) -> Result<Arc<Record<K>>, StoreError> {
        let path = self.root.manifest(K::PLURAL, name);
        let mut writer = self.write();
        if writer.records.contains_key(name)
            || writer.unreadable.contains_key(name)
            || path.symlink_metadata().is_ok()
        {
            return Err(StoreError::Exists(Key::new(K::KIND, name.clone())));
        }
        relist::parse::<K>(&path, name, text)
            .map_err(|problem| StoreError::Refused(Box::new(problem)))?;
        durable::write(&path, text.as_bytes(), 0o644)?;
        let taken = self.take_in(&mut writer, name, Ok(text.into()));
        let record = writer.records.get(name).cloned();
        self.publish(writer);
        taken?;
        record.ok_or_else(|| StoreError::Gone(Key::new(K::KIND, name.clone())))
    }

    /// Removes a manifest the operator made itself, and begins that object's deletion.
    pub fn delete(&self, name: &ObjectName, uid: &Uid) -> Result<(), StoreError> {
        let mut writer = self.write();
        if writer
            .records
            .get(name)
            .is_none_or(|record| record.meta.uid != *uid)
        {
            return Err(StoreError::Gone(Key::new(K::KIND, name.clone())));
        }
        durable::remove(&self.root.manifest(K::PLURAL, name))?;
        let done = self.begin_deletion(&mut writer, name);
        self.publish(writer);
        done
    }

    /// The requests for an object that the last relist knew to be whole, and those that cannot be read. `delete` is not
    /// among them: it is the runtime's own.
    pub fn requests(&self, name: &ObjectName) -> Result<(Vec<Request>, Vec<Problem>), StoreError> {
        let whole: BTreeSet<PathBuf> = {
            let writer = self.write();
            writer
                .requests
                .get(name)
                .into_iter()
                .flatten()
                .map(|(path, _)| path.clone())
                .collect()
        };
        let (mut found, mut problems) =
            requests::list(&self.root, K::PLURAL, name).map_err(|source| StoreError::List {
                path: self.root.requests(K::PLURAL, name),
                source,
            })?;
        found.retain(|request| request.verb != requests::DELETE && whole.contains(&request.path));
        problems.retain(|problem| whole.contains(std::path::Path::new(&problem.file)));
        Ok((found, problems))
    }

    /// Records an event of an object.
    pub fn event(
        &self,
        name: &ObjectName,
        kind: EventType,
        reason: Reason,
        message: String,
    ) -> Result<(), DurableError> {
        self.events.record(
            &self.root.events(K::PLURAL, name),
            kind,
            reason,
            message,
            self.now(),
        )
    }

    /// Writes the events that are only in memory.
    pub fn flush_events(&self) -> Result<(), DurableError> {
        self.events.flush(self.now())
    }

    pub(crate) fn tell(&self, sink: Sink) {
        // A second operator over one store would be a mistake in the binary; the first sink stays.
        let _ = self.sink.set(sink);
    }

    fn write(&self) -> MutexGuard<'_, Writer<K>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Swaps the snapshot whole, then tells the sink, in that order and without the lock.
    fn publish(&self, mut writer: MutexGuard<'_, Writer<K>>) {
        let changes = std::mem::take(&mut writer.changes);
        if !changes.is_empty() {
            let snapshot = Arc::new(Snapshot {
                records: writer.records.clone(),
            });
            *self
                .snapshot
                .write()
                .unwrap_or_else(PoisonError::into_inner) = snapshot;
        }
        drop(writer);
        if let Some(sink) = self.sink.get() {
            changes.into_iter().for_each(sink);
        }
    }

    /// Persists a record if it says something new, then keeps it.
    fn put(
        &self,
        writer: &mut Writer<K>,
        mut record: Record<K>,
        what: What,
    ) -> Result<(), StoreError> {
        derive_ready(&mut record, self.now());
        let name = record.meta.name.clone();
        if let Some(old) = writer.records.get(&name)
            && says_the_same(old, &record)
        {
            return Ok(());
        }
        let path = self.root.status(K::PLURAL, &name);
        let text = file::encode(&record).map_err(|source| DurableError {
            action: "encode",
            path: path.clone(),
            source,
        })?;
        // May name secrets by mistake of whoever wrote the manifest, so it is not for everyone to read.
        durable::write(&path, text.as_bytes(), 0o640)?;
        writer.changes.push(Change {
            key: Key::new(K::KIND, name.clone()),
            what,
            owners: record.meta.owner_references.clone(),
        });
        writer.records.insert(name, Arc::new(record));
        Ok(())
    }
}

fn says_the_same<K: Kind>(old: &Record<K>, new: &Record<K>) -> bool {
    old.meta == new.meta
        && old.spec == new.spec
        && old.status.observed_generation == new.status.observed_generation
        && old.status.conditions == new.status.conditions
        && K::says_the_same(&old.status.own, &new.status.own)
}

fn derive_ready<K: Kind>(record: &mut Record<K>, now: Timestamp) {
    let verdict = if let Some(object) = record.object() {
        K::ready(&object)
    } else {
        let accepted = record.status.conditions.get(conditions::ACCEPTED);
        let why = accepted.map(|accepted| accepted.message.clone());
        let not_accepted = Reason::of("NotAccepted");
        Verdict::new(
            ConditionStatus::False,
            not_accepted,
            why.unwrap_or_default(),
        )
    };
    let draft = Condition::draft(
        conditions::READY,
        verdict.status,
        verdict.reason,
        verdict.message,
    );
    record
        .status
        .conditions
        .set(draft, record.meta.generation, now);
}
