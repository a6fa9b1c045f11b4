//! A real engine for the engine's tests: images made on the spot, stacks that clean up after themselves.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part of it

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ci_warm_engine::judge::{Condition, Rules, Submission, Verdict};
use ci_warm_engine::{Engine, EngineError, STACK_LABEL, ServiceId, judge};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Long enough for Swarm's slowest reaction (restart delay, gossip, stop grace) on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub fn host() -> String {
    std::env::var("CI_WARM_TEST_ENGINE")
        .expect("CI_WARM_TEST_ENGINE names no engine (unix:///…): run make test")
}

pub async fn engine() -> Engine {
    Engine::connect(&host()).await.unwrap()
}

pub fn docker(args: &[&str]) -> Output {
    Command::new("docker")
        .arg("-H")
        .arg(host())
        .args(args)
        .output()
        .unwrap()
}

fn docker_ok(args: &[&str]) -> String {
    let output = docker(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const PROGRAM: &str = r#"
use std::io::Write;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |n: usize| args.get(n).map(String::as_str).unwrap_or("");
    match arg(0) {
        "exit" => {
            std::thread::sleep(std::time::Duration::from_millis(arg(2).parse().unwrap_or(0)));
            std::process::exit(arg(1).parse().unwrap());
        }
        "say" => {
            println!("{}", arg(1));
            eprintln!("{}", arg(2));
            std::process::exit(arg(3).parse().unwrap());
        }
        "flood" => {
            for n in 0..20000 { println!("line {n}"); }
            std::io::stdout().flush().unwrap();
        }
        _ => loop { std::thread::park(); },
    }
}
"#;

/// Name of an image with one program (`/app`: sleep for ever, `exit CODE MS`, `say OUT ERR CODE`, `flood`) and one
/// declared volume (`/declared`).
pub fn image() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        // Kept on the engine as a cache: the tag changes with the program.
        let mut hash = DefaultHasher::new();
        PROGRAM.hash(&mut hash);
        let name = format!("ci-warm-engine-test:{:016x}", hash.finish());
        if docker(&["image", "inspect", &name]).status.success() {
            return name;
        }
        let directory = tempfile::tempdir().unwrap();
        build_program(directory.path());
        let tar = directory.path().join("image.tar");
        let tarred = Command::new("tar")
            .arg("-cf")
            .arg(&tar)
            .arg("-C")
            .arg(directory.path())
            .arg("app")
            .status()
            .unwrap();
        assert!(tarred.success());
        let file = tar.display().to_string();
        let entry = "ENTRYPOINT [\"/app\"]";
        docker_ok(&[
            "import",
            "-c",
            entry,
            "-c",
            "VOLUME /declared",
            &file,
            &name,
        ]);
        name
    })
}

fn build_program(directory: &Path) {
    std::fs::write(directory.join("app.rs"), PROGRAM).unwrap();
    let built = Command::new("rustc")
        .args([
            "--edition=2021",
            "-O",
            "-C",
            "target-feature=+crt-static",
            "-o",
        ])
        .arg(directory.join("app"))
        .arg(directory.join("app.rs"))
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
}

/// A stack of its own name. Whatever is left of it goes when it is dropped.
pub struct Stack {
    pub name: String,
    pub engine: Engine,
}

impl Stack {
    pub async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            name: format!("eng{}x{count}", std::process::id()),
            engine: engine().await,
        }
    }

    pub fn labels(&self) -> Value {
        json!({ STACK_LABEL: self.name })
    }

    /// The spec of a replicated service that runs `/app` with these arguments.
    pub fn spec(&self, service: &str, args: &[&str]) -> Value {
        json!({
            "Name": format!("{}_{service}", self.name),
            "Labels": self.labels(),
            "TaskTemplate": {
                "ContainerSpec": { "Image": image(), "Args": args, "Labels": self.labels(), "StopGracePeriod": 0 },
                "RestartPolicy": { "Delay": 500_000_000 },
                "Placement": {},
            },
            "Mode": { "Replicated": { "Replicas": 1 } },
            "UpdateConfig": { "Parallelism": 1, "Monitor": 1_000_000_000, "MaxFailureRatio": 0 },
            "RollbackConfig": { "Parallelism": 1, "Monitor": 1_000_000_000 },
        })
    }

    /// Create or update, as often as others change the version in between.
    pub async fn submit(&self, spec: &Value) -> Submission {
        let since = self.engine.info().await.unwrap().time;
        let name = spec["Name"].as_str().unwrap();
        loop {
            let Some(service) = self.engine.service(name).await.unwrap() else {
                self.engine.create_service(spec, None).await.unwrap();
                break;
            };
            match self
                .engine
                .update_service(&service.id, service.version, spec, None)
                .await
            {
                Ok(()) => break,
                Err(EngineError::OutOfSequence { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        Submission {
            spec: spec.clone(),
            since,
        }
    }

    pub async fn judge(&self, submissions: &[Submission]) -> Verdict {
        let view = self.engine.view(&self.name).await.unwrap();
        let now = self.engine.info().await.unwrap().time;
        judge::stack(&view, submissions, now, &Rules::default())
    }

    /// Judge until it is no longer converging.
    pub async fn settled(&self, submissions: &[Submission]) -> Condition {
        let verdict = until("the stack to settle", async || {
            let verdict = self.judge(submissions).await;
            match verdict.condition {
                Condition::Converging { why } => Err(why),
                _ => Ok(verdict),
            }
        })
        .await;
        verdict.condition
    }

    pub async fn undeploy(&self) {
        for service in self.engine.services(&self.name).await.unwrap() {
            self.engine.remove_service(&service.id).await.unwrap();
        }
        until("the stack to be gone", async || {
            let remains = self.engine.remains(&self.name).await.unwrap();
            self.engine
                .clear_forgotten(&remains, Duration::ZERO)
                .await
                .unwrap();
            let mounts = remains
                .forgotten
                .iter()
                .flat_map(|container| &container.mounts);
            for anonymous in mounts.filter(|mount| mount.name.len() == 64) {
                // In use by a container that was just being started, it goes with the next look.
                match self.engine.remove_volume(&anonymous.name).await {
                    Err(EngineError::Refused { status: 409, .. }) => {}
                    other => drop(other.unwrap()),
                }
            }
            if remains.is_empty() {
                Ok(())
            } else {
                Err(format!("{remains:?}"))
            }
        })
        .await;
    }

    pub async fn id(&self, service: &str) -> ServiceId {
        let name = format!("{}_{service}", self.name);
        self.engine
            .service(&name)
            .await
            .unwrap()
            .expect("the service is there")
            .id
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let filter = format!("label={STACK_LABEL}={}", self.name);
        for kind in ["service", "secret", "config", "network"] {
            let listed = docker(&[kind, "ls", "-q", "--filter", &filter]);
            for id in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
                docker(&[kind, "rm", id]);
            }
        }
        // Of jobs, which Swarm forgets. To remove another's container a moment before Swarm does is no harm here.
        let left = docker(&["ps", "-aq", "--filter", &filter]);
        for id in String::from_utf8_lossy(&left.stdout).split_whitespace() {
            docker(&["rm", "-f", "-v", id]);
        }
    }
}

/// Try until it works; the last reason is shown when it never does.
pub async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Timestamp::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(why) => assert!(
                Timestamp::now() < deadline,
                "waited in vain for {what}: {why}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
