//! `ccctl get`: objects as lines, or whole.

use ci_warm_api_types::API_VERSION;
use ci_warm_api_types::manifest::KindName;
use ci_warm_runtime::Root;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::objects::{self, Found};
use super::row::{self, Width};
use super::show;
use super::table::Table;
use super::target::{self, Target};
use super::terminal::Terminal;
use super::watch;

/// Arguments of `get`.
#[derive(Debug, Args)]
pub(super) struct Get {
    /// KIND, KIND NAME…, KIND/NAME…, several kinds with commas between them, or `all`
    #[arg(required = true, value_name = "KIND[/NAME]")]
    target: Vec<String>,
    /// How they are printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Go on printing whatever changes, until interrupted
    #[arg(short, long)]
    watch: bool,
    /// Only objects with these labels: `key=value`, `key!=value` or `key`, with commas between them
    #[arg(short = 'l', long, value_name = "LABELS", default_value = "")]
    selector: Selector,
}

/// How objects are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A line each
    #[default]
    Table,
    /// A longer line each
    Wide,
    /// Whole, as YAML documents that can be applied
    Yaml,
    /// Whole, as JSON
    Json,
    /// Only `kind/name`
    Name,
}

impl Format {
    /// The width of lines, for the formats that are lines.
    pub(super) fn width(self) -> Option<Width> {
        match self {
            Self::Table => Some(Width::Normal),
            Self::Wide => Some(Width::Wide),
            Self::Yaml | Self::Json | Self::Name => None,
        }
    }
}

/// What labels must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<Wanted>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Is(String, String),
    IsNot(String, String),
    Has(String),
}

impl std::str::FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let wanted = parts.map(|part| {
            let (key, wanted) = if let Some((key, value)) = part.split_once("!=") {
                (key, Wanted::IsNot(key.into(), value.into()))
            } else if let Some((key, value)) = part.split_once('=') {
                let value = value.strip_prefix('=').unwrap_or(value);
                (key, Wanted::Is(key.into(), value.into()))
            } else {
                (part, Wanted::Has(part.into()))
            };
            if key.is_empty() || key.contains(['!', ' ', '(']) {
                return Err(format!(
                    "`{part}` is none of `key=value`, `key!=value`, `key`"
                ));
            }
            Ok(wanted)
        });
        Ok(Self(wanted.collect::<Result<_, _>>()?))
    }
}

impl Selector {
    /// Whether an object's labels are like that.
    pub(super) fn matches(&self, found: &Found) -> bool {
        self.0.iter().all(|wanted| match wanted {
            Wanted::Is(key, value) => found.label(key) == Some(value),
            Wanted::IsNot(key, value) => found.label(key) != Some(value),
            Wanted::Has(key) => found.label(key).is_some(),
        })
    }
}

pub(super) fn run(verb: &Get, root: &Root, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let target = target::parse(&verb.target)?;
    if verb.watch {
        return watch::run(root, &target, verb.output, &verb.selector, terminal);
    }
    let (mut found, missing) = target::find(root, &target)?;
    found.retain(|object| verb.selector.matches(object));
    print(&found, &target, verb.output, terminal)?;
    warn_of_strays(root, &target, terminal)?;
    for message in &missing {
        terminal.error(message);
    }
    if missing.is_empty() {
        if found.is_empty() && verb.output.width().is_some() {
            terminal.flush()?;
            terminal.note(&format!("nothing found in {}", root.path().display()));
        }
        Ok(Exit::Done)
    } else {
        Ok(Exit::NotFound)
    }
}

/// Says which files of the listed directories are not read.
pub(super) fn warn_of_strays(
    root: &Root,
    target: &Target,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if let Target::Kinds(kinds) = target {
        for kind in kinds {
            for stray in objects::names(root, *kind)?.strays {
                terminal.warn(&stray);
            }
        }
    }
    Ok(())
}

fn print(
    found: &[Found],
    target: &Target,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if let Some(width) = format.width() {
        return print_tables(found, width, terminal);
    }
    match format {
        Format::Name => found
            .iter()
            .try_for_each(|object| terminal.line(&object.title())),
        Format::Json => terminal.text(&show::json(&list(found, target))?),
        _ => {
            for (index, object) in found.iter().enumerate() {
                if index > 0 {
                    terminal.line("---")?;
                }
                terminal.text(&show::yaml(&show::value(object))?)?;
            }
            Ok(())
        }
    }
}

/// One object when one was named, else a list, as programs expect of kubectl.
fn list(found: &[Found], target: &Target) -> Value {
    match (target, found) {
        (Target::Named(names), [one]) if names.len() == 1 => show::value(one),
        _ => {
            let items: Vec<_> = found.iter().map(show::value).collect();
            json!({ "apiVersion": API_VERSION, "kind": "List", "items": items })
        }
    }
}

fn print_tables(found: &[Found], width: Width, terminal: &mut Terminal) -> Result<(), Failure> {
    let now = Timestamp::now();
    let mut first = true;
    for kind in KindName::ALL {
        let rows: Vec<_> = found
            .iter()
            .filter(|object| object.kind == kind)
            .map(|object| row::row(object, width, now))
            .collect();
        if rows.is_empty() {
            continue;
        }
        if !std::mem::take(&mut first) {
            terminal.line("")?;
        }
        let table = Table::new(row::headers(kind, width), &rows);
        terminal.line(&table.header())?;
        for row in &rows {
            let line = table.row(row, terminal);
            terminal.line(&line)?;
        }
    }
    Ok(())
}
