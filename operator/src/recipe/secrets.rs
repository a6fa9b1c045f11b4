//! The secrets a recipe wants, and how to make those that may be made.
//!
//! Each `SECRET_<NAME>_VERSION=v1` in the environment wants the Swarm secret `<stack>_<name>_v1`. The comment on its line in
//! `.env.sample` says how it is made: `length=32 charset=hex`, or `generate=false` when a person must insert it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use thiserror::Error;

use super::env_sample::{EnvSample, RecipeEnv};
use super::lint::ComposeView;

/// One secret that an instance needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretNeed {
    /// The short name: `db_password`.
    pub name: String,
    /// The variable that names the version: `SECRET_DB_PASSWORD_VERSION`.
    pub env_var: String,
    /// The version: `v1`.
    pub version: String,
    /// The name in Swarm: `<stack>_<name>_<version>`.
    pub swarm_name: String,
    /// Where its value comes from.
    pub source: SecretSource,
}

/// Where a secret's value comes from when it is missing. One that exists is never made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Characters chosen at random.
    Characters {
        /// How many.
        length: usize,
        /// From which; each once, ASCII.
        alphabet: String,
    },
    /// Six groups of three syllables, for a secret without a length: easy to type, 108 bits.
    Passphrase,
    /// A person inserts it.
    Manual,
}

/// Why a secret cannot be had.
#[derive(Debug, Error)]
pub enum SecretError {
    /// It is missing and was to be generated.
    #[error("secret not generated: {0}")]
    NotGenerated(String),
    /// It is missing and only a person has its value.
    #[error("secret not inserted (#generate=false): {0}")]
    NotInserted(String),
    /// The recipe asks for a length that makes no sense.
    #[error(
        "`length={given}` on {env_var} is not a number from 1 to {LENGTH_MAX}; correct it in .env.sample"
    )]
    Length {
        /// The variable.
        env_var: String,
        /// What it says.
        given: String,
    },
    /// The recipe asks for characters by a name that is not known.
    #[error(
        "`charset={given}` on {env_var} is not known; known are default, alnum, hex, special and safespecial, with commas between them"
    )]
    Charset {
        /// The variable.
        env_var: String,
        /// What it says.
        given: String,
    },
    /// Swarm would refuse the name.
    #[error("`{swarm_name}` cannot be a secret's name in Swarm: {why}")]
    Name {
        /// The name.
        swarm_name: String,
        /// Why not.
        why: &'static str,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}; nothing was generated")]
    Random(String),
}

/// More than this is a mistake, not a secret.
const LENGTH_MAX: usize = 4096;
/// Swarm's limit for names of secrets and configs.
const SWARM_NAME_MAX_CHARS: usize = 64;
/// Letters and digits without l, I, O, 0 and 1, which people mistake for each other.
const DEFAULT: &str = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const ALNUM: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const HEX: &str = "0123456789abcdef";
const SPECIAL: &str = "!@#$%^&*_-+=";
/// Without what a shell, a URL or a compose file would read as something else.
const SAFE_SPECIAL: &str = "!@%^*_-+=";
const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
const VOWELS: &[u8; 4] = b"aeiu";

/// Every secret that the environment names, by variable. A version that is empty names none.
pub fn secret_needs(
    sample: &EnvSample,
    env: &RecipeEnv,
    stack: &str,
) -> Result<Vec<SecretNeed>, SecretError> {
    let mut needs = Vec::new();
    for (env_var, version) in env {
        let name = env_var
            .strip_prefix("SECRET_")
            .and_then(|rest| rest.strip_suffix("_VERSION"));
        let Some(name) = name.filter(|name| !name.is_empty() && !version.is_empty()) else {
            continue;
        };
        let source = source(env_var, &sample.modifiers(env_var))?;
        needs.push(need(name.to_lowercase(), env_var, version, stack, source)?);
    }
    Ok(needs)
}

/// Only those secrets that these compose files use, under the names they use. A name is `${STACK_NAME}_<name>_${SECRET_…_VERSION}`;
/// one that is built in another way is left to the stack to ask for.
pub fn used_secrets(
    needs: Vec<SecretNeed>,
    compose: &ComposeView,
    stack: &str,
) -> Result<Vec<SecretNeed>, SecretError> {
    let mut used = Vec::new();
    for need_of_env in needs {
        for declared in compose
            .secrets
            .iter()
            .filter_map(|secret| secret.name.as_deref())
        {
            let Some(parts) = NAME_TEMPLATE
                .captures(declared)
                .filter(|parts| parts[2] == need_of_env.env_var)
            else {
                continue;
            };
            let SecretNeed {
                env_var,
                version,
                source,
                ..
            } = &need_of_env;
            used.push(need(
                parts[1].to_owned(),
                env_var,
                version,
                stack,
                source.clone(),
            )?);
        }
    }
    used.sort_by(|a, b| a.swarm_name.cmp(&b.swarm_name));
    used.dedup();
    Ok(used)
}

static NAME_TEMPLATE: LazyLock<Regex> = LazyLock::new(|| {
    let text =
        r"^\$\{?STACK_NAME\}?_([A-Za-z0-9_.-]+?)_\$\{?(SECRET_[A-Z0-9_]+_VERSION)(?::?-[^}]*)?\}?$";
    Regex::new(text).unwrap_or_else(|error| unreachable!("{error}"))
});

fn need(
    name: String,
    env_var: &str,
    version: &str,
    stack: &str,
    source: SecretSource,
) -> Result<SecretNeed, SecretError> {
    let swarm_name = format!("{stack}_{name}_{version}");
    check_swarm_name(&swarm_name)?;
    Ok(SecretNeed {
        name,
        env_var: env_var.to_owned(),
        version: version.to_owned(),
        swarm_name,
        source,
    })
}

fn check_swarm_name(name: &str) -> Result<(), SecretError> {
    let refuse = |why| {
        Err(SecretError::Name {
            swarm_name: name.to_owned(),
            why,
        })
    };
    if name.len() > SWARM_NAME_MAX_CHARS {
        return refuse("it has more than 64 characters; use a shorter domain or stack name");
    }
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !ends(name.bytes().next()) || !ends(name.bytes().last()) || !name.bytes().all(inner) {
        return refuse(
            "it may have letters, digits, `-`, `_` and `.`, and must start and end with a letter or digit",
        );
    }
    Ok(())
}

fn source(
    env_var: &str,
    modifiers: &BTreeMap<String, String>,
) -> Result<SecretSource, SecretError> {
    if modifiers
        .get("generate")
        .is_some_and(|value| value == "false")
    {
        return Ok(SecretSource::Manual);
    }
    let alphabet = match modifiers.get("charset") {
        None => DEFAULT.to_owned(),
        Some(given) => alphabet(given).ok_or_else(|| SecretError::Charset {
            env_var: env_var.to_owned(),
            given: given.clone(),
        })?,
    };
    let Some(given) = modifiers.get("length") else {
        return Ok(SecretSource::Passphrase);
    };
    match given.parse() {
        Ok(length @ 1..=LENGTH_MAX) => Ok(SecretSource::Characters { length, alphabet }),
        _ => Err(SecretError::Length {
            env_var: env_var.to_owned(),
            given: given.clone(),
        }),
    }
}

/// The characters of a charset: names with commas between them, each character once. The special ones come on top of the default.
fn alphabet(charset: &str) -> Option<String> {
    let mut all = String::new();
    for name in charset.to_lowercase().split(',') {
        let sets: &[&str] = match name.trim() {
            "default" => &[DEFAULT],
            "alnum" | "alphanumeric" => &[ALNUM],
            "hex" => &[HEX],
            "special" => &[DEFAULT, SPECIAL],
            "safespecial" => &[DEFAULT, SAFE_SPECIAL],
            _ => return None,
        };
        for c in sets.iter().flat_map(|set| set.chars()) {
            if !all.contains(c) {
                all.push(c);
            }
        }
    }
    Some(all)
}

/// Makes a value with the system's random numbers. A secret that a person must insert is an error.
pub fn generate(need: &SecretNeed) -> Result<String, SecretError> {
    match &need.source {
        SecretSource::Manual => Err(SecretError::NotInserted(need.name.clone())),
        SecretSource::Characters { length, alphabet } => {
            let mut bytes = SystemBytes {
                bytes: [0; 256],
                used: 256,
            };
            (0..*length)
                .map(|_| choose(alphabet.as_bytes(), || bytes.next()))
                .collect()
        }
        SecretSource::Passphrase => {
            let mut bytes = SystemBytes {
                bytes: [0; 256],
                used: 256,
            };
            passphrase(|| bytes.next())
        }
    }
}

/// The error for a secret that is missing where it is not to be made now.
pub fn missing(need: &SecretNeed) -> SecretError {
    match need.source {
        SecretSource::Manual => SecretError::NotInserted(need.name.clone()),
        SecretSource::Characters { .. } | SecretSource::Passphrase => {
            SecretError::NotGenerated(need.name.clone())
        }
    }
}

/// One of the characters, each as likely as any other: bytes of the incomplete last round are thrown away, because taking them too
/// would favour the first characters.
fn choose(
    alphabet: &[u8],
    mut byte: impl FnMut() -> Result<u8, SecretError>,
) -> Result<char, SecretError> {
    let fair = 256 - 256 % alphabet.len();
    loop {
        let value = usize::from(byte()?);
        if value < fair {
            return Ok(char::from(alphabet[value % alphabet.len()]));
        }
    }
}

fn passphrase(mut byte: impl FnMut() -> Result<u8, SecretError>) -> Result<String, SecretError> {
    let mut text = String::new();
    for group in 0..6 {
        if group > 0 {
            text.push('-');
        }
        for _ in 0..3 {
            text.push(choose(CONSONANTS, &mut byte)?);
            text.push(choose(VOWELS, &mut byte)?);
        }
    }
    Ok(text)
}

struct SystemBytes {
    bytes: [u8; 256],
    used: usize,
}

impl SystemBytes {
    fn next(&mut self) -> Result<u8, SecretError> {
        if self.used == self.bytes.len() {
            getrandom::fill(&mut self.bytes)
                .map_err(|error| SecretError::Random(error.to_string()))?;
            self.used = 0;
        }
        self.used += 1;
        Ok(self.bytes[self.used - 1])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
