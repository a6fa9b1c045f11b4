//! `make demo`: what the operator does, shown on a real Swarm with real data.
//!
//! Prints a transcript. A line after a `$` is run by bash as it stands there, and what it prints is shown as it came; only what
//! a shell would keep for itself (variables, the operator in the background, Ctrl-C of a watch) is kept here. The lines after a
//! `#` say what to look at. Whatever is not as told ends the demo at once, with an exit code that is not 0.
//!
//! Everything lies in the engine's directory and goes with it, also when this program is ended in the middle.

mod operator;
mod recipe;
mod shell;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ci_warm_e2e::{LIMIT, Rig, Variant, VolumeHash, http, wait_for};

use operator::Operator;
use recipe::Recipe;
use shell::{Shell, say};

/// In the engine's own network, so nothing else listens there.
const PORT: u16 = 8080;

const SERVICES: &str = "docker service ls --format '{{.Name}} {{.Image}} {{.Replicas}}'";

/// Tries every 500 ms, and two passes are enough: the demo is to be short. The deadline is what a broken version gets before
/// it is undone; a real app gets the minutes that it may need to start (15 unless said otherwise).
const MANIFEST: &str = r#"apiVersion: ci-warm/v1alpha1
kind: WarmApp
metadata:
  name: records
spec:
  recipe: { git: "file://@RECIPE@" }
  version: latest
  domain: records.example.org
  env: { PORT: "8080" }
  health:
    http: { url: "http://${DOMAIN}:8080/health", resolve: "127.0.0.1:8080" }
    # Short, as this is a demo: asked twice a second, healthy after two answers, undone after 15 seconds without.
    interval: 500ms
    successThreshold: 2
    deadline: 15s
"#;

/// All that the story is told with.
struct Demo {
    shell: Shell,
    recipe: Recipe,
    volume: PathBuf,
    operator: Option<Operator>,
    acts: u32,
}

fn main() {
    let rig = Rig::get();
    let engine = rig.docker().host();
    let socket = Path::new(engine.strip_prefix("unix://").unwrap_or(engine));
    let beside = socket.parent().expect("a socket is in a directory");
    let directory = tempfile::Builder::new()
        .prefix("demo.")
        .tempdir_in(beside)
        .expect("the engine's directory takes directories");
    eprintln!("demo: building the app's images");
    for variant in variants() {
        rig.image(&variant);
    }
    let begun = Instant::now();
    let mut demo = Demo::new(directory.path(), engine);
    demo.set_the_scene(&directory.path().join("root"));
    demo.first_deploy();
    demo.healthy_upgrade();
    demo.broken_upgrade();
    demo.held_major();
    demo.approval();
    demo.end();
    println!(
        "\n# All of it was as told. It took {} seconds.",
        begun.elapsed().as_secs()
    );
}

/// The app's versions. 1.2 is the one that is broken, in the worst way: it starts, rewrites the data into a format that no older
/// version can read, serves, and is not well.
fn variants() -> [Variant; 5] {
    let variant = |version: &str, format: &str, health: &str| {
        Variant::custom(
            version,
            &["--version", version, "--format", format, "--health", health],
        )
    };
    [
        variant("1.0", "1", "200"),
        variant("1.1", "1", "200"),
        variant("1.2", "2", "500"),
        variant("1.3", "1", "200"),
        variant("2.0", "2", "200"),
    ]
}

impl Demo {
    fn new(directory: &Path, engine: &str) -> Self {
        let mut shell = Shell::new(directory);
        let programs = env::current_exe().expect("a running program has a path");
        shell.add_path(programs.parent().expect("a program is in a directory"));
        shell.set("DOCKER_HOST", engine);
        let recipe = Recipe::create(&directory.join("recipe"), &shell);
        let manifest = MANIFEST.replace("@RECIPE@", &recipe.path().display().to_string());
        fs::write(directory.join("records.yaml"), manifest).expect("the directory takes files");
        Self {
            shell,
            recipe,
            volume: PathBuf::new(),
            operator: None,
            acts: 0,
        }
    }

    // --- the acts ---

    fn set_the_scene(&mut self, root: &Path) {
        self.act("An operator, and a recipe");
        say("A Swarm runs here that was started for this demo, with nothing on it:");
        self.shell
            .run("docker node ls --format '{{.Hostname}}: {{.Status}}, {{.ManagerStatus}}'");
        say("The operator keeps everything in one directory. The directory is its API.");
        self.shell
            .export("CI_WARM_ROOT", &root.display().to_string());
        self.operator = Some(Operator::start(&self.shell, root));
        self.shell.run("ls -A $CI_WARM_ROOT");
        say("The recipe of a small app that keeps lines of text, with one published version:");
        self.publish("1.0.0+1.0");
        self.shell.run("git -C recipe tag");
    }

    fn first_deploy(&mut self) {
        self.act("The first deploy");
        self.shell.run("cat records.yaml");
        self.shell.run("ccctl validate -f records.yaml");
        self.shell.run("ccctl apply -f records.yaml");
        self.watch_for("deployed:1.0.0+1.0");
        self.volume = self
            .shell
            .assign(
                "VOLUME",
                "docker volume inspect --format '{{.Mountpoint}}' records_example_org_data",
            )
            .into();
        self.get("1.0.0+1.0", "Healthy");
        self.serves("1.0");
        self.add_record("written by 1.0");
        self.records(&["written by 1.0"]);
    }

    fn healthy_upgrade(&mut self) {
        self.act("An upgrade");
        self.publish("1.1.0+1.1");
        say("The operator looks by itself every 15 minutes; this asks it to look now.");
        self.shell.run("ccctl reconcile warmapp/records");
        self.watch_for("upgraded:1.0.0+1.0->1.1.0+1.1");
        self.get("1.1.0+1.1", "Healthy");
        self.serves("1.1");
        self.add_record("written by 1.1");
        self.records(&["written by 1.0", "written by 1.1"]);
        say("Before it, the app was stopped and its data copied, and the copy verified:");
        let snapshots = self.shell.run("ccctl get snapshots");
        told(
            snapshots.contains("1.0.0+1.0"),
            "the snapshot is of the version before",
        );
        let line = self
            .shell
            .run("ccctl describe warmapp/records | grep Snapshot");
        let name = line.split_whitespace().last().unwrap_or_default();
        told(
            !name.is_empty() && snapshots.contains(name),
            "the app names its snapshot",
        );
    }

    fn broken_upgrade(&mut self) {
        self.act("A broken version");
        say(
            "Version 1.2 will start, rewrite the data into a format that 1.1 cannot read, and serve. But it is not well.",
        );
        self.shell.run("ls $VOLUME");
        let before = self.hash();
        let exact = VolumeHash::of(&self.volume);
        self.publish("1.2.0+1.2");
        self.shell.run("ccctl reconcile warmapp/records");
        self.wait_until_converged("1.2");
        say("It has converged: Swarm is content with it. Only the probe is not.");
        self.serves("1.2");
        let health = self
            .shell
            .run("curl -s -w '%{http_code}\\n' http://127.0.0.1:8080/health");
        told(health.trim().ends_with("500"), "1.2 is not well");
        let service = self.shell.run(SERVICES);
        told(service.contains("records:1.2 1/1"), "Swarm runs 1.2");
        say("The data is another:");
        self.shell.run("ls $VOLUME");
        let broken = self.hash();
        told(broken != before, "the broken version rewrote the data");
        self.get("1.1.0+1.1", "Progressing");

        say("It has 15 seconds to become healthy. Then it is undone.");
        self.watch_for("rolled-back:1.2.0+1.2->1.1.0+1.1");
        self.get("1.1.0+1.1", "RolledBack");
        self.serves("1.1");
        say("The data is what it was, to the byte:");
        self.shell.run("ls $VOLUME");
        let after = self.hash();
        told(after == before, "the data is what it was before");
        // Also what tar leaves out: times finer than a second, extended attributes.
        let exact_after = VolumeHash::of(&self.volume);
        told(
            exact_after == exact,
            &format!("the volume is what it was before:\n{exact:?}\n{exact_after:?}"),
        );
        self.records(&["written by 1.0", "written by 1.1"]);
        say("What 1.2 made of it was set aside, for whoever wants to find out:");
        let aside = self
            .shell
            .run("find $CI_WARM_ROOT/instances/*/aside -name 'records.*' -printf '%P\\n'");
        told(
            aside.contains("records.v2"),
            "the failed data was set aside",
        );
        say("And somebody is told:");
        self.shell.run("ccctl alerts");
        let alert = self.shell.run("cat $CI_WARM_ROOT/alerts/*.json");
        for word in ["\"rolled-back\"", "\"1.2.0+1.2\"", "\"recovered\":true"] {
            told(alert.contains(word), &format!("the alert has {word}"));
        }
    }

    fn held_major(&mut self) {
        self.act("A major version waits, a minor one does not");
        self.publish("1.3.0+1.3");
        self.publish("2.0.0+2.0");
        self.shell.run("ccctl reconcile warmapp/records");
        self.watch_for("upgraded:1.1.0+1.1->1.3.0+1.3");
        self.get("1.3.0+1.3", "Healthy");
        self.serves("1.3");
        self.records(&["written by 1.0", "written by 1.1"]);
        let held = self
            .shell
            .run("ccctl describe warmapp/records | sed -n '/^Held:/,/^$/{/./p}'");
        told(held.contains("2.0.0+2.0"), "2.0 is held");
        let alerts = self.shell.run("ccctl alerts");
        told(alerts.contains("held-major"), "the hold is an alert");
        say("Its next look finds nothing else to do, and says so.");
        self.shell.run("ccctl reconcile warmapp/records");
        self.watch_for("held-major:1.3.0+1.3->2.0.0+2.0");
    }

    fn approval(&mut self) {
        self.act("The approval");
        self.shell.run("ccctl approve warmapp/records");
        self.watch_for("upgraded:1.3.0+1.3->2.0.0+2.0");
        self.serves("2.0");
        say("2.0 keeps its data in the new format, and is well. It took the records along:");
        let files = self.shell.run("ls $VOLUME");
        told(files.trim() == "records.v2", "the data was migrated");
        self.records(&["written by 1.0", "written by 1.1"]);
        self.get("2.0.0+2.0", "Healthy");
    }

    fn end(&mut self) {
        self.act("The end");
        say("The operator can go; the app stays.");
        self.operator.take().expect("it was started").stop();
        self.serves("2.0");
    }

    // --- what they are made of ---

    fn act(&mut self, title: &str) {
        self.acts += 1;
        self.shell.title(&format!("{}. {title}", self.acts));
    }

    fn publish(&self, version: &str) {
        self.recipe.publish(version);
    }

    /// Shows how the app moves until its last result is this one.
    fn watch_for(&self, result: &str) {
        self.shell.watch("ccctl get warmapps --watch", |row| {
            row.split_whitespace().any(|cell| cell == result)
                && row.split_whitespace().all(|cell| cell != "Progressing")
        });
    }

    /// Until Swarm itself is content with a version and it answers.
    fn wait_until_converged(&self, version: &str) {
        let runs = format!("records:{version} 1/1");
        wait_for(&format!("{version} to converge"), LIMIT, || {
            let seen = self.shell.quietly(SERVICES);
            let answer = http::get(PORT, "/version").map(|answer| answer.body.trim() == version);
            match answer {
                Ok(true) if seen.contains(&runs) => Ok(()),
                answer => Err(format!("{seen}, {answer:?}")),
            }
        });
    }

    fn get(&self, version: &str, reason: &str) {
        let table = self.shell.run("ccctl get warmapps");
        for cell in [version, reason] {
            told(
                table.split_whitespace().any(|it| it == cell),
                &format!("the app is listed with {cell}"),
            );
        }
    }

    fn serves(&self, version: &str) {
        let answer = self.shell.run("curl -s http://127.0.0.1:8080/version");
        told(answer.trim() == version, &format!("{version} serves"));
    }

    fn add_record(&self, record: &str) {
        self.shell.run(&format!(
            "curl -s --fail --data '{record}' http://127.0.0.1:8080/records"
        ));
    }

    fn records(&self, expected: &[&str]) {
        let answer = self.shell.run("curl -s http://127.0.0.1:8080/records");
        told(
            answer.lines().eq(expected.iter().copied()),
            &format!("the records are {expected:?}"),
        );
    }

    fn hash(&self) -> String {
        self.shell
            .run("tar --sort=name -C $VOLUME -c . | sha256sum")
    }
}

/// Ends the demo unless it is so.
#[track_caller]
fn told(so: bool, what: &str) {
    assert!(so, "it was told that {what}, and that is not so");
}
