//! Secrets that a release needs: generated or read when missing, never made again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ci_warm_engine::{Engine, ObjectKind};
use serde_json::json;

use super::DeployError;
use crate::recipe::{SecretError, SecretNeed, SecretSource, generate};
use crate::release::{Frozen, FrozenSecret, ValueSource};

/// The label that says whose secret it is. Not the stack's own label: removing a stack must not remove its secrets, as the data
/// is of no use without them.
const INSTANCE_LABEL: &str = "ci-warm.instance";

/// Makes every secret that the release needs and the Swarm lacks.
///
/// # Errors
/// A secret that only a person can insert, or whose file cannot be read.
pub async fn insert_missing(engine: &Engine, frozen: &Frozen) -> Result<(), DeployError> {
    for secret in &frozen.secrets {
        if engine.object(ObjectKind::Secret, &secret.swarm_name).await?.is_some() {
            continue;
        }
        let value = value_of(secret)?;
        let body = json!({
            "Name": secret.swarm_name,
            "Labels": { INSTANCE_LABEL: frozen.stack.name.as_str() },
            "Data": STANDARD.encode(value),
        });
        engine.create_object(ObjectKind::Secret, &body).await?;
    }
    Ok(())
}

fn value_of(secret: &FrozenSecret) -> Result<Vec<u8>, DeployError> {
    let source = match &secret.source {
        ValueSource::File(path) => {
            return std::fs::read(path).map_err(|error| {
                DeployError::Refused(format!("the value of secret `{}`: cannot read {}: {error}", secret.name, path.display()))
            });
        }
        ValueSource::Manual => return Err(SecretError::NotInserted(secret.name.clone()).into()),
        ValueSource::Characters { length, alphabet } => {
            SecretSource::Characters { length: *length, alphabet: alphabet.clone() }
        }
        ValueSource::Passphrase => SecretSource::Passphrase,
    };
    let need = SecretNeed {
        name: secret.name.clone(),
        env_var: String::new(),
        version: String::new(),
        swarm_name: secret.swarm_name.clone(),
        source,
    };
    Ok(generate(&need)?.into_bytes())
}
