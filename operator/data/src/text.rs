//! Bytes as text and back: UTF-8 stays as it is, a backslash becomes `\\`, any other byte `\xNN`.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Readable text from which [`unescape`] gives the same bytes back.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push('\\');
            }
            text.push(character);
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The bytes behind the text, or nothing if [`escape`] could not have written it.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
                tail
            }
            (b'\\', _) => return None,
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    Some(bytes)
}

/// `root`, or the entry `relative` below it, for messages.
pub(crate) fn shown(root: &Path, relative: &[u8]) -> String {
    let root = escape(root.as_os_str().as_bytes());
    if relative.is_empty() {
        root
    } else {
        format!("{root}/{}", escape(relative))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_well() {
        assert_eq!(escape("plain/naïve".as_bytes()), "plain/naïve");
        assert_eq!(escape(b"a\\b\xff"), "a\\\\b\\xff");
        assert_eq!(unescape("\\q"), None);
        assert_eq!(unescape("\\x1"), None);
    }

    proptest::proptest! {
        #[test]
        fn comes_back(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(unescape(&escape(&bytes)), Some(bytes));
        }
    }
}
