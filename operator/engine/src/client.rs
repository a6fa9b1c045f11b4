//! The client: one call, its limits, and what its answer means.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, Docker};
use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::EngineError;
use crate::query::Call;
use crate::transport::{Dial, Request, Response, Transport, TransportError};

/// How long and how large an answer may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For one whole call, reply included.
    pub call: Duration,
    /// For a pull: the longest time without any progress.
    pub pull_idle: Duration,
    /// The largest reply that is read, in bytes.
    pub reply_bytes: usize,
}

impl Default for Limits {
    /// 30 s per call: an engine that is slow under load answers in seconds, one that hangs never does. 2 min without
    /// progress for a pull: unpacking a large layer reports nothing while it runs. 64 MiB of reply: far above a full listing.
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30),
            pull_idle: Duration::from_mins(2),
            reply_bytes: 64 * 1024 * 1024,
        }
    }
}

/// What a removal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It was there and is removed.
    Now,
    /// The engine said that there is no such thing.
    WasAbsent,
}

/// A connection to one engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Arc<dyn Transport>,
    docker: Docker,
    api_version: String,
    host: String,
    limits: Limits,
}

/// A status that is not an error by itself, and the bytes that came with it.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("host", &self.inner.host)
            .field("api_version", &self.inner.api_version)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Connect to an address in the style of `DOCKER_HOST` and agree on an API version.
    ///
    /// # Errors
    /// [`EngineError::Host`] for an address that cannot be used, else what the first call gave.
    pub async fn connect(host: &str) -> Result<Self, EngineError> {
        Self::over(host, Dial::parse(host)?, Limits::default()).await
    }

    /// Connect over any transport. `host` only names the engine in errors.
    ///
    /// The API version is agreed once: an engine that is upgraded later still speaks it.
    ///
    /// # Errors
    /// What the first call (`GET /version`) gave.
    pub async fn over(
        host: &str,
        transport: impl Transport,
        limits: Limits,
    ) -> Result<Self, EngineError> {
        let transport: Arc<dyn Transport> = Arc::new(transport);
        let seam = Arc::clone(&transport);
        let agreed: Arc<OnceLock<String>> = Arc::default();
        let version = Arc::clone(&agreed);
        let docker = Docker::connect_with_custom_transport(
            move |request: Request| {
                let call = seam.call(versioned(request, version.get()));
                async move { call.await.map_err(BollardError::from) }
            },
            Some("http://engine"),
            // Ours ends a call earlier; this one only counts until the headers.
            limits.call.as_secs().saturating_add(60),
            API_DEFAULT_VERSION,
        );
        let asked = "GET /version".to_owned();
        let docker = match docker {
            Ok(docker) => docker,
            Err(error) => {
                return Err(EngineError::Host {
                    host: host.to_owned(),
                    why: error.to_string(),
                });
            }
        };
        let docker = match tokio::time::timeout(limits.call, docker.negotiate_version()).await {
            Ok(Ok(docker)) => docker,
            Ok(Err(error)) => return Err(from_bollard(host, asked, error)),
            Err(_) => {
                return Err(EngineError::TimedOut {
                    call: asked,
                    limit: limits.call,
                });
            }
        };
        let api_version = docker.client_version().to_string();
        agreed.get_or_init(|| api_version.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                transport,
                docker,
                api_version,
                host: host.to_owned(),
                limits,
            }),
        })
    }

    /// The API version that was agreed on, such as `1.41`.
    pub fn api_version(&self) -> &str {
        &self.inner.api_version
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.inner.limits
    }

    pub(crate) fn host(&self) -> &str {
        &self.inner.host
    }

    /// A call through bollard, under our time limit and with our errors.
    pub(crate) async fn typed<'a, T, F>(
        &'a self,
        call: &str,
        ask: impl FnOnce(&'a Docker) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, BollardError>>,
    {
        let limit = self.inner.limits.call;
        match tokio::time::timeout(limit, ask(&self.inner.docker)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(from_bollard(&self.inner.host, call.to_owned(), error)),
            Err(_) => Err(EngineError::TimedOut {
                call: call.to_owned(),
                limit,
            }),
        }
    }

    /// Send a call and return as soon as the headers are there. The caller limits the time.
    pub(crate) async fn open(
        &self,
        call: &Call,
        body: Option<&Value>,
        auth: Option<&HeaderValue>,
    ) -> Result<Response, EngineError> {
        let protocol = |what: String| EngineError::Protocol {
            call: call.to_string(),
            what,
        };
        let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let mut request = Request::new(bollard::body_full(bytes));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call
            .uri(&self.inner.api_version)
            .parse()
            .map_err(|error| protocol(format!("a path that cannot be sent: {error}")))?;
        if body.is_some() {
            request
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(auth) = auth {
            request
                .headers_mut()
                .insert("x-registry-auth", auth.clone());
        }
        self.inner
            .transport
            .call(request)
            .await
            .map_err(|source| self.unreachable(call, source))
    }

    pub(crate) fn unreachable(&self, call: &Call, source: TransportError) -> EngineError {
        EngineError::Unreachable {
            host: self.inner.host.clone(),
            call: call.to_string(),
            source,
        }
    }

    /// Read a reply's body whole, up to the limit.
    pub(crate) async fn read(&self, call: &Call, response: Response) -> Result<Reply, EngineError> {
        let status = response.status();
        let limited = Limited::new(response.into_body(), self.inner.limits.reply_bytes);
        match limited.collect().await {
            Ok(body) => Ok(Reply {
                status,
                body: body.to_bytes(),
            }),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(cut) => Err(self.unreachable(call, TransportError::from(*cut))),
                Err(large) => Err(EngineError::Protocol {
                    call: call.to_string(),
                    what: large.to_string(),
                }),
            },
        }
    }

    async fn fetch(
        &self,
        call: &Call,
        body: Option<&Value>,
        auth: Option<&HeaderValue>,
    ) -> Result<Reply, EngineError> {
        let limit = self.inner.limits.call;
        let work = async { self.read(call, self.open(call, body, auth).await?).await };
        match tokio::time::timeout(limit, work).await {
            Ok(reply) => reply,
            Err(_) => Err(EngineError::TimedOut {
                call: call.to_string(),
                limit,
            }),
        }
    }

    /// A call whose answer is JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, EngineError> {
        let reply = self.fetch(call, None, None).await?;
        decode(call, &accept(call, reply)?)
    }

    /// An inspect: the engine's own "no such thing" is `None`.
    pub(crate) async fn json_or_absent<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<Option<T>, EngineError> {
        let reply = self.fetch(call, None, None).await?;
        if is_absence(&reply) {
            return Ok(None);
        }
        decode(call, &accept(call, reply)?).map(Some)
    }

    /// A change with a body, answered by JSON.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        call: &Call,
        body: &Value,
        auth: Option<&HeaderValue>,
    ) -> Result<T, EngineError> {
        let reply = self.fetch(call, Some(body), auth).await?;
        decode(call, &accept(call, reply)?)
    }

    /// A change with a body that answers with the new object's ID.
    pub(crate) async fn create(
        &self,
        call: &Call,
        body: &Value,
        auth: Option<&HeaderValue>,
    ) -> Result<String, EngineError> {
        // Networks answer with `Id`, everything else with `ID`.
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "ID", alias = "Id")]
            id: String,
        }
        self.send::<Created>(call, body, auth)
            .await
            .map(|created| created.id)
    }

    /// A change without a body that may take its time: already so (304) and no such thing are both fine.
    pub(crate) async fn act_within(&self, call: &Call, limit: Duration) -> Result<(), EngineError> {
        let work = async { self.read(call, self.open(call, None, None).await?).await };
        let reply = match tokio::time::timeout(limit, work).await {
            Ok(reply) => reply?,
            Err(_) => {
                return Err(EngineError::TimedOut {
                    call: call.to_string(),
                    limit,
                });
            }
        };
        if reply.status == StatusCode::NOT_MODIFIED || is_absence(&reply) {
            return Ok(());
        }
        accept(call, reply).map(drop)
    }

    /// A removal: what is not there need not be removed.
    pub(crate) async fn remove(&self, call: &Call) -> Result<Removed, EngineError> {
        let reply = self.fetch(call, None, None).await?;
        if is_absence(&reply) {
            return Ok(Removed::WasAbsent);
        }
        let answer = accept(call, reply)?;
        if !answer.trim_ascii().is_empty() {
            // An engine has nothing to say here; a proxy's page of welcome is no removal.
            return Err(EngineError::Protocol {
                call: call.to_string(),
                what: excerpt(&answer),
            });
        }
        Ok(Removed::Now)
    }
}

/// Put the agreed API version in front of the path: bollard 0.21 negotiates one, then sends paths without any, which an
/// engine answers in its newest API.
fn versioned(mut request: Request, version: Option<&String>) -> Request {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    if let Some(version) = version
        && !path.starts_with(&format!("/v{version}/"))
        && let Ok(uri) = format!("/v{version}{path}").parse()
    {
        *request.uri_mut() = uri;
    }
    request
}

/// A 404 in the engine's own words about an object. A 404 of a proxy, or of a path that the engine does not know, says
/// nothing about the object.
fn is_absence(reply: &Reply) -> bool {
    reply.status == StatusCode::NOT_FOUND
        && serde_json::from_slice::<ErrorBody>(&reply.body)
            .is_ok_and(|error| !error.message.is_empty() && error.message != "page not found")
}

pub(crate) fn accept(call: &Call, reply: Reply) -> Result<Bytes, EngineError> {
    if reply.status.is_success() {
        return Ok(reply.body);
    }
    let message = match serde_json::from_slice::<ErrorBody>(&reply.body) {
        Ok(error) => error.message,
        Err(_) => excerpt(&reply.body),
    };
    Err(from_status(
        call.to_string(),
        reply.status.as_u16(),
        message,
    ))
}

pub(crate) fn from_status(call: String, status: u16, message: String) -> EngineError {
    match status {
        // Swarm reports a stale version as an unknown error: HTTP 500, recognisable only by its text.
        500 if message.contains("update out of sequence") => {
            EngineError::OutOfSequence { call, message }
        }
        404 if message == "page not found" => EngineError::Protocol {
            call,
            what: "the engine does not know this call".to_owned(),
        },
        400..=499 => EngineError::Refused {
            call,
            status,
            message,
        },
        500..=599 => EngineError::Internal {
            call,
            status,
            message,
        },
        _ => EngineError::Protocol {
            call,
            what: format!("HTTP status {status}: {message}"),
        },
    }
}

/// The body itself is not shown: it may hold what services are configured with.
pub(crate) fn decode<T: DeserializeOwned>(call: &Call, bytes: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(bytes).map_err(|error| EngineError::Protocol {
        call: call.to_string(),
        what: format!("{error}, in {} bytes", bytes.len()),
    })
}

/// The beginning of a body, for a message.
fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 200;
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text.trim().chars().take(SHOWN).collect();
    if text.trim().chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

pub(crate) fn from_bollard(host: &str, call: String, error: BollardError) -> EngineError {
    let host = host.to_owned();
    match error {
        BollardError::DockerResponseServerError {
            status_code,
            message,
        } => from_status(call, status_code, message),
        BollardError::IOError { err } => {
            let source = match err.downcast::<TransportError>() {
                Ok(source) => source,
                Err(err) => TransportError::Broken(Box::new(err)),
            };
            EngineError::Unreachable { host, call, source }
        }
        BollardError::HyperResponseError { err } => EngineError::Unreachable {
            host,
            call,
            source: TransportError::from(err),
        },
        other => EngineError::Protocol {
            call,
            what: other.to_string(),
        },
    }
}
