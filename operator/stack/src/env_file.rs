//! Files of `KEY=VALUE` lines.

use std::path::Path;

use crate::ReadFile;
use crate::error::Problem;
use crate::interpolate::Environment;

/// Reads the variables of one file, in order.
///
/// A value is everything after the first `=`: no quotes, no `export`, no substitution. A key alone takes its value
/// from the process environment, and is dropped if that has none.
///
/// # Errors
/// A file that cannot be read or is not UTF-8, and a line without a name or with white space in it.
pub(crate) fn read(
    path: &str,
    env: &Environment,
    reader: &dyn ReadFile,
) -> Result<Vec<(String, String)>, Problem> {
    let bytes = reader
        .read(Path::new(path))
        .map_err(|error| Problem::Read {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    parse(path, &bytes, env)
}

fn parse(path: &str, bytes: &[u8], env: &Environment) -> Result<Vec<(String, String)>, Problem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let fail = |reason: &str| Problem::EnvFile {
            path: path.to_owned(),
            line: index + 1,
            reason: reason.to_owned(),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line =
            std::str::from_utf8(line).map_err(|_| fail("not UTF-8; save the file as UTF-8"))?;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (line, None),
        };
        if key.is_empty() {
            return Err(fail("there is no name before the `=`; write NAME=VALUE"));
        }
        if key.contains([' ', '\t']) {
            return Err(fail(&format!(
                "the name `{key}` holds white space; write NAME=VALUE without `export` or blanks"
            )));
        }
        let value = value.or_else(|| env.get(key).map(String::as_str));
        if let Some(value) = value {
            variables.push((key.to_owned(), value.to_owned()));
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<(String, String)>, Problem> {
        let env = [("HOST".to_owned(), "h".to_owned())].into();
        parse("/e", text.as_bytes(), &env)
    }

    #[test]
    fn env_files_should_be_taken_literally() {
        let text = "\u{feff}A=b c \n# no\n\n  L=\"x\" # y\nHOST\nNONE\nE=\r\n";
        let expected = [("A", "b c "), ("L", "\"x\" # y"), ("HOST", "h"), ("E", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(read_text(text).unwrap(), expected);
    }

    #[test]
    fn env_files_should_name_the_bad_line() {
        let error = read_text("A=1\nexport B=2\n").unwrap_err().to_string();
        assert!(
            error.starts_with("/e, line 2: the name `export B` holds white space"),
            "{error}"
        );
        assert!(read_text("=x").is_err());
    }
}
