//! `ccctl approve`: exactly one version through its gates.

use std::collections::BTreeMap;

use ci_warm_api_types::version::Version;
use ci_warm_runtime::Root;
use clap::Args;

use super::ask;
use super::failure::{Exit, Failure};
use super::objects::Found;
use super::row;
use super::target;
use super::terminal::Terminal;

/// The request's verb and the name of its argument.
const VERB: &str = "approve";
const VERSION: &str = "version";

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The app: `warmapp/NAME`, or `warmapp NAME`; then the version. Without one it is the version that is held
    #[arg(required = true, num_args = 1..=3, value_name = "WARMAPP/NAME [VERSION]")]
    words: Vec<String>,
}

pub(super) fn run(verb: &Approve, root: &Root, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let of_name = if verb.words.first().is_some_and(|word| word.contains('/')) {
        1
    } else {
        2
    };
    let (name, version) = verb.words.split_at(of_name.min(verb.words.len()));
    let names = target::parse_named(name)?;
    let [name] = names.as_slice() else {
        return Err(Failure::Usage("approve takes one app at a time".to_owned()));
    };
    let version = match version {
        [] => None,
        [version] => Some(
            version
                .parse::<Version>()
                .map_err(|error| Failure::Usage(error.to_string()))?,
        ),
        _ => {
            return Err(Failure::Usage(
                "approve takes one version at a time".to_owned(),
            ));
        }
    };
    let object = ask::warm_app(root, name, VERB)?;
    let held = row::warm_app_status(&object).held.map(|held| held.version);
    let version = match (version, &held) {
        (Some(version), _) => version,
        (None, Some(held)) => held.clone(),
        (None, None) => return Err(nothing_held(&object)),
    };
    let arguments = BTreeMap::from([(VERSION.to_owned(), version.to_string())]);
    if asked_already(root, &object, &version)? {
        terminal.line(&format!(
            "{} {version} was approved before, and waits for the operator",
            object.title()
        ))?;
        return Ok(Exit::Done);
    }
    ask::ask(root, &object, VERB, &arguments)?;
    terminal.line(&format!("{} {version} approved", object.title()))?;
    if let Some(held) = held.filter(|held| *held != version) {
        terminal.warn(&format!(
            "{held} is held, and stays so; only {version} was approved"
        ));
    }
    ask::mention_absence(&object, terminal);
    Ok(Exit::Done)
}

fn nothing_held(object: &Found) -> Failure {
    let title = object.title();
    Failure::Refused(format!(
        "no version of {title} is held; name one (`ccctl approve {title} VERSION`) to approve it beforehand, or see `ccctl describe {title}`"
    ))
}

fn asked_already(root: &Root, object: &Found, version: &Version) -> Result<bool, Failure> {
    #[derive(serde::Deserialize)]
    struct Body {
        version: Version,
    }
    let asked = ask::outstanding(root, object)?;
    Ok(asked
        .iter()
        .filter(|request| request.verb == VERB)
        .any(|request| {
            ci_warm_api_types::yaml::read::<Body>("", &request.body)
                .is_ok_and(|body| body.version == *version)
        }))
}
