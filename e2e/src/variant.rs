//! The images that the tests deploy: one program, `e2e/fixtures/records`, with its behaviour baked in.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::command::Ran;
use crate::docker::Docker;

/// An image of the app `records`.
#[derive(Clone, Debug)]
pub struct Variant {
    name: String,
    arguments: Vec<String>,
    declared_volume: Option<String>,
}

impl Variant {
    /// An image with a name of its own and any arguments of `records serve`; see the program for what there is.
    pub fn custom(name: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&it| it.to_owned()).collect();
        Self {
            name: name.to_owned(),
            arguments,
            declared_volume: None,
        }
    }

    /// Version 1, data format 1.
    pub fn v1() -> Self {
        Self::custom("v1", &["--version", "1"])
    }

    /// Version 1.1: the same data format.
    pub fn v1_1() -> Self {
        Self::custom("v1.1", &["--version", "1.1"])
    }

    /// Version 2: migrates the data to format 2, which version 1 refuses.
    pub fn v2() -> Self {
        Self::custom("v2", &["--version", "2", "--format", "2"])
    }

    /// Version 2 that migrates the data, converges and serves, while its `/health` answers 500.
    pub fn v2_broken() -> Self {
        Self::custom(
            "v2-broken",
            &["--version", "2", "--format", "2", "--health", "500"],
        )
    }

    /// Version 2 whose migration takes `seconds`; data of a migration that was cut short is refused by every version.
    pub fn v2_slow_migration(seconds: u32) -> Self {
        let seconds = seconds.to_string();
        let arguments = ["--version", "2", "--format", "2", "--migration", &seconds];
        Self::custom(&format!("v2-migration-{seconds}"), &arguments)
    }

    /// Exits with 3 as soon as it has opened its data.
    pub fn crash() -> Self {
        Self::custom("crash", &["--version", "1.2", "--crash", "3"])
    }

    /// `/health` answers 503 for the first `seconds`.
    pub fn slow(seconds: u32) -> Self {
        let seconds = seconds.to_string();
        Self::custom(
            &format!("slow-{seconds}"),
            &["--version", "1.3", "--ready-after", &seconds],
        )
    }

    /// The same, with `VOLUME path` in the image: a container of it gets an anonymous volume there unless something is
    /// mounted over it.
    #[must_use]
    pub fn declaring_volume(mut self, path: &str) -> Self {
        self.name = format!("{}-volume{}", self.name, path.replace('/', "-"));
        self.declared_volume = Some(path.to_owned());
        self
    }

    /// What it is called; also its image's tag.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the image on the engine, unless it is there, and returns its reference.
    pub(crate) fn build(&self, docker: &Docker) -> String {
        let program = program();
        let reference = format!("e2e.test/records:{}", self.name);
        let identity = format!(
            "{} {:?} {:?}",
            program.hash, self.arguments, self.declared_volume
        );
        let template = "{{index .Config.Labels \"identity\"}}";
        if docker
            .try_run(&["image", "inspect", "--format", template, &reference])
            .stdout
            .trim()
            == identity
        {
            return reference;
        }
        let mut command = vec!["\"serve\"".to_owned()];
        command.extend(self.arguments.iter().map(|it| format!("{it:?}")));
        let mut changes = vec![
            "ENTRYPOINT [\"/records\"]".to_owned(),
            format!("CMD [{}]", command.join(", ")),
            format!("LABEL identity={identity:?}"),
        ];
        changes.extend(
            self.declared_volume
                .iter()
                .map(|path| format!("VOLUME {path}")),
        );
        let mut arguments = vec!["import"];
        for change in &changes {
            arguments.extend(["--change", change]);
        }
        arguments.extend(["-", &reference]);
        // `docker import` rather than a build: it needs neither a builder nor a base image.
        docker.run_with_input(&arguments, program.tar.clone());
        reference
    }
}

struct Program {
    /// A root file system with nothing but the program.
    tar: Vec<u8>,
    hash: String,
}

/// The program, linked statically since the images hold nothing else. Built once for each test process.
fn program() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let triple = host_triple();
        let target = target_directory();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args([
            "build",
            "--offline",
            "--locked",
            "--quiet",
            "--release",
            "-p",
            "ci-warm-records",
        ]);
        cargo
            .args(["--target", &triple, "--target-dir"])
            .arg(&target);
        cargo
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("RUSTFLAGS", "-C target-feature=+crt-static");
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
        Ran::of(&mut cargo).ok();
        let directory = target.join(triple).join("release");
        let bytes = fs::read(directory.join("records")).expect("the program was just built");
        Program {
            tar: tar(&directory),
            hash: blake3::hash(&bytes).to_hex()[..16].to_owned(),
        }
    })
}

fn tar(directory: &Path) -> Vec<u8> {
    let mut command = Command::new("tar");
    command
        .args(["--create", "--owner=0", "--group=0", "--directory"])
        .arg(directory)
        .arg("records");
    let output = command.output().expect("tar is installed");
    assert!(
        output.status.success(),
        "tar: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn host_triple() -> String {
    let about = Ran::of(Command::new("rustc").arg("-vV")).ok();
    let line = about.lines().find_map(|line| line.strip_prefix("host: "));
    line.expect("rustc -vV names the host").to_owned()
}

/// The directory that cargo builds into: three above a test (`target/debug/deps/test`), two above a program.
fn target_directory() -> PathBuf {
    profile_directory()
        .parent()
        .expect("a profile's directory is below the target directory")
        .to_owned()
}

/// Where this build's programs are, such as `target/debug`.
pub(crate) fn profile_directory() -> PathBuf {
    let me = env::current_exe().expect("a running program has a path");
    let directory = me.parent().expect("a program is in a directory");
    if directory.ends_with("deps") {
        directory
            .parent()
            .expect("deps is below the profile's directory")
            .to_owned()
    } else {
        directory.to_owned()
    }
}
