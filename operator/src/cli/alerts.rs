//! `ccctl alerts`: what people were to hear about.

use ci_warm_api_types::alert::Alert;
use ci_warm_runtime::Root;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::failure::{Exit, Failure, refused};
use super::show;
use super::table::Table;
use super::terminal::Terminal;
use super::words::NOTHING;
use crate::alert::{self, Delivery};

/// Arguments of `alerts`.
#[derive(Debug, Args)]
pub(super) struct Alerts {
    /// How they are printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Only those that no relay has delivered yet
    #[arg(long)]
    due: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line each
    #[default]
    Table,
    /// Whole, as JSON
    Json,
}

const HEADERS: &[&str] = &[
    "TIME",
    "APP",
    "REASON",
    "VERSION",
    "ATTEMPTED",
    "RECOVERED",
    "SEEN",
];

pub(super) fn run(verb: &Alerts, root: &Root, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let mut alerts = Vec::new();
    let mut exit = Exit::Done;
    for listed in alert::list(root.path()).map_err(refused)? {
        if verb.due && listed.delivery == Delivery::Seen {
            continue;
        }
        match listed.content {
            Ok(alert) => alerts.push((alert, listed.delivery)),
            Err(message) => {
                terminal.error(&message);
                exit = Exit::Problems;
            }
        }
    }
    match verb.output {
        Format::Json => {
            let values: Result<Vec<_>, _> = alerts
                .iter()
                .map(|(alert, delivery)| value(alert, *delivery))
                .collect();
            terminal.text(&show::json(&Value::Array(values?))?)?;
        }
        Format::Table if alerts.is_empty() => terminal.note("no alerts"),
        Format::Table => {
            let rows: Vec<_> = alerts
                .iter()
                .map(|(alert, delivery)| row(alert, *delivery))
                .collect();
            let table = Table::new(HEADERS, &rows);
            terminal.line(&table.header())?;
            for row in &rows {
                let line = table.row(row, terminal);
                terminal.line(&line)?;
            }
        }
    }
    Ok(exit)
}

fn value(alert: &Alert, delivery: Delivery) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(alert).map_err(refused)?;
    if let Value::Object(fields) = &mut value {
        fields.insert("seen".to_owned(), json!(delivery == Delivery::Seen));
    }
    Ok(value)
}

fn row(alert: &Alert, delivery: Delivery) -> Vec<String> {
    let or_nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    vec![
        alert.ts.timestamp().to_string(),
        alert.app.clone(),
        alert.reason.to_string(),
        or_nothing(&alert.version),
        or_nothing(&alert.attempted),
        alert.recovered.map_or_else(|| NOTHING.to_owned(), yes),
        yes(delivery == Delivery::Seen),
    ]
}
