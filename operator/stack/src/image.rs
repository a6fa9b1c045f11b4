//! Image references: `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`.

use std::sync::LazyLock;

use regex::Regex;

static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    const LABEL: &str = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    const PART: &str = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*";
    let host = format!(r"(?:{LABEL}(?:\.{LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?");
    let name = format!("(?:{host}/)?{PART}(?:/{PART})*");
    let digest = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";
    Regex::new(&format!(
        r"^({name})(?::(\w[\w.-]{{0,127}}))?(?:@({digest}))?$"
    ))
    .expect("a constant pattern")
});

/// A reference taken apart. `name` is in the familiar form, without `docker.io/library/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub name: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a named reference.
    ///
    /// # Errors
    /// Says what keeps the text from being one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if is_id(text) {
            return Err(format!("`{text}` is an image id, not a name"));
        }
        let (host, path) = split_host(text);
        let remote = path.split([':', '@']).next().unwrap_or_default();
        if remote.chars().any(char::is_uppercase) {
            return Err(format!("the repository name `{remote}` must be lower case"));
        }
        let full = format!("{host}/{path}");
        let parts = REFERENCE
            .captures(&full)
            .filter(|parts| {
                parts
                    .get(1)
                    .is_some_and(|name| name.len() <= 255 + host.len() + 1)
            })
            .ok_or_else(|| format!("`{text}` is not an image reference"))?;
        let part = |index: usize| parts.get(index).map(|part| part.as_str().to_owned());
        let name = part(1).unwrap_or_default();
        let name = match name.strip_prefix("docker.io/") {
            Some(rest) => {
                let bare = rest
                    .strip_prefix("library/")
                    .filter(|bare| !bare.contains('/'));
                bare.unwrap_or(rest).to_owned()
            }
            None => name,
        };
        Ok(Self {
            name,
            tag: part(2),
            digest: part(3),
        })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.name)?;
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(out, "@{digest}")?;
        }
        Ok(())
    }
}

fn split_host(text: &str) -> (&str, String) {
    let host = text.split_once('/').filter(|(first, _)| {
        first.contains(['.', ':']) || *first == "localhost" || first.chars().any(char::is_uppercase)
    });
    match host {
        Some((host, rest)) if host != "index.docker.io" && host != "docker.io" => {
            (host, rest.to_owned())
        }
        hub => {
            let rest = hub.map_or(text, |(_, rest)| rest);
            let path = if rest.contains('/') {
                rest.to_owned()
            } else {
                format!("library/{rest}")
            };
            ("docker.io", path)
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The text the docker CLI sends for an image: familiar, with `:latest` if it has neither tag nor digest. An image id
/// is left alone.
///
/// # Errors
/// Says why the text names no image.
pub(crate) fn familiar(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("no image specified".to_owned());
    }
    let digest = text.strip_prefix("sha256:").filter(|digest| is_id(digest));
    if is_id(text) || digest.is_some() {
        return Ok(text.to_owned());
    }
    let mut reference = Reference::parse(text)?;
    if reference.tag.is_none() && reference.digest.is_none() {
        reference.tag = Some("latest".to_owned());
    }
    Ok(reference.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn familiar_should_write_images_as_the_cli_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("x", "x:latest".to_owned()),
            ("docker.io/library/nginx", "nginx:latest".to_owned()),
            ("index.docker.io/foo/bar:2", "foo/bar:2".to_owned()),
            ("LOCALHOST/foo", "LOCALHOST/foo:latest".to_owned()),
            ("reg:5000/a", "reg:5000/a:latest".to_owned()),
            ("localhost/a/b:1", "localhost/a/b:1".to_owned()),
            (&format!("nginx:1@{digest}"), format!("nginx:1@{digest}")),
            (&format!("nginx@{digest}"), format!("nginx@{digest}")),
            (&"a".repeat(64), "a".repeat(64)),
        ] {
            assert_eq!(familiar(text), Ok(expected), "{text}");
        }
        for text in ["", "UPPER/Foo", "a b", ":1", "a:", "a@sha256:12", "a//b"] {
            assert!(familiar(text).is_err(), "{text}");
        }
    }
}
