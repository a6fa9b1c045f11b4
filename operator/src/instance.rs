//! An instance's folder: its journal, its stored releases, its snapshots, the data that was set aside.
//!
//! ```text
//! instances/<stack>/standing.yaml      the journal
//!                   releases/<id>/     everything that a deploy of that release needs
//!                   snapshots/<name>/  sealed copies of its data
//!                   aside/<operation>/ data of a failed release
//! ```

use std::path::{Path, PathBuf};

use ci_warm_api_types::journal::{InstanceName, OperationId, ReleaseId, SnapshotName, Standing};
use ci_warm_api_types::yaml;
use ci_warm_rollout::Step;
use thiserror::Error;

use ci_warm_runtime::durable::{self, DurableError};

/// Why an instance's folder cannot be used.
#[derive(Debug, Error)]
pub enum InstanceError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] DurableError),
    /// The journal is there and cannot be understood. Nothing is done to the instance until a person has looked: guessing at
    /// what was under way could cost data.
    #[error("the journal {} cannot be understood: {why}; restore it from a backup, or move it away to start anew", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// One instance's folder.
#[derive(Clone, Debug)]
pub struct Instance {
    name: InstanceName,
    dir: PathBuf,
}

/// A step that is in the journal. Only such a one can be acted on; there is no other way to get one.
#[derive(Debug)]
pub struct Recorded(Step);

impl Recorded {
    /// The step.
    pub fn step(&self) -> &Step {
        &self.0
    }
}

impl Instance {
    /// The instance of that stack under a root.
    pub fn new(root: &Path, stack: &str) -> Self {
        Self {
            name: InstanceName(stack.to_owned()),
            dir: root.join("instances").join(stack),
        }
    }

    /// Its name, which is its stack's.
    pub fn name(&self) -> &InstanceName {
        &self.name
    }

    /// The stack's name.
    pub fn stack(&self) -> &str {
        &self.name.0
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a release is stored.
    pub fn release(&self, id: &ReleaseId) -> PathBuf {
        self.dir.join("releases").join(&id.0)
    }

    /// Where its releases are stored.
    pub fn releases(&self) -> PathBuf {
        self.dir.join("releases")
    }

    /// Where its snapshots are.
    pub fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    /// Where a snapshot is.
    pub fn snapshot(&self, name: &SnapshotName) -> PathBuf {
        self.snapshots().join(&name.0)
    }

    /// Where an operation's failed data is.
    pub fn aside(&self, operation: &OperationId) -> PathBuf {
        self.dir.join("aside").join(&operation.0)
    }

    /// Says that an operation's restore was finished.
    pub fn restored_mark(&self, operation: &OperationId) -> PathBuf {
        self.dir.join("aside").join(format!("{operation}.restored"))
    }

    fn journal(&self) -> PathBuf {
        self.dir.join("standing.yaml")
    }

    /// The journal; the default one only when there truly is none.
    ///
    /// # Errors
    /// A journal that cannot be read or understood. That is never "nothing under way".
    pub fn standing(&self) -> Result<Standing, InstanceError> {
        let path = self.journal();
        let Some(bytes) = durable::read_optional(&path)? else {
            return Ok(Standing::default());
        };
        let broken = |why: String| InstanceError::Journal {
            path: path.clone(),
            why,
        };
        let text = String::from_utf8(bytes).map_err(|error| broken(error.to_string()))?;
        yaml::read(&path.display().to_string(), &text)
            .map_err(|problem| broken(problem.to_string()))
    }

    /// Makes the journal durable. Nothing is written when it says the same already.
    ///
    /// # Errors
    /// It could not be made durable: then nothing may be done that it would have said.
    pub fn record(&self, standing: &Standing) -> Result<(), InstanceError> {
        let path = self.journal();
        let text = yaml::write(standing).map_err(|why| InstanceError::Journal {
            path: path.clone(),
            why,
        })?;
        if durable::read_optional(&path)?.is_some_and(|before| before == text.as_bytes()) {
            return Ok(());
        }
        std::fs::create_dir_all(&self.dir).map_err(DurableError::at("create", &self.dir))?;
        Ok(durable::write(&path, text.as_bytes(), 0o600)?)
    }

    /// Makes the journal durable that says this step, so that the step may be acted on.
    ///
    /// # Errors
    /// As [`Instance::record`].
    pub fn record_step(&self, standing: &Standing, step: Step) -> Result<Recorded, InstanceError> {
        self.record(standing)?;
        Ok(Recorded(step))
    }
}
