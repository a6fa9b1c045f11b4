//! The probes without a protocol of their own: a TCP connection, a command.

use std::time::Duration;

use ci_warm_api_types::health::{ExecProbe, TcpProbe};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Answer, ExecError, Fault, ProbeContext, explain, fill};

/// How much of a command's last line is quoted, in characters.
const MAX_QUOTE: usize = 200;

pub(super) async fn connect(
    probe: &TcpProbe,
    limit: Duration,
    context: &ProbeContext<'_>,
) -> Answer {
    let address = match fill(&probe.address, context) {
        Ok(address) => address,
        Err(error) => {
            let fault = Fault::Unknown(format!("tcp.address: {error}"));
            return Answer::new(format!("tcp {}", probe.address), Err(fault));
        }
    };
    let result = match timeout(limit, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Fault::Failed(explain::connection(&error, &address))),
        Err(_) => Err(Fault::Failed(format!(
            "no connection to {address} within {limit:?}"
        ))),
    };
    Answer::new(format!("tcp {address}"), result)
}

pub(super) async fn run(probe: &ExecProbe, limit: Duration, context: &ProbeContext<'_>) -> Answer {
    let program = probe.command.first().map_or("", String::as_str);
    let what = format!("exec {program} in {}", probe.service);
    let Some(exec) = context.exec else {
        let fault = Fault::Unknown("commands cannot be run here, without an engine".to_owned());
        return Answer::new(what, Err(fault));
    };
    let result = match timeout(limit, exec.exec(&probe.service, &probe.command)).await {
        Ok(Ok(outcome)) if outcome.exit_code == 0 => Ok(()),
        Ok(Ok(outcome)) => {
            let said =
                last_line(&outcome.output).map_or_else(String::new, |line| format!(": {line}"));
            Err(Fault::Failed(format!(
                "{program} exited with {}{said}",
                outcome.exit_code
            )))
        }
        Ok(Err(ExecError::NoContainer(why))) => Err(Fault::Failed(why)),
        Ok(Err(ExecError::Engine(why))) => Err(Fault::Unknown(why)),
        Err(_) => Err(Fault::Failed(format!(
            "{program} did not end within {limit:?}"
        ))),
    };
    Answer::new(what, result)
}

fn last_line(output: &str) -> Option<String> {
    let line = output
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())?;
    Some(explain::printable(line, MAX_QUOTE))
}
