//! The daemon.

use std::path::PathBuf;

use ci_warm::settings;
use clap::Parser;
use tracing_subscriber::EnvFilter;

/// Keeps Co-op Cloud apps warm on a Docker Swarm: reconciles the Swarm towards the objects in a directory.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The directory that is the API.
    #[arg(long, env = "CI_WARM_ROOT", default_value = "/var/lib/ci-warm")]
    root: PathBuf,
    /// The engine: <unix:///path> or tcp://host:port.
    #[arg(
        long,
        env = "DOCKER_HOST",
        default_value = "unix:///var/run/docker.sock"
    )]
    docker_host: String,
    /// The operator's own settings; `/etc/ci-warm/operator.yaml` when that exists.
    #[arg(long, env = "CI_WARM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to log, as in `info,ci_warm=debug`; `info` when nothing is said here or in the settings.
    #[arg(long, env = "CI_WARM_LOG")]
    log: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let settings = settings::load(arguments.config.as_deref())?;
    let log = arguments.log.or_else(|| settings.log.clone());
    let filter = EnvFilter::try_new(log.as_deref().unwrap_or("info"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(ci_warm::daemon::run(ci_warm::daemon::Options {
        root: arguments.root,
        docker_host: arguments.docker_host,
    }))
}
