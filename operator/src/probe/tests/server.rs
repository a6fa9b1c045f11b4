//! Small servers that behave, and that do not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What is done after the answer.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Hang,
    GoOnForEver,
}

/// A server on a free port of 127.0.0.1, gone when dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    names: Arc<Mutex<Vec<Option<String>>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    /// Reads the head of a request, writes the answer, closes.
    pub(super) async fn answering(answer: &'static str) -> Self {
        Self::start(answer, Then::Close, None).await
    }

    /// Writes the answer and neither closes nor writes anything more.
    pub(super) async fn hanging(answer: &'static str) -> Self {
        Self::start(answer, Then::Hang, None).await
    }

    /// Writes the answer and then more for as long as anyone reads.
    pub(super) async fn endless(answer: &'static str) -> Self {
        Self::start(answer, Then::GoOnForEver, None).await
    }

    /// As [`Server::answering`], over TLS.
    pub(super) async fn secure(answer: &'static str, config: ServerConfig) -> Self {
        Self::start(
            answer,
            Then::Close,
            Some(TlsAcceptor::from(Arc::new(config))),
        )
        .await
    }

    /// The heads of the requests so far.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The names that TLS clients asked for so far.
    pub(super) fn names(&self) -> Vec<Option<String>> {
        self.names.lock().unwrap().clone()
    }

    async fn start(answer: &'static str, then: Then, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let names = Arc::new(Mutex::new(Vec::new()));
        let (all_heads, all_names) = (Arc::clone(&heads), Arc::clone(&names));
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, heads, names) = (tls.clone(), heads.clone(), names.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else {
                        return talk(stream, &heads, answer, then).await;
                    };
                    if let Ok(stream) = tls.accept(stream).await {
                        let name = stream.get_ref().1.server_name().map(str::to_owned);
                        names.lock().unwrap().push(name);
                        talk(stream, &heads, answer, then).await;
                    }
                });
            }
        });
        Self {
            address,
            heads: all_heads,
            names: all_names,
            accepting,
        }
    }
}

/// An address where nothing listens, for as long as the socket is held.
pub(super) fn closed() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    heads: &Mutex<Vec<String>>,
    answer: &str,
    then: Then,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    // A client that hangs up early is what some tests are about.
    let _ = stream.write_all(answer.as_bytes()).await;
    match then {
        Then::Close => {
            let _ = stream.shutdown().await;
        }
        Then::Hang => {
            // Until the client goes away.
            let _ = stream.read_u8().await;
        }
        Then::GoOnForEver => while stream.write_all(&[b'x'; 8192]).await.is_ok() {},
    }
}
