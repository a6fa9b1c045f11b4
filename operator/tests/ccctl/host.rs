//! A host: a root, the store an operator would have, and `ccctl`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

use ci_warm_api_types::manifest;
use ci_warm_api_types::warm_app::{WarmAppSpec, WarmAppStatus};
use ci_warm_runtime::store::{Relisted, Unsettled};
use ci_warm_runtime::{Kind, Manifest, ObjectName, Problem, Root, Store};
use regex::Regex;

/// As the operator keeps apps, as far as the store is concerned.
pub(crate) struct App;

impl Kind for App {
    const KIND: &'static str = "WarmApp";
    const PLURAL: &'static str = "warmapps";
    type Spec = WarmAppSpec;
    type Status = WarmAppStatus;

    fn parse(path: &Path, stem: &str, text: &str) -> Result<Manifest<WarmAppSpec>, Problem> {
        let file = path.display().to_string();
        let read = manifest::read::<WarmAppSpec>(&file, Some(stem), text)
            .map_err(|problem| Problem::of(path, problem.message))?;
        Ok(Manifest {
            name: ObjectName::new(&read.metadata.name).unwrap(),
            labels: read.metadata.labels,
            annotations: read.metadata.annotations,
            owner_references: Vec::new(),
            spec: read.spec,
        })
    }
}

pub(crate) struct Host {
    directory: tempfile::TempDir,
    pub(crate) root: Root,
}

/// What one run of `ccctl` left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// All of it, fit for a snapshot.
    pub(crate) fn all(&self) -> String {
        let (out, err) = (settle(&self.out), settle(&self.err));
        format!("exit {}\n--- out\n{out}--- err\n{err}", self.code)
    }

    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        assert_eq!(self.err, "", "{self:?}");
        self.out
    }
}

impl Host {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::initialise(&directory.path().join("root")).unwrap();
        Self { directory, root }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// Writes a file beside or below the root.
    pub(crate) fn put(&self, below: &str, text: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn text(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).unwrap()
    }

    /// The store as an operator has it, having looked once.
    pub(crate) fn operator(&self) -> Arc<Store<App>> {
        let store = Store::<App>::open(&self.root).unwrap();
        relist(&store);
        store
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ccctl"));
        command
            .current_dir(self.directory.path())
            .env("CI_WARM_ROOT", self.root.path())
            .env("USER", "ann")
            .env_remove("SUDO_USER")
            .env("RUST_BACKTRACE", "1")
            .args(arguments);
        command
    }

    pub(crate) fn ccctl(&self, arguments: &[&str]) -> Ran {
        self.ccctl_with(arguments, "")
    }

    /// Runs `ccctl` with this on its standard input.
    pub(crate) fn ccctl_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may be over by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let root = self.root.path().display().to_string();
        let said = |bytes| String::from_utf8(bytes).unwrap().replace(&root, "<root>");
        Ran {
            code: output.status.code().unwrap(),
            out: said(output.stdout),
            err: said(output.stderr),
        }
    }
}

/// The text without what differs from run to run: uids, times, and ages of a few seconds.
fn settle(text: &str) -> String {
    static UID: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap());
    static TIME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"20[2-9]\d-\d\d-\d\dT[0-9:.]+Z").unwrap());
    static AGE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)( |\()\d+s( +|$)").unwrap());
    let text = UID.replace_all(text, "<uid>");
    let text = TIME.replace_all(&text, "<time>");
    AGE.replace_all(&text, |found: &regex::Captures<'_>| {
        let blanks = if found[2].len() > 1 { "  " } else { &found[2] };
        format!("{}<age>{blanks}", &found[1])
    })
    .into_owned()
}

pub(crate) fn relist(store: &Store<App>) -> Relisted {
    store.relist(&Unsettled::default())
}

pub(crate) fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

/// A manifest of an app, with further lines under `spec`.
pub(crate) fn app(name: &str, more: &str) -> String {
    format!(
        "# {name}, as a person wrote it\napiVersion: ci-warm/v1alpha1\nkind: WarmApp\nmetadata:\n  name: {name}\n  labels: {{ tier: {name} }}\nspec:\n  recipe: {{ git: /srv/recipes/{name}.git }}\n  domain: {name}.example.org # mine\n  health: {{ tcp: {{ address: \"localhost:80\" }} }}\n{more}"
    )
}
