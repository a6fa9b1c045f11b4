//! Trees with everything in them, and watchers that disturb.
#![allow(dead_code)]

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ci_warm_data::{DataError, Digest, Unwatched, VolumeName, Watch, digest};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, UTIME_OMIT, XattrFlags, lsetxattr, makedev,
    mknodat, utimensat,
};

/// A new directory on the disk. Fails unless the test runs as root, since nothing here can be shown otherwise.
pub(crate) fn disk() -> tempfile::TempDir {
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests make device nodes and mounts: run them as root"
    );
    tempfile::tempdir().unwrap()
}

/// A new directory in memory, where a flush costs nothing.
pub(crate) fn memory() -> tempfile::TempDir {
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests make device nodes and mounts: run them as root"
    );
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        tempfile::tempdir_in(shared).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub(crate) fn name(name: &str) -> VolumeName {
    VolumeName::new(name).unwrap()
}

pub(crate) fn hash(dir: &Path) -> Digest {
    digest(dir, &Unwatched).unwrap().digest
}

/// Runs a program that must succeed, and gives what it printed.
pub(crate) fn run(program: &str, arguments: &[&OsStr]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Unmounts when dropped.
pub(crate) struct Mount(pub(crate) PathBuf);

impl Mount {
    pub(crate) fn tmpfs(at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        run(
            "mount",
            &["-t", "tmpfs", "-o", options, "tmpfs"]
                .map(OsStr::new)
                .iter()
                .copied()
                .chain([at.as_os_str()])
                .collect::<Vec<_>>(),
        );
        Self(at.to_owned())
    }

    pub(crate) fn bind(from: &Path, at: &Path) -> Self {
        run(
            "mount",
            &[OsStr::new("--bind"), from.as_os_str(), at.as_os_str()],
        );
        Self(at.to_owned())
    }

    /// A filesystem of this size in a file.
    pub(crate) fn ext4(image: &Path, size: u64, at: &Path) -> Self {
        File::create(image).unwrap().set_len(size).unwrap();
        run(
            "mkfs.ext4",
            &[OsStr::new("-q"), OsStr::new("-m0"), image.as_os_str()],
        );
        fs::create_dir_all(at).unwrap();
        run(
            "mount",
            &[
                OsStr::new("-o"),
                OsStr::new("loop"),
                image.as_os_str(),
                at.as_os_str(),
            ],
        );
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(std::thread::panicking() || unmounted.unwrap().success());
    }
}

pub(crate) fn xattr(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty())
        .unwrap_or_else(|e| panic!("{name} on {}: {e}", path.display()));
}

pub(crate) fn touch(path: &Path, seconds: i64, nanoseconds: i64) {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        },
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn node(path: &Path, kind: FileType, major: u32, minor: u32) {
    mknodat(
        CWD,
        path,
        kind,
        Mode::from_raw_mode(0o640),
        makedev(major, minor),
    )
    .unwrap();
}

/// `user::rw- user:1234:r-- group::r-- mask::rw- other::---`, as the kernel stores it.
pub(crate) fn acl() -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (1_u16, 6_u16, u32::MAX),
        (2, 4, 1234),
        (4, 4, u32::MAX),
        (0x10, 6, u32::MAX),
        (0x20, 0, u32::MAX),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// `CAP_NET_BIND_SERVICE` permitted and effective, as the kernel stores it.
pub(crate) fn capability() -> Vec<u8> {
    [0x0200_0001_u32, 1 << 10, 0, 0, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

/// At least one of everything a volume can hold.
pub(crate) fn everything(root: &Path) {
    fs::create_dir(root).unwrap();
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("dir/sub/empty")).unwrap();
    fs::write(at("zero"), b"").unwrap();
    fs::write(at("dir/file"), b"contents").unwrap();
    fs::write(
        at("dir/sub/big"),
        (0..700_000_u32)
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<_>>(),
    )
    .unwrap();
    fs::hard_link(at("dir/file"), at("dir/sub/again")).unwrap();
    fs::hard_link(at("dir/file"), at("a-first-name")).unwrap();
    symlink("dir/file", at("link")).unwrap();
    symlink("/nowhere/at all", at("dangling")).unwrap();
    fs::hard_link(at("dangling"), at("dangling-again")).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not \xff utf-8 \\ \n")), b"x").unwrap();
    symlink(
        OsStr::from_bytes(b"\xfe target"),
        root.join(OsStr::from_bytes(b"link \xfd")),
    )
    .unwrap();
    fs::write(at("dir-before"), b"1").unwrap();
    fs::write(at("dir.after"), b"2").unwrap();
    node(&at("fifo"), FileType::Fifo, 0, 0);
    node(&at("socket"), FileType::Socket, 0, 0);
    node(&at("character"), FileType::CharacterDevice, 5, 300);
    node(&at("block"), FileType::BlockDevice, 259, 70_000);
    fs::hard_link(at("fifo"), at("dir/fifo-again")).unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    sparse.set_len(3 << 20).unwrap();
    sparse.write_all_at(b"in the middle", 1 << 20).unwrap();
    chown(at("dir/sub"), Some(70), Some(71)).unwrap();
    lchown(at("link"), Some(999), Some(33)).unwrap();
    chown(at("zero"), Some(4_000_000_000), Some(12)).unwrap();
    for (name, mode) in [
        ("zero", 0o6755),
        ("dir", 0o1777),
        ("dir/sub", 0o2700),
        ("dir.after", 0o000),
        ("fifo", 0o622),
    ] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    xattr(&at("dir/file"), "user.comment", b"\x00\xffbytes");
    xattr(&at("dir"), "user.empty", b"");
    xattr(&at("link"), "trusted.on-a-symlink", b"yes");
    xattr(&at("socket"), "trusted.on-a-socket", b"yes");
    xattr(root, "trusted.overlay.opaque", b"y");
    xattr(&at("dir-before"), "security.capability", &capability());
    xattr(&at("dir-before"), "system.posix_acl_access", &acl());
    // A default ACL is what children would inherit, had they none of their own.
    xattr(&at("dir"), "system.posix_acl_default", &acl());
    for (name, seconds) in [
        ("dir/sub/empty", 1),
        ("dir/sub", -5),
        ("dir", 4_000_000_000),
        ("link", 77),
        ("dir/file", 99),
        ("fifo", 3),
    ] {
        touch(&at(name), seconds, 123_456_789);
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o2770)).unwrap();
    chown(root, Some(26), Some(26)).unwrap();
    touch(root, 1_600_000_000, 1);
}

/// What GNU tar sees in a tree, hashed: a second opinion. It does not see sockets.
pub(crate) fn tar(root: &Path) -> String {
    let options = "--create --format=posix --sort=name --numeric-owner --acls --warning=no-file-ignored \
        --pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime --file=- --directory";
    let mut hasher = blake3::Hasher::new();
    // One after the other, as tar has no order for the attributes of an entry.
    for namespace in ["user", "trusted", "security", "system"] {
        let mut child = Command::new("tar")
            .arg("--xattrs")
            .arg(format!("--xattrs-include={namespace}.*"))
            .args(options.split_whitespace())
            .arg(root)
            .arg(".")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        hasher.update_reader(child.stdout.take().unwrap()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    hasher.finalize().to_hex().to_string()
}

/// Stops at the checkpoint with this number.
pub(crate) struct Stop {
    at: usize,
    how: How,
    reached: Cell<usize>,
    pub(crate) points: RefCell<Vec<&'static str>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// As a power cut: nothing after this point happens.
    Crash,
    /// As an error of the system.
    Fail,
}

impl Stop {
    pub(crate) fn at(at: usize, how: How) -> Self {
        Self {
            at,
            how,
            reached: Cell::new(0),
            points: RefCell::default(),
        }
    }

    pub(crate) fn never() -> Self {
        Self::at(usize::MAX, How::Fail)
    }
}

struct Crashed;

impl Watch for Stop {
    fn reached(&self, point: &'static str) -> Result<(), DataError> {
        let number = self.reached.replace(self.reached.get() + 1);
        self.points.borrow_mut().push(point);
        match self.how {
            _ if number != self.at => Ok(()),
            // Not `panic!`, which would print.
            How::Crash => resume_unwind(Box::new(Crashed)),
            How::Fail => Err(DataError::Stopped(point)),
        }
    }

    fn advanced(&self, _bytes: u64) -> Result<(), DataError> {
        Ok(())
    }
}

/// Does `work` until the watcher stops it, which it must.
pub(crate) fn stopped<T: std::fmt::Debug>(
    stop: &Stop,
    work: impl FnOnce(&dyn Watch) -> Result<T, DataError>,
) {
    match catch_unwind(AssertUnwindSafe(|| work(stop))) {
        Ok(Err(DataError::Stopped(_))) => assert_eq!(stop.how, How::Fail),
        Err(payload) if payload.is::<Crashed>() => {}
        Err(payload) => resume_unwind(payload),
        other => panic!("was not stopped: {other:?}"),
    }
}
