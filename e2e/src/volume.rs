//! What a directory holds, exactly.

use std::ffi::{CStr, CString};
use std::fmt::{self, Debug, Formatter};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FileType, lgetxattr, llistxattr};

/// One line for each file, directory and so on of a tree, sorted by path: kind and mode, owner, modification time,
/// extended attributes, link target, and a hash of the content. Equal values mean equal trees; shown as a test's failure,
/// the lines say which file differs and how.
#[derive(Clone, PartialEq, Eq)]
pub struct VolumeHash {
    lines: Vec<String>,
}

impl VolumeHash {
    /// Reads the tree below `root`, itself included.
    pub fn of(root: &Path) -> Self {
        let mut lines = Vec::new();
        walk(root, root, &mut lines);
        lines.sort();
        Self { lines }
    }

    /// The same as one short text.
    pub fn short(&self) -> String {
        blake3::hash(self.lines.join("\n").as_bytes()).to_hex()[..16].to_owned()
    }
}

impl Debug for VolumeHash {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.lines).finish()
    }
}

fn walk(root: &Path, path: &Path, lines: &mut Vec<String>) {
    let metadata =
        fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    lines.push(line(root, path, &metadata));
    if metadata.is_dir() {
        for entry in
            fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        {
            walk(
                root,
                &entry
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
                    .path(),
                lines,
            );
        }
    }
}

fn line(root: &Path, path: &Path, of: &Metadata) -> String {
    // Escaped, as a name may hold anything.
    let name = path
        .strip_prefix(root)
        .unwrap_or(path)
        .as_os_str()
        .as_bytes()
        .escape_ascii();
    let content = match FileType::from_raw_mode(of.mode()) {
        FileType::RegularFile => {
            let bytes =
                fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            format!("{} bytes {}", bytes.len(), blake3::hash(&bytes).to_hex())
        }
        FileType::Symlink => format!("-> {:?}", fs::read_link(path).ok()),
        FileType::CharacterDevice | FileType::BlockDevice => format!("device {}", of.rdev()),
        _ => String::new(),
    };
    // A directory's own count of links is the file system's affair.
    let links = if of.is_dir() { 0 } else { of.nlink() };
    format!(
        "{name} {:o} {}:{} {}.{:09} links {links} {:?} {content}",
        of.mode(),
        of.uid(),
        of.gid(),
        of.mtime(),
        of.mtime_nsec(),
        attributes(path)
    )
}

/// Names and values; empty where the file system has none.
fn attributes(path: &Path) -> Vec<(String, String)> {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return Vec::new();
    };
    let mut names = vec![0; 1 << 16];
    let length = llistxattr(&path, &mut names).unwrap_or(0);
    let names = names[..length].split_inclusive(|byte| *byte == 0);
    let mut all: Vec<_> = names
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .map(|name| (name.to_string_lossy().into_owned(), attribute(&path, name)))
        .collect();
    all.sort();
    all
}

fn attribute(path: &CStr, name: &CStr) -> String {
    let mut value = vec![0; 1 << 16];
    match lgetxattr(path, name, &mut value) {
        Ok(length) => value[..length].escape_ascii().to_string(),
        Err(error) => error.to_string(),
    }
}
