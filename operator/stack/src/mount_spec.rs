//! Volumes in the short form, `[SOURCE:]TARGET[:OPTIONS]`.

use crate::model::{Mount, VolumeOptions};

const PROPAGATIONS: [&str; 6] = [
    "rprivate", "private", "rshared", "shared", "rslave", "slave",
];

/// Reads one volume in the short form.
///
/// A one-letter part is taken for a Windows drive, as in the reference: `v:/a` is an anonymous volume at `v:/a`.
/// Unknown options are ignored.
///
/// # Errors
/// Says which part is wrong.
pub(crate) fn parse(text: &str) -> Result<Mount, String> {
    let mut mount = Mount::default();
    match text.len() {
        0 => return Err("it is empty".to_owned()),
        1 | 2 => text.clone_into(&mut mount.target),
        _ => {
            let parts = split(text);
            if parts.iter().any(String::is_empty) {
                return Err("there is nothing between two colons".to_owned());
            }
            match parts.as_slice() {
                [target] => mount.target.clone_from(target),
                [source, target, options @ ..] => {
                    mount.source.clone_from(source);
                    mount.target.clone_from(target);
                    match options {
                        [] => {}
                        [options] => options
                            .split(',')
                            .for_each(|option| apply(&mut mount, option)),
                        _ => return Err("there are too many colons".to_owned()),
                    }
                }
                [] => {}
            }
        }
    }
    let kind = if is_path(&mount.source) {
        "bind"
    } else {
        "volume"
    };
    kind.clone_into(&mut mount.kind);
    Ok(mount)
}

fn split(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    for c in text.chars() {
        if c == ':' && !is_drive(&part) {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(c);
        }
    }
    parts.push(part);
    parts
}

fn is_drive(part: &str) -> bool {
    let mut chars = part.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
}

fn apply(mount: &mut Mount, option: &str) {
    match option {
        "ro" => mount.read_only = true,
        "rw" => mount.read_only = false,
        "nocopy" => {
            mount.volume = Some(VolumeOptions {
                no_copy: true,
                ..VolumeOptions::default()
            });
        }
        other if PROPAGATIONS.contains(&other) => mount.bind = Some(other.to_owned()),
        _ => {}
    }
}

fn is_path(source: &str) -> bool {
    let mut chars = source.chars();
    match chars.next() {
        Some('.' | '/' | '~') => true,
        Some(first) => {
            source.starts_with(r"\\") || (first.is_alphabetic() && chars.next() == Some(':'))
        }
        None => false,
    }
}

/// Whether a path is absolute on Linux or on Windows.
pub(crate) fn is_absolute(path: &str) -> bool {
    let slash = |c: Option<&u8>| matches!(c, Some(b'/' | b'\\'));
    let bytes = path.as_bytes();
    match bytes {
        [b'/', ..] => true,
        [drive, b':', rest @ ..] if drive.is_ascii_alphabetic() => slash(rest.first()),
        [b'\\', b'\\' | b'/', rest @ ..] => {
            // A share is \\server\share\ and neither part may start with a dot.
            let mut parts = rest.split(|byte| matches!(byte, b'/' | b'\\'));
            let named =
                |part: Option<&[u8]>| part.is_some_and(|part| !part.is_empty() && part[0] != b'.');
            named(parts.next()) && named(parts.next()) && parts.next().is_some()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(text: &str) -> String {
        match parse(text) {
            Err(reason) => reason,
            Ok(mount) => format!(
                "{} {}>{}{}{}{}",
                mount.kind,
                mount.source,
                mount.target,
                if mount.read_only { " ro" } else { "" },
                if mount.volume.is_some() {
                    " nocopy"
                } else {
                    ""
                },
                mount
                    .bind
                    .map(|bind| format!(" {bind}"))
                    .unwrap_or_default()
            ),
        }
    }

    #[test]
    fn short_volumes_should_have_the_quirks_of_the_reference() {
        for (text, expected) in [
            ("data:/data:ro,nocopy", "volume data>/data ro nocopy"),
            ("/only", "volume >/only"),
            ("./a:/b:rw,shared,z", "bind ./a>/b shared"),
            ("~/h:/h", "bind ~/h>/h"),
            ("v:/a", "volume >v:/a"),
            ("v:/b:ro", "bind v:/b>ro"),
            ("v:/b:ro:x", "bind v:/b>ro"),
            ("v::/b", "bind v:>/b"),
            (r"C:\x:C:\y", r"bind C:\x>C:\y"),
            ("a:", "volume >a:"),
            ("", "it is empty"),
            ("aa::/b", "there is nothing between two colons"),
            ("aa:/b:ro:/c", "there are too many colons"),
        ] {
            assert_eq!(short(text), expected, "{text}");
        }
    }

    #[test]
    fn is_absolute_should_know_both_systems() {
        for path in ["/x", r"C:\x", "c:/x", r"\\server\share\x"] {
            assert!(is_absolute(path), "{path}");
        }
        for path in ["x", "./x", "v:", r"\\.\pipe\x", r"\\server"] {
            assert!(!is_absolute(path), "{path}");
        }
    }
}
