//! What is wanted, in a few lines. Names of secrets and where they come from; never what they are.

use ci_warm_api_types::health::HealthSpec;
use ci_warm_api_types::snapshot::SnapshotSpec;
use ci_warm_api_types::warm_app::{
    DataPolicy, HoldPolicy, SecretSource, SnapshotPolicy, WarmAppSpec,
};

use super::Page;
use crate::cli::document::AnySpec;
use crate::cli::failure::Failure;

pub(super) fn print(spec: &AnySpec, page: &mut Page<'_>) -> Result<(), Failure> {
    match spec {
        AnySpec::WarmApp(spec) => app(spec, page),
        AnySpec::Snapshot(spec) => snapshot(spec, page),
    }
}

fn snapshot(spec: &SnapshotSpec, page: &mut Page<'_>) -> Result<(), Failure> {
    page.field(2, "Instance", &spec.instance)?;
    page.field(2, "On deletion", &format!("{:?}", spec.deletion_policy))
}

fn app(spec: &WarmAppSpec, page: &mut Page<'_>) -> Result<(), Failure> {
    page.field(2, "Recipe", &spec.recipe.git)?;
    page.field(2, "Versions", &spec.version.to_string())?;
    page.field(2, "Domain", &spec.domain)?;
    page.field(2, "Stack", &spec.stack_name())?;
    if !spec.env.is_empty() {
        let pairs: Vec<_> = spec
            .env
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        page.field(2, "Env", &pairs.join("\n"))?;
    }
    if !spec.secrets.is_empty() {
        let lines: Vec<_> = spec
            .secrets
            .iter()
            .map(|(name, from)| format!("{name} from {}", source(from)))
            .collect();
        page.field(2, "Secrets", &lines.join("\n"))?;
    }
    if !spec.networks.is_empty() {
        let lines: Vec<_> = spec
            .networks
            .iter()
            .map(|network| match &network.subnet {
                Some(subnet) => format!("{} {subnet}", network.name),
                None => network.name.clone(),
            })
            .collect();
        page.field(2, "Networks", &lines.join("\n"))?;
    }
    page.field(2, "Data", &data(&spec.data))?;
    page.field(2, "Gate", &gate(&spec.health))?;
    page.field(2, "Holds", &holds(spec.hold))?;
    let rollback: Vec<_> = spec
        .rollback
        .on
        .iter()
        .map(|condition| format!("{condition:?}"))
        .collect();
    page.field(2, "Rolls back on", &rollback.join(", "))?;
    page.maybe("Window", spec.upgrade.window.as_ref())?;
    if !spec.depends_on.is_empty() {
        let lines: Vec<_> = spec
            .depends_on
            .iter()
            .map(|dependency| format!("{:?}/{}", dependency.kind, dependency.name).to_lowercase())
            .collect();
        page.field(2, "Depends on", &lines.join(", "))?;
    }
    page.field(2, "On deletion", &format!("{:?}", spec.deletion_policy))?;
    page.field(2, "Interval", &spec.interval.to_string())?;
    if spec.suspend {
        page.field(2, "Suspended", "yes; `ccctl resume` ends that")?;
    }
    Ok(())
}

fn source(from: &SecretSource) -> String {
    match (&from.from_file, &from.from_credential) {
        (Some(path), _) => format!("the file {}", path.display()),
        (None, Some(name)) => format!("the credential {name}"),
        (None, None) => "nowhere".to_owned(),
    }
}

fn data(policy: &DataPolicy) -> String {
    match policy.snapshot {
        SnapshotPolicy::BeforeUpgrade => {
            let mut text = format!(
                "snapshot before every upgrade, the newest {} kept",
                policy.retain
            );
            for path in &policy.exempt {
                text.push_str("\nnot covered: ");
                text.push_str(&path.display().to_string());
            }
            text
        }
        SnapshotPolicy::Never => "none: only the version is rolled back".to_owned(),
    }
}

fn gate(health: &HealthSpec) -> String {
    let mut lines = Vec::new();
    if let Some(http) = &health.http {
        let codes: Vec<_> = http.status.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "{} {} = {}",
            http.method.as_str(),
            http.url,
            codes.join(" or ")
        ));
    }
    if let Some(tcp) = &health.tcp {
        lines.push(format!("tcp {}", tcp.address));
    }
    if let Some(exec) = &health.exec {
        lines.push(format!("in {}: {}", exec.service, exec.command.join(" ")));
    }
    lines.push(format!(
        "{} times in a row, every {}, within {}",
        health.success_threshold, health.interval, health.deadline
    ));
    lines.join("\n")
}

fn holds(policy: HoldPolicy) -> String {
    let named = [
        (policy.major, "major"),
        (policy.manual_migration, "manual migration"),
        (policy.secret_rotation, "secret rotation"),
    ];
    let on: Vec<_> = named
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| *name)
        .collect();
    on.join(", ")
}
