//! Where a recipe's repository is: an address that git may be given.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// The address of a recipe's repository. Displays without the user and password it may carry.
///
/// `https://`, `http://`, `ssh://`, `git://` and `file://` addresses, `user@host:path`, and absolute local paths. What git would
/// take for an option (`-…`) or for a command to run (`ext::…`) is refused.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GitUrl(String);

/// Why a text is not a [`GitUrl`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{shown}` cannot be a recipe's git address: {why}")]
pub struct GitUrlError {
    shown: String,
    why: &'static str,
}

const SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];

impl GitUrl {
    /// The address as git gets it; may hold a password.
    pub(super) fn raw(&self) -> &str {
        &self.0
    }

    /// The directory, for an address on this machine.
    pub fn local_path(&self) -> Option<PathBuf> {
        match self.0.strip_prefix("file://") {
            Some(path) => Some(path.into()),
            None => self.0.starts_with('/').then(|| PathBuf::from(&self.0)),
        }
    }

    /// A name to tell mirrors apart by: the last part of the path without `.git`, letters, digits, `-` and `_` only.
    pub fn short_name(&self) -> String {
        let path = self
            .0
            .trim_end_matches('/')
            .trim_end_matches(".git")
            .trim_end_matches('/');
        let last = path.rsplit(['/', ':']).next().unwrap_or_default();
        let name: String = last
            .chars()
            .take(64)
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '_' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        if name.is_empty() {
            "recipe".to_owned()
        } else {
            name
        }
    }

    /// Takes this address's user and password out of a text, such as what git printed.
    pub(super) fn redact(&self, text: &str) -> String {
        match self.user_info() {
            Some(user_info) if self.0.contains("://") => text.replace(&format!("{user_info}@"), ""),
            _ => text.to_owned(),
        }
    }

    fn user_info(&self) -> Option<&str> {
        let (_, rest) = self.0.split_once("://")?;
        let authority = rest.split('/').next()?;
        authority
            .rsplit_once('@')
            .map(|(user_info, _)| user_info)
            .filter(|text| !text.is_empty())
    }
}

impl FromStr for GitUrl {
    type Err = GitUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |why| {
            Err(GitUrlError {
                shown: text.chars().take(200).collect(),
                why,
            })
        };
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.starts_with('-') {
            return refuse("git would take it for an option");
        }
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return refuse("it has a space or a control character");
        }
        let transport = text.split(['/', '@', '[']).next().unwrap_or_default();
        if transport.contains("::") {
            return refuse("`<transport>::` would let it run a program; use https, ssh or a path");
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            if !SCHEMES.contains(&scheme) {
                return refuse("use https, http, ssh, git or file");
            }
            if scheme == "file" && !rest.starts_with('/') {
                return refuse(
                    "a file address needs an absolute path, as in `file:///srv/recipe.git`",
                );
            }
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            if host.is_empty() || host.starts_with('-') || rest.starts_with('-') {
                return refuse("it has no proper host");
            }
            return Ok(Self(text.to_owned()));
        }
        if text.starts_with('/') {
            return Ok(Self(text.to_owned()));
        }
        match text.split_once(':') {
            Some((host, path)) if !host.contains('/') && !path.is_empty() => {
                let name = host.rsplit_once('@').map_or(host, |(_, name)| name);
                if name.is_empty() || name.starts_with('-') {
                    return refuse("it has no proper host");
                }
                Ok(Self(text.to_owned()))
            }
            _ => refuse(
                "a path on this machine must be absolute; anything else needs `https://` or `user@host:path`",
            ),
        }
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redact(&self.0))
    }
}

impl fmt::Debug for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitUrl({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn usual_addresses_should_be_accepted() {
        for (text, name) in [
            ("https://git.example.org/recipes/keycloak.git", "keycloak"),
            (
                "https://git.example.org:3000/recipes/custom-html/",
                "custom-html",
            ),
            (
                "ssh://git@git.example.org:2222/recipes/traefik.git",
                "traefik",
            ),
            ("git@git.example.org:recipes/traefik.git", "traefik"),
            ("file:///srv/recipes/x", "x"),
            ("/srv/recipes/my app.git".replace(' ', "").as_str(), "myapp"),
        ] {
            let url: GitUrl = text.parse().unwrap();
            assert_eq!((url.raw(), url.short_name().as_str()), (text, name));
        }
    }

    #[test]
    fn what_git_would_run_or_take_for_an_option_should_be_refused() {
        for text in [
            "",
            "--upload-pack=touch /tmp/x",
            "-oProxyCommand=x",
            "ext::sh -c touch",
            "ext::sh%20-c",
            "fd::17",
            "ftp://host/x",
            "file://relative",
            "relative/path",
            "../up",
            "ssh://-oProxyCommand=x/y",
            "ssh://git@-oProxyCommand=x/y",
            "git@-oProxyCommand=x:y",
            "https://host/a\nb",
        ] {
            assert!(text.parse::<GitUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_should_never_be_shown() {
        let url: GitUrl = "https://bot:hunter2@git.example.org/x.git".parse().unwrap();
        assert_eq!(url.to_string(), "https://git.example.org/x.git");
        assert_eq!(format!("{url:?}"), "GitUrl(https://git.example.org/x.git)");
        assert_eq!(
            url.redact("unable to access 'https://bot:hunter2@git.example.org/x.git'"),
            "unable to access 'https://git.example.org/x.git'"
        );
    }
}
