//! A registry on this machine, which can go down.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::docker::Docker;
use crate::http;
use crate::ports::free_port;
use crate::rig::Rig;
use crate::variant::Variant;
use crate::wait::{LIMIT, wait_for};

/// Debian's `docker-registry`, on a free port of 127.0.0.1, where engines accept plain HTTP. Stopped when dropped.
#[derive(Debug)]
pub struct Registry {
    directory: TempDir,
    port: u16,
    running: Option<Child>,
}

impl Registry {
    /// Starts an empty one.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut registry = Self {
            directory,
            port: free_port(),
            running: None,
        };
        let storage = registry.directory.path().join("storage");
        let configuration = format!(
            "version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: \"{}\"}}\n  \
             delete: {{enabled: true}}\nhttp: {{addr: \"127.0.0.1:{}\"}}\n",
            storage.display(),
            registry.port
        );
        fs::write(registry.configuration(), configuration)
            .expect("a temporary directory takes files");
        registry.up();
        registry
    }

    fn configuration(&self) -> PathBuf {
        self.directory.path().join("config.yml")
    }

    /// Starts it again after [`Registry::stop`], on the same port and with what was pushed.
    pub fn up(&mut self) {
        let log = File::create(self.directory.path().join("log"))
            .expect("a temporary directory takes files");
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(self.configuration())
            .stdin(Stdio::null());
        command
            .stderr(log.try_clone().expect("an open file"))
            .stdout(log);
        self.running = Some(
            command
                .spawn()
                .expect("docker-registry is installed (scripts/setup.sh)"),
        );
        wait_for("the registry", LIMIT, || {
            match http::get(self.port, "/v2/") {
                Ok(answer) if answer.status == 200 => Ok(()),
                seen => Err(format!(
                    "{seen:?} {:?}",
                    fs::read_to_string(self.directory.path().join("log"))
                )),
            }
        });
    }

    /// Takes it down; connections are refused from then on.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // It is our own child and not waited for yet, so the number is its own.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Pushes an image as `127.0.0.1:PORT/records:TAG` and removes it from the engine, so that it must be pulled. Returns
    /// that reference.
    pub fn push(&self, rig: &Rig, variant: &Variant, tag: &str) -> String {
        let reference = format!("127.0.0.1:{}/records:{tag}", self.port);
        let docker: &Docker = rig.docker();
        docker.run(&["tag", &rig.image(variant), &reference]);
        docker.run(&["push", "--quiet", &reference]);
        docker.run(&["rmi", &reference]);
        reference
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}
