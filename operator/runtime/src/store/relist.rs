//! Comparing the directory with what is known, and what follows from it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::listing::{self, Listing, Unlisted};
use super::{
    Change, HeldDeletions, HeldReason, Listed, Record, Relisted, Store, StoreError, Unsettled,
    What, Writer, file,
};
use crate::conditions::{self, Condition, ConditionStatus, Reason};
use crate::durable;
use crate::ids::{Generation, Key, ObjectName, Uid};
use crate::kind::{Kind, Manifest, Meta, Status};
use crate::requests;
use ci_warm_api_types::problem::Problem;

/// Vanishing together, this many objects look like an accident when none is left.
const SEVERAL: usize = 2;

impl<K: Kind> Store<K> {
    /// Looks at the whole directory. Files in `unsettled` are taken as they were last known.
    ///
    /// One object that cannot be written or read does not keep the others from being taken in; it is among the problems
    /// and is tried again by the next relist.
    pub fn relist(&self, unsettled: &Unsettled) -> Relisted {
        let mut writer = self.write();
        let mut relisted = Relisted::default();
        match listing::list(&self.root, K::PLURAL, unsettled) {
            Err(Unlisted::Root(reason)) => {
                relisted.listed = Listed::No;
                let names = writer.records.keys().cloned().collect();
                relisted.held = Some(HeldDeletions {
                    kind: K::KIND,
                    reason,
                    names,
                });
            }
            Err(Unlisted::Directory(reason)) => {
                self.finish_deletions(&mut writer, &mut relisted);
                self.judge_absence(
                    &mut writer,
                    &Listing::default(),
                    Some(reason),
                    &mut relisted,
                );
                self.look_for_requests(&mut writer, unsettled, &mut relisted);
            }
            Ok(mut listing) => {
                relisted.problems.append(&mut listing.strays);
                relisted.targets = std::mem::take(&mut listing.targets);
                self.reread_statuses(&mut writer, &mut relisted);
                self.finish_deletions(&mut writer, &mut relisted);
                self.take_in_all(&mut writer, &mut listing, &mut relisted);
                self.judge_absence(&mut writer, &listing, None, &mut relisted);
                self.look_for_requests(&mut writer, unsettled, &mut relisted);
            }
        }
        self.publish(writer);
        relisted
    }

    fn reread_statuses(&self, writer: &mut Writer<K>, relisted: &mut Relisted) {
        for name in writer.unreadable.keys().cloned().collect::<Vec<_>>() {
            let path = self.root.status(K::PLURAL, &name);
            if path.symlink_metadata().is_err() {
                // Taken away by a person, as the problem suggests.
                writer.unreadable.remove(&name);
                continue;
            }
            match file::decode::<K>(&path) {
                Ok(record) => {
                    writer.unreadable.remove(&name);
                    let owners = record.meta.owner_references.clone();
                    writer.changes.push(Change {
                        key: Key::new(K::KIND, name.clone()),
                        what: What::Wish,
                        owners,
                    });
                    writer.records.insert(name, Arc::new(record));
                }
                Err(problem) => relisted.problems.push(problem),
            }
        }
    }

    fn take_in_all(&self, writer: &mut Writer<K>, listing: &mut Listing, relisted: &mut Relisted) {
        for (name, found) in &mut listing.files {
            if writer.unreadable.contains_key(name) {
                continue;
            }
            let found = std::mem::replace(found, Ok(String::new()));
            if let Err(error) = self.take_in(writer, name, found) {
                writer.seen.remove(name);
                relisted.problems.push(Problem::of(
                    self.root.status(K::PLURAL, name),
                    error.to_string(),
                ));
            }
        }
    }

    /// Brings one manifest, or what is wrong with it, into the record.
    pub(super) fn take_in(
        &self,
        writer: &mut Writer<K>,
        name: &ObjectName,
        found: Result<String, Problem>,
    ) -> Result<(), StoreError> {
        let old = writer.records.get(name).cloned();
        if old
            .as_ref()
            .is_some_and(|old| old.meta.deletion_timestamp.is_some())
        {
            // Finish the deletion first; the relist after it makes the object anew.
            return Ok(());
        }
        let held = old.as_ref().is_some_and(|old| {
            old.status
                .conditions
                .get(conditions::DELETION_HELD)
                .is_some()
        });
        if old.is_some() && !held && writer.seen.get(name) == Some(&found) {
            return Ok(());
        }
        let path = self.root.manifest(K::PLURAL, name);
        let parsed = found
            .as_ref()
            .map_err(Problem::clone)
            .and_then(|text| parse::<K>(&path, name, text));
        let mut record = match &old {
            Some(old) => Record::clone(old),
            None => self.newborn(name),
        };
        let now = self.now();
        record.status.conditions.remove(conditions::DELETION_HELD);
        let what = match parsed {
            Ok(manifest) => {
                accept(&mut record, manifest);
                let draft = Condition::draft(
                    conditions::ACCEPTED,
                    ConditionStatus::True,
                    Reason::of("Accepted"),
                    "",
                );
                record
                    .status
                    .conditions
                    .set(draft, record.meta.generation, now);
                if old.is_some_and(|old| old.meta == record.meta) {
                    What::Status
                } else {
                    What::Wish
                }
            }
            Err(problem) => {
                let reason = if record.spec.is_some() {
                    "LastAcceptedKept"
                } else {
                    "NotAccepted"
                };
                let draft = Condition::draft(
                    conditions::ACCEPTED,
                    ConditionStatus::False,
                    Reason::of(reason),
                    problem.to_string(),
                );
                record
                    .status
                    .conditions
                    .set(draft, record.meta.generation, now);
                What::Status
            }
        };
        self.put(writer, record, what)?;
        writer.seen.insert(name.clone(), found);
        Ok(())
    }

    fn newborn(&self, name: &ObjectName) -> Record<K> {
        Record {
            meta: Meta {
                name: name.clone(),
                uid: Uid::fresh(),
                generation: Generation(0),
                creation_timestamp: self.now(),
                deletion_timestamp: None,
                finalizers: Vec::new(),
                labels: std::collections::BTreeMap::new(),
                annotations: std::collections::BTreeMap::new(),
                owner_references: Vec::new(),
            },
            spec: None,
            status: Status::default(),
        }
    }

    /// Deletions that a crash or a full disk cut short after the last finalizer had gone.
    fn finish_deletions(&self, writer: &mut Writer<K>, relisted: &mut Relisted) {
        let over = |record: &Record<K>| {
            record.meta.deletion_timestamp.is_some() && record.meta.finalizers.is_empty()
        };
        let names: Vec<_> = writer
            .records
            .iter()
            .filter(|(_, record)| over(record))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            if let Err(error) = self.finish_deletion(writer, &name) {
                relisted.problems.push(Problem::of(
                    self.root.status(K::PLURAL, &name),
                    error.to_string(),
                ));
            }
        }
    }

    /// What follows from files that are not there. With `unlisted`, the directory itself could not be listed: then only
    /// a request by name is believed, and nothing is put on record, as it may be back in a moment.
    fn judge_absence(
        &self,
        writer: &mut Writer<K>,
        listing: &Listing,
        unlisted: Option<HeldReason>,
        relisted: &mut Relisted,
    ) {
        let here =
            |name: &ObjectName| listing.files.contains_key(name) || listing.unclear.contains(name);
        let absent: Vec<Arc<Record<K>>> = writer
            .records
            .iter()
            .filter(|(name, record)| !here(name) && record.meta.deletion_timestamp.is_none())
            .map(|(_, record)| record.clone())
            .collect();
        // While some removals of this directory are still settling, "several at once" cannot be told from "one".
        let settling = !listing.unclear.is_empty();
        let none_left = listing.files.is_empty() && listing.unclear.is_empty();
        let accident = none_left && absent.len() >= SEVERAL;
        let mut held = BTreeSet::new();
        for record in absent {
            let name = &record.meta.name;
            let done = if self.deletion_requested(name) {
                self.begin_deletion(writer, name)
            } else if unlisted.is_some() {
                held.insert(name.clone());
                Ok(())
            } else if accident
                || record
                    .status
                    .conditions
                    .get(conditions::DELETION_HELD)
                    .is_some()
            {
                held.insert(name.clone());
                self.hold_deletion(writer, &record)
            } else if settling {
                Ok(())
            } else {
                self.begin_deletion(writer, name)
            };
            if let Err(error) = done {
                relisted.problems.push(Problem::of(
                    self.root.status(K::PLURAL, name),
                    error.to_string(),
                ));
            }
        }
        if !held.is_empty() {
            let reason = unlisted.unwrap_or(HeldReason::AllVanished);
            relisted.held = Some(HeldDeletions {
                kind: K::KIND,
                reason,
                names: held,
            });
        }
    }

    fn deletion_requested(&self, name: &ObjectName) -> bool {
        // A directory that cannot be listed confirms nothing.
        requests::list(&self.root, K::PLURAL, name)
            .is_ok_and(|(found, _)| found.iter().any(|request| request.verb == requests::DELETE))
    }

    /// On disk, because files that come back one by one must not release the others after a restart.
    fn hold_deletion(&self, writer: &mut Writer<K>, record: &Record<K>) -> Result<(), StoreError> {
        let mut record = record.clone();
        let message = "its manifest vanished together with all others of its kind; \
                       restore the file, or run `ccctl delete` for this object";
        let draft = Condition::draft(
            conditions::DELETION_HELD,
            ConditionStatus::True,
            Reason::of("AllVanished"),
            message,
        );
        record
            .status
            .conditions
            .set(draft, record.meta.generation, self.now());
        writer.seen.remove(&record.meta.name);
        self.put(writer, record, What::Status)
    }

    /// The deletion is on disk before anything follows from it.
    pub(super) fn begin_deletion(
        &self,
        writer: &mut Writer<K>,
        name: &ObjectName,
    ) -> Result<(), StoreError> {
        let Some(record) = writer
            .records
            .get(name)
            .filter(|record| record.meta.deletion_timestamp.is_none())
        else {
            return Ok(());
        };
        let mut record = Record::clone(record);
        record.meta.deletion_timestamp = Some(self.now());
        record.meta.generation = record.meta.generation.next();
        record.status.conditions.remove(conditions::DELETION_HELD);
        let unheld = record.meta.finalizers.is_empty();
        writer.seen.remove(name);
        self.put(writer, record, What::Wish)?;
        if unheld {
            return self.finish_deletion(writer, name);
        }
        let (found, _) = requests::list(&self.root, K::PLURAL, name).unwrap_or_default();
        for request in found
            .iter()
            .filter(|request| request.verb == requests::DELETE)
        {
            requests::consume(request)?;
        }
        Ok(())
    }

    /// Removes every trace, the status file last: until then a restart knows that the object is being deleted. Requests
    /// go too, or a new object of that name would be handed what was asked of the old one.
    pub(super) fn finish_deletion(
        &self,
        writer: &mut Writer<K>,
        name: &ObjectName,
    ) -> Result<(), StoreError> {
        durable::remove_tree(&self.root.requests(K::PLURAL, name))?;
        self.events.remove(&self.root.events(K::PLURAL, name))?;
        durable::remove(&self.root.status(K::PLURAL, name))?;
        writer.seen.remove(name);
        writer.requests.remove(name);
        if let Some(record) = writer.records.remove(name) {
            let owners = record.meta.owner_references.clone();
            writer.changes.push(Change {
                key: Key::new(K::KIND, name.clone()),
                what: What::Gone,
                owners,
            });
        }
        Ok(())
    }

    fn look_for_requests(
        &self,
        writer: &mut Writer<K>,
        unsettled: &Unsettled,
        relisted: &mut Relisted,
    ) {
        for name in writer.records.keys().cloned().collect::<Vec<_>>() {
            match requests::files(&self.root, K::PLURAL, &name) {
                Ok(mut files) => {
                    files.retain(|(path, _)| !unsettled.paths.contains(path));
                    let known = writer
                        .requests
                        .insert(name.clone(), files.clone())
                        .unwrap_or_default();
                    if files.difference(&known).next().is_some() {
                        let key = Key::new(K::KIND, name);
                        writer.changes.push(Change {
                            key,
                            what: What::Request,
                            owners: Vec::new(),
                        });
                    }
                }
                Err(error) => {
                    let path = self.root.requests(K::PLURAL, &name);
                    relisted
                        .problems
                        .push(Problem::of(path, format!("cannot be listed: {error}")));
                }
            }
        }
    }
}

/// Reads a manifest and checks what holds for every kind.
pub(super) fn parse<K: Kind>(
    path: &Path,
    name: &ObjectName,
    text: &str,
) -> Result<Manifest<K::Spec>, Problem> {
    if text.trim().is_empty() {
        return Err(Problem::of(path, "is empty").suggest("to delete the object, remove the file"));
    }
    let manifest = K::parse(path, name.as_str(), text)?;
    if manifest.name != *name {
        let wrong = Problem::of(
            path,
            format!(
                "metadata.name is {:?}, but the file is {name}.yaml",
                manifest.name.as_str()
            ),
        );
        return Err(wrong.suggest("rename the one or the other"));
    }
    Ok(manifest)
}

fn accept<K: Kind>(record: &mut Record<K>, manifest: Manifest<K::Spec>) {
    if record.spec.as_ref() != Some(&manifest.spec) {
        record.meta.generation = record.meta.generation.next();
        record.spec = Some(manifest.spec);
    }
    record.meta.labels = manifest.labels;
    record.meta.annotations = manifest.annotations;
    record.meta.owner_references = manifest.owner_references;
}
