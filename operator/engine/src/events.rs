//! The engine's event stream: a reason to look, never a fact to rely on.

use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

use crate::STACK_LABEL;
use crate::client::{Engine, accept};
use crate::error::EngineError;
use crate::lines::Lines;
use crate::query::Call;
use crate::transport::TransportError;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the engine's own words
pub enum EventKind {
    Service,
    Container,
    Network,
    Secret,
    Config,
    Volume,
}

impl EventKind {
    const ALL: [(&'static str, Self); 6] = [
        ("service", Self::Service),
        ("container", Self::Container),
        ("network", Self::Network),
        ("secret", Self::Secret),
        ("config", Self::Config),
        ("volume", Self::Volume),
    ];
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// `create`, `update`, `remove`, `die`, `health_status: healthy`, …
    pub action: String,
    /// ID of the object (name of a volume).
    pub id: String,
    /// Name of the object, when the engine says it.
    pub name: Option<String>,
    /// The stack, when the engine says it: for containers of a stack only. A service's event carries its name alone.
    pub stack: Option<String>,
    /// When it happened.
    pub time: Timestamp,
    /// All attributes: `exitCode`, `updatestate.new`, labels, …
    pub attributes: BTreeMap<String, String>,
}

/// What the stream brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The stream begins here: what happened before was not seen. List everything anew.
    EventGap,
    /// Something happened.
    Event(Box<Event>),
}

/// Events from one connection. Dropping it ends the connection.
pub struct EventStream {
    lines: Lines,
    call: Call,
    engine: Engine,
    begun: Begun,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    No,
    Yes,
}

impl Engine {
    /// Subscribe to events about services, containers, networks, secrets, configs and volumes.
    ///
    /// # Expected flow
    /// Subscribe, receive [`Notice::EventGap`], list, then follow. On an error: wait, subscribe again, list again.
    ///
    /// # Caveats
    /// Container events come from this engine's node only. There are none for tasks: a rejected task emits nothing. An
    /// engine that hangs is silent, as a quiet one is; a timer must bring a relist too.
    pub async fn events(&self) -> Result<EventStream, EngineError> {
        let filters: Vec<(&str, &str)> = EventKind::ALL
            .iter()
            .map(|(name, _)| ("type", *name))
            .collect();
        let call = Call::get(&["events"]).filter(&filters);
        let limit = self.limits().call;
        let opened = tokio::time::timeout(limit, self.open(&call, None, None)).await;
        let timed_out = || EngineError::TimedOut {
            call: call.to_string(),
            limit,
        };
        let response = opened.map_err(|_| timed_out())??;
        if !response.status().is_success() {
            let reply = tokio::time::timeout(limit, self.read(&call, response))
                .await
                .map_err(|_| timed_out())??;
            return Err(match accept(&call, reply) {
                Ok(_) => EngineError::Protocol {
                    call: call.to_string(),
                    what: "an empty answer".to_owned(),
                },
                Err(error) => error,
            });
        }
        let lines = Lines::new(self.clone(), call.clone(), response);
        Ok(EventStream {
            lines,
            call,
            engine: self.clone(),
            begun: Begun::No,
        })
    }
}

impl EventStream {
    /// The next notice. Cancel safe.
    ///
    /// # Errors
    /// The end of the stream is always an error: the engine went away. After one, subscribe again.
    pub async fn next(&mut self) -> Result<Notice, EngineError> {
        if self.begun == Begun::No {
            self.begun = Begun::Yes;
            return Ok(Notice::EventGap);
        }
        loop {
            let Some(line) = self.lines.next().await? else {
                let end = TransportError::Broken("the event stream ended".into());
                return Err(self.engine.unreachable(&self.call, end));
            };
            // A kind that a newer engine invents is no concern of ours.
            if let Some(event) = parse(&line).map_err(|what| self.lines.protocol(what))? {
                return Ok(Notice::Event(Box::new(event)));
            }
        }
    }
}

fn parse(line: &Value) -> Result<Option<Event>, String> {
    let text = |pointer: &str| {
        line.pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let missing = |what: &str| format!("an event without {what}: {line}");
    let kind = text("/Type").ok_or_else(|| missing("Type"))?;
    let Some((_, kind)) = EventKind::ALL.into_iter().find(|(name, _)| *name == kind) else {
        return Ok(None);
    };
    let attributes: BTreeMap<String, String> = match line.pointer("/Actor/Attributes") {
        Some(Value::Object(map)) => map
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        _ => BTreeMap::new(),
    };
    let nanos = line
        .get("timeNano")
        .and_then(Value::as_i64)
        .ok_or_else(|| missing("timeNano"))?;
    Ok(Some(Event {
        kind,
        action: text("/Action").ok_or_else(|| missing("Action"))?,
        id: text("/Actor/ID").ok_or_else(|| missing("Actor.ID"))?,
        name: attributes.get("name").cloned(),
        stack: attributes.get(STACK_LABEL).cloned(),
        time: Timestamp::from_nanosecond(i128::from(nanos)).map_err(|error| error.to_string())?,
        attributes,
    }))
}
