//! Images of this engine's node.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bollard::query_parameters::TagImageOptionsBuilder;
use hyper::header::HeaderValue;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{Engine, accept};
use crate::error::{EngineError, ErrorClass};
use crate::lines::Lines;
use crate::network::null_as_empty;
use crate::query::Call;

/// Credentials for a registry.
#[derive(Clone)]
pub struct RegistryAuth {
    header: HeaderValue,
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistryAuth(…)")
    }
}

impl RegistryAuth {
    /// From a user name, a password and the registry they are for.
    ///
    /// # Panics
    /// Never: base64 text is a valid header.
    pub fn new(user: &str, password: &str, server: &str) -> Self {
        Self::from_config(
            &json!({ "username": user, "password": password, "serveraddress": server }),
        )
    }

    /// From an `AuthConfig` (also with `identitytoken` or `registrytoken`).
    ///
    /// The engine decodes Go's `base64.URLEncoding`: the URL-safe alphabet, with padding. Standard base64 fails as soon as
    /// the text holds a `+` or a `/`.
    ///
    /// # Panics
    /// Never: base64 text is a valid header.
    pub fn from_config(config: &Value) -> Self {
        let text = URL_SAFE.encode(config.to_string());
        let mut header = HeaderValue::from_str(&text).expect("base64 is visible ASCII");
        header.set_sensitive(true);
        Self { header }
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

/// An image as the engine has it.
#[derive(Clone, Debug)]
pub struct ImageInfo {
    /// ID: `sha256:…` of its configuration.
    pub id: String,
    /// `repository:tag` names.
    pub repo_tags: Vec<String>,
    /// `repository@sha256:…` references. Empty for an image that never came from a registry.
    pub repo_digests: Vec<String>,
    /// Paths that the image declares as volumes. A container gets an anonymous volume for each that its service does not mount.
    pub volumes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImageJson {
    id: String,
    #[serde(default, deserialize_with = "null_as_empty")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_as_empty")]
    repo_digests: Vec<String>,
    config: Option<ConfigJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigJson {
    #[serde(default, deserialize_with = "null_as_empty")]
    volumes: BTreeMap<String, Value>,
}

impl From<ImageJson> for ImageInfo {
    fn from(json: ImageJson) -> Self {
        let volumes = json
            .config
            .map_or_else(Vec::new, |config| config.volumes.into_keys().collect());
        Self {
            id: json.id,
            repo_tags: json.repo_tags,
            repo_digests: json.repo_digests,
            volumes,
        }
    }
}

/// Add `:latest` to a reference that has neither a tag nor a digest: the engine would pull every tag there is.
fn with_tag(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    if reference.contains('@') || name.contains(':') {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    }
}

impl Engine {
    /// One image by reference or ID.
    pub async fn image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        let found: Option<ImageJson> = self
            .json_or_absent(&Call::get(&["images", reference, "json"]))
            .await?;
        Ok(found.map(ImageInfo::from))
    }

    /// Pull an image and wait until it is there.
    ///
    /// There is no limit on the whole, only on the time without progress ([`crate::Limits::pull_idle`]).
    ///
    /// # Errors
    /// [`EngineError::Pull`] with the registry's words: [`ErrorClass::Refused`] for an image that does not exist or may not
    /// be read, [`ErrorClass::Internal`] for a registry that cannot be reached or fails half way.
    pub async fn pull(
        &self,
        reference: &str,
        auth: Option<&RegistryAuth>,
    ) -> Result<(), EngineError> {
        let image = with_tag(reference);
        let call = Call::post(&["images", "create"]).with("fromImage", &image);
        let auth = auth.map(RegistryAuth::header);
        let idle = self.limits().pull_idle;
        let stalled = || EngineError::TimedOut {
            call: format!("{call} {image}"),
            limit: idle,
        };
        // The first answer comes only after the registry was asked.
        let opened = tokio::time::timeout(idle, self.open(&call, None, auth.as_ref())).await;
        let response = opened.map_err(|_| stalled())??;
        if !response.status().is_success() {
            let reply = tokio::time::timeout(idle, self.read(&call, response))
                .await
                .map_err(|_| stalled())??;
            return accept(&call, reply)
                .map(drop)
                .map_err(|error| as_pull(&image, error));
        }
        let mut lines = Lines::new(self.clone(), call.clone(), response);
        while let Some(line) = tokio::time::timeout(idle, lines.next())
            .await
            .map_err(|_| stalled())??
        {
            let error = line
                .pointer("/errorDetail/message")
                .or_else(|| line.get("error"));
            if let Some(error) = error {
                let message = error
                    .as_str()
                    .map_or_else(|| error.to_string(), str::to_owned);
                return Err(EngineError::Pull {
                    image,
                    message,
                    class: ErrorClass::Internal,
                });
            }
        }
        // A stream may end without an error when the engine is shut down: only the image itself proves the pull.
        match self.image(&image).await? {
            Some(_) => Ok(()),
            None => Err(lines.protocol(format!(
                "the pull of {image} ended, but the image is not there"
            ))),
        }
    }

    /// Give an image another name: `repository` and `tag`.
    pub async fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<(), EngineError> {
        let options = TagImageOptionsBuilder::default()
            .repo(repository)
            .tag(tag)
            .build();
        self.typed(&format!("POST /images/{image}/tag"), |docker| {
            docker.tag_image(image, Some(options))
        })
        .await
    }
}

fn as_pull(image: &str, error: EngineError) -> EngineError {
    let class = error.class();
    match error {
        EngineError::Refused { message, .. } | EngineError::Internal { message, .. } => {
            EngineError::Pull {
                image: image.to_owned(),
                message,
                class,
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_should_never_ask_for_all_tags() {
        for (given, want) in [
            ("nginx", "nginx:latest"),
            ("host:5000/nginx", "host:5000/nginx:latest"),
            ("host:5000/nginx:1", "host:5000/nginx:1"),
            ("nginx@sha256:ab", "nginx@sha256:ab"),
        ] {
            assert_eq!(with_tag(given), want);
        }
    }

    #[test]
    fn registry_auth_should_be_url_safe_and_padded() {
        let auth = RegistryAuth::from_config(&json!({ "password": "\u{3ff}\u{3ff}>>>???" }));
        let text = auth.header().to_str().unwrap().to_owned();
        assert!(!text.contains(['+', '/']), "{text}");
        assert!(text.contains(['-', '_']), "{text}");
        assert_eq!(text.len() % 4, 0, "{text}");
        assert!(!format!("{auth:?}").contains("password"));
    }
}
