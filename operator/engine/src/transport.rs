//! The seam: the one place where a call leaves for the engine.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::EngineError;

/// What is sent: bollard's request, so that bollard's own calls and the raw ones are the same thing at the seam.
pub type Request = bollard::BollardRequest;
/// What comes back. The body may still fail while it is read: an engine can die in the middle of a reply.
pub type Response = hyper::Response<Incoming>;
/// The future of one call.
pub type TransportFuture = Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send>>;

/// Carries one request to an engine and brings back its reply.
///
/// Wrap one to record or to break calls: answer without calling the inner one (fault before send), drop what it answered
/// (fault after reply), or answer with [`scripted`] bytes that stop half way (cut).
pub trait Transport: Send + Sync + 'static {
    /// Carry out one call. Must not retry: whether a call may be repeated is for the caller to know.
    fn call(&self, request: Request) -> TransportFuture;
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn call(&self, request: Request) -> TransportFuture {
        (**self).call(request)
    }
}

/// Why a call brought no reply.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection. The request was certainly not seen.
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke after the request may have been seen.
    #[error("the connection broke: {0}")]
    Broken(#[source] Box<dyn StdError + Send + Sync>),
    /// What answers is not speaking HTTP.
    #[error("the answer is not HTTP: {0}")]
    NotHttp(#[source] Box<dyn StdError + Send + Sync>),
}

impl From<hyper::Error> for TransportError {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse() {
            Self::NotHttp(Box::new(error))
        } else {
            Self::Broken(Box::new(error))
        }
    }
}

impl From<TransportError> for bollard::errors::Error {
    fn from(error: TransportError) -> Self {
        Self::IOError {
            err: io::Error::other(error),
        }
    }
}

/// The real thing: dials a unix socket or a TCP address, anew for each call.
///
/// A pool would hand out connections that died with the last `dockerd`, and a POST on one of those fails without saying
/// whether it was carried out. Dialling a local socket costs microseconds.
#[derive(Clone, Debug)]
pub struct Dial {
    target: Target,
}

#[derive(Clone, Debug)]
enum Target {
    Unix(PathBuf),
    Tcp(String),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Dial {
    /// Read an address in the style of `DOCKER_HOST`: `unix:///var/run/docker.sock` or `tcp://host:port`.
    ///
    /// # Errors
    /// [`EngineError::Host`] for anything else. `ssh://` is not supported yet, and is named as such.
    pub fn parse(host: &str) -> Result<Self, EngineError> {
        let bad = |why: &str| EngineError::Host {
            host: host.to_owned(),
            why: why.to_owned(),
        };
        let Some((scheme, rest)) = host.split_once("://") else {
            return Err(bad("it has no scheme"));
        };
        let target = match scheme {
            "unix" if rest.starts_with('/') => Target::Unix(PathBuf::from(rest)),
            "unix" => return Err(bad("a socket's path must be absolute")),
            "tcp" | "http" => {
                let address = rest.trim_end_matches('/');
                let port = address
                    .rsplit_once(':')
                    .and_then(|(_, port)| port.parse::<u16>().ok());
                if port.is_none() {
                    return Err(bad("it has no port"));
                }
                Target::Tcp(address.to_owned())
            }
            "ssh" => return Err(bad("ssh is not supported yet")),
            _ => return Err(bad("its scheme is unknown")),
        };
        Ok(Self { target })
    }

    async fn open(target: &Target) -> io::Result<Box<dyn Stream>> {
        Ok(match target {
            Target::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Target::Tcp(address) => Box::new(TcpStream::connect(address.as_str()).await?),
        })
    }
}

impl Transport for Dial {
    fn call(&self, request: Request) -> TransportFuture {
        let target = self.target.clone();
        Box::pin(async move {
            let stream = Self::open(&target).await.map_err(TransportError::Connect)?;
            exchange(stream, request).await
        })
    }
}

async fn exchange(
    stream: Box<dyn Stream>,
    mut request: Request,
) -> Result<Response, TransportError> {
    // Only the path is sent: the authority is bollard's placeholder, not an address.
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = hyper::Uri::from(path);
    }
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("engine"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the reply's body, or when the caller drops it.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to the engine ended badly");
        }
    });
    Ok(sender.send_request(request).await?)
}

/// A reply made of these bytes (status line, headers, body), as if an engine had sent them and then hung up.
///
/// Bytes that end before the body they announce are a cut in the middle of a reply: the response arrives, reading it fails.
///
/// # Errors
/// What a real connection would give for these bytes.
pub async fn scripted(reply: Vec<u8>) -> Result<Response, TransportError> {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let mut seen = Vec::new();
        let mut chunk = [0_u8; 1024];
        while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
            match far.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(read) => seen.extend_from_slice(&chunk[..read]),
            }
        }
        // A reader that is gone is no concern of the script.
        let _ = far.write_all(&reply).await;
        let _ = far.shutdown().await;
    });
    let request = Request::new(bollard::body_full(hyper::body::Bytes::new()));
    exchange(Box::new(near), request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, want: &str) {
        let got = match Dial::parse(host) {
            Ok(dial) => format!("{:?}", dial.target),
            Err(error) => error.to_string(),
        };
        assert!(got.contains(want), "{host}: {got}");
    }

    #[test]
    fn dial_should_read_docker_host() {
        check("unix:///run/docker.sock", "Unix(\"/run/docker.sock\")");
        check("tcp://10.0.0.1:2375", "Tcp(\"10.0.0.1:2375\")");
        check("tcp://[::1]:2375/", "Tcp(\"[::1]:2375\")");
        check("tcp://10.0.0.1", "no port");
        check("ssh://root@host", "ssh is not supported yet");
        check("unix://docker.sock", "must be absolute");
        check("/run/docker.sock", "no scheme");
        check("fd://", "scheme is unknown");
    }
}
