//! Types and reasons of conditions, in one place, so that controllers, `ccctl` and tests say the same words.

/// Condition types.
pub mod types {
    /// The manifest was read and is in force.
    pub const ACCEPTED: &str = "Accepted";
    /// The app is what its spec asks for, and passes its gate. After a rollback it is not.
    pub const READY: &str = "Ready";
    /// The app runs its last good release and passes its gate, whatever became of a newer one. What depends on it asks for this.
    pub const AVAILABLE: &str = "Available";
    /// An operation is under way.
    pub const PROGRESSING: &str = "Progressing";
    /// A newer version waits for a person.
    pub const HELD: &str = "Held";
    /// The recipe's remote answered.
    pub const RECIPE_AVAILABLE: &str = "RecipeAvailable";
    /// Nothing happens until a person asks.
    pub const STALLED: &str = "Stalled";
    /// The release was refused by the engine, or given up by the Swarm.
    pub const DEPLOY_FAILED: &str = "DeployFailed";
    /// Tasks of the release keep failing.
    pub const TASKS_FAILING: &str = "TasksFailing";
    /// The release did not pass its gate in time.
    pub const HEALTH_GATE_FAILED: &str = "HealthGateFailed";
    /// A failed release was undone.
    pub const ROLLED_BACK: &str = "RolledBack";
}

/// Reasons of conditions: `PascalCase`, at most 128 characters.
pub mod reasons {
    /// All is as declared.
    pub const HEALTHY: &str = "Healthy";
    /// The manifest is in force.
    pub const ACCEPTED: &str = "Accepted";
    /// The manifest does not parse or validate.
    pub const INVALID_MANIFEST: &str = "InvalidManifest";
    /// Another object, older than this one, has the stack or the domain.
    pub const NAME_TAKEN: &str = "NameTaken";
    /// The stack's name changed while the app runs as another stack.
    pub const STACK_IMMUTABLE: &str = "StackImmutable";
    /// `dependsOn` leads back to the object itself.
    pub const DEPENDENCY_CYCLE: &str = "DependencyCycle";
    /// The gate asks a host that the app itself does not serve.
    pub const HEALTH_GATE_FOREIGN_HOST: &str = "HealthGateForeignHost";
    /// Something it depends on is not Ready.
    pub const DEPENDENCY_NOT_READY: &str = "DependencyNotReady";
    /// The object is suspended.
    pub const SUSPENDED: &str = "Suspended";
    /// The upgrade window is closed.
    pub const OUTSIDE_WINDOW: &str = "OutsideWindow";
    /// The engine does not answer.
    pub const ENGINE_UNREACHABLE: &str = "EngineUnreachable";
    /// The recipe cannot be read.
    pub const RECIPE_UNREACHABLE: &str = "RecipeUnreachable";
    /// Nothing on offer matches the policy.
    pub const NO_VERSION: &str = "NoVersion";
    /// An older release must not run on data that a newer one touched.
    pub const DOWNGRADE_REFUSED: &str = "DowngradeRefused";
    /// This release failed here before.
    pub const QUARANTINED: &str = "Quarantined";
    /// The recipe or its stack has an error.
    pub const INVALID_RECIPE: &str = "InvalidRecipe";
    /// An image could not be pulled.
    pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
    /// The release could not be stored.
    pub const RELEASE_NOT_STORED: &str = "ReleaseNotStored";
    /// The data cannot be covered by a snapshot.
    pub const DATA_NOT_COVERED: &str = "DataNotCovered";
    /// What is needed to come back from a failure is not all there.
    pub const WAY_BACK_MISSING: &str = "WayBackMissing";
    /// A secret is missing that a person has to give.
    pub const SECRET_MISSING: &str = "SecretMissing";
    /// A release failed and was undone.
    pub const ROLLED_BACK: &str = "RolledBack";
    /// Last good does not pass, although it was redeployed.
    pub const UNHEALTHY_ON_LATEST: &str = "UnhealthyOnLatest";
    /// It is being worked on.
    pub const PROGRESSING: &str = "Progressing";
    /// Undoing failed.
    pub const ROLLBACK_FAILED: &str = "RollbackFailed";
}
