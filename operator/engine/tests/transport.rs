//! What each way of breaking a call becomes, against a small HTTP server on a unix socket.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use ci_warm_engine::{
    Dial, Engine, EngineError, ErrorClass, Happened, Limits, Notice, Outcome, Recorder, Removed,
    Request, ServiceId, Transport, TransportFuture, scripted,
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const VERSION: &str = r#"{"ApiVersion":"1.41","Version":"20.10.24"}"#;

fn reply(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Answers `/version` properly and everything else as told.
#[derive(Clone)]
enum Answer {
    Bytes(String),
    Hang,
    HangUp,
}

struct Server {
    directory: tempfile::TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    fn host(&self) -> String {
        format!("unix://{}/engine.sock", self.directory.path().display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn serve(answer: Answer) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("engine.sock")).unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut chunk = [0_u8; 4096];
                while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                    match stream.read(&mut chunk).await {
                        Ok(0) | Err(_) => return,
                        Ok(read) => request.extend_from_slice(&chunk[..read]),
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let version = text
                    .lines()
                    .next()
                    .is_some_and(|line| line.contains("/version"));
                match answer {
                    _ if version => stream
                        .write_all(reply("200 OK", VERSION).as_bytes())
                        .await
                        .unwrap(),
                    Answer::Bytes(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap(),
                    Answer::HangUp => {}
                    // Held open until the client gives up.
                    Answer::Hang => drop(stream.read(&mut chunk).await),
                }
            });
        }
    });
    Server { directory, task }
}

fn limits() -> Limits {
    Limits {
        call: Duration::from_millis(300),
        pull_idle: Duration::from_millis(300),
        ..Limits::default()
    }
}

async fn engine(server: &Server) -> Engine {
    let host = server.host();
    Engine::over(&host, Dial::parse(&host).unwrap(), limits())
        .await
        .unwrap()
}

/// Every reading call says the same of the same fault, and none takes it for an absence.
async fn check(answer: Answer, want: ErrorClass, words: &str) {
    let server = serve(answer);
    let engine = engine(&server).await;
    let errors: Vec<EngineError> = vec![
        engine.service("x").await.unwrap_err(),
        engine.services("x").await.unwrap_err(),
        engine.network("x").await.unwrap_err(),
        engine.volume("x").await.unwrap_err(),
        engine.image("x").await.unwrap_err(),
        engine.view("x").await.unwrap_err(),
        engine.remains("x").await.unwrap_err(),
        engine.info().await.unwrap_err(),
        engine.node_count().await.unwrap_err(),
        engine.remove_volume("x").await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.class(), want, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn hang_should_time_out() {
    check(Answer::Hang, ErrorClass::TimedOut, "no answer within 300ms").await;
}

#[tokio::test]
async fn hang_in_the_body_should_time_out() {
    // Chunked, and the last chunk never comes.
    let server = serve_open_chunks();
    let engine = engine(&server).await;
    let error = engine.service("x").await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::TimedOut, "{error}");
}

fn serve_open_chunks() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("engine.sock")).unwrap();
    let task = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut chunk = [0_u8; 4096];
            let read = stream.read(&mut chunk).await.unwrap();
            let text = String::from_utf8_lossy(&chunk[..read]).into_owned();
            if text.contains("/version") {
                stream
                    .write_all(reply("200 OK", VERSION).as_bytes())
                    .await
                    .unwrap();
            } else {
                let open = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n";
                stream.write_all(open.as_bytes()).await.unwrap();
                held.push(stream);
            }
        }
    });
    Server { directory, task }
}

#[tokio::test]
async fn hang_up_should_be_unreachable() {
    check(
        Answer::HangUp,
        ErrorClass::Unreachable,
        "the connection broke",
    )
    .await;
}

#[tokio::test]
async fn reply_cut_in_the_middle_should_be_unreachable() {
    let whole = reply("200 OK", r#"[{"ID":"x"}]"#);
    let cut = whole[..whole.len() - 4].to_owned();
    check(
        Answer::Bytes(cut),
        ErrorClass::Unreachable,
        "the connection broke",
    )
    .await;
}

#[tokio::test]
async fn garbage_should_be_a_protocol_error() {
    check(
        Answer::Bytes("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned()),
        ErrorClass::Protocol,
        "not HTTP",
    )
    .await;
    check(
        Answer::Bytes(reply("200 OK", "<html>")),
        ErrorClass::Protocol,
        "",
    )
    .await;
}

#[tokio::test]
async fn failing_engine_should_be_internal() {
    check(
        Answer::Bytes(reply("500 Oops", r#"{"message":"raft"}"#)),
        ErrorClass::Internal,
        "raft",
    )
    .await;
    check(
        Answer::Bytes(reply("503 No", "plain words")),
        ErrorClass::Internal,
        "plain words",
    )
    .await;
}

#[tokio::test]
async fn refusal_should_be_refused() {
    check(
        Answer::Bytes(reply("400 Bad", r#"{"message":"invalid"}"#)),
        ErrorClass::Refused,
        "invalid",
    )
    .await;
}

#[tokio::test]
async fn only_the_engines_own_404_should_be_an_absence() {
    let server = serve(Answer::Bytes(reply(
        "404 Not Found",
        r#"{"message":"no such thing"}"#,
    )));
    let there = engine(&server).await;
    assert!(there.service("x").await.unwrap().is_none());
    assert!(there.volume("x").await.unwrap().is_none());
    assert_eq!(there.remove_volume("x").await.unwrap(), Removed::WasAbsent);
    // A list is never absent.
    assert_eq!(
        there.services("x").await.unwrap_err().class(),
        ErrorClass::Refused
    );

    for (body, class) in [
        (r#"{"message":"page not found"}"#, ErrorClass::Protocol),
        ("nginx says 404", ErrorClass::Refused),
    ] {
        let server = serve(Answer::Bytes(reply("404 Not Found", body)));
        let error = engine(&server).await.volume("x").await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
    }
}

#[tokio::test]
async fn stale_version_should_be_out_of_sequence() {
    let body = r#"{"message":"rpc error: code = Unknown desc = update out of sequence"}"#;
    let server = serve(Answer::Bytes(reply("500 Internal Server Error", body)));
    let engine = engine(&server).await;
    let id = ServiceId("x".to_owned());
    let spec = json!({ "Name": "x", "TaskTemplate": { "Placement": {} } });
    let error = engine
        .update_service(&id, 7, &spec, None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), error.happened()),
        (ErrorClass::OutOfSequence, Happened::No)
    );
}

#[tokio::test]
async fn spec_without_placement_should_never_be_sent() {
    let server = serve(Answer::Hang);
    let engine = engine(&server).await;
    let error = engine
        .create_service(&json!({ "TaskTemplate": {} }), None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), error.happened()),
        (ErrorClass::Refused, Happened::No)
    );
}

#[tokio::test]
async fn engine_that_is_down_should_be_unreachable() {
    let error = Engine::connect("unix:///nonexistent/engine.sock")
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), error.happened()),
        (ErrorClass::Unreachable, Happened::No)
    );
    assert!(error.to_string().contains("is dockerd running"), "{error}");
}

#[tokio::test]
async fn missing_driver_should_not_be_an_empty_list() {
    let body = r#"{"Volumes":null,"Warnings":["error while checking if volume \"x\" exists in driver \"nfs\""]}"#;
    let server = serve(Answer::Bytes(reply("200 OK", body)));
    let error = engine(&server).await.volumes("x").await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Internal);
}

#[tokio::test]
async fn prefix_of_an_id_should_not_be_taken_for_a_name() {
    let body = r#"{"Id":"abc123","Name":"proxy","Driver":"overlay","Scope":"swarm"}"#;
    let server = serve(Answer::Bytes(reply("200 OK", body)));
    let engine = engine(&server).await;
    assert!(engine.network("abc").await.unwrap().is_none());
    assert!(engine.network("proxy").await.unwrap().is_some());
}

#[tokio::test]
async fn pull_should_say_why_it_failed() {
    for (answer, class, words) in [
        (
            reply("404 Not Found", r#"{"message":"manifest unknown"}"#),
            ErrorClass::Refused,
            "manifest unknown",
        ),
        (
            reply("500 Oops", r#"{"message":"dial tcp: refused"}"#),
            ErrorClass::Internal,
            "dial tcp",
        ),
        (
            reply(
                "200 OK",
                "{\"status\":\"Pulling\"}\r\n{\"error\":\"unexpected EOF\"}\r\n",
            ),
            ErrorClass::Internal,
            "unexpected EOF",
        ),
        // Ends well, but the image is not there: the "image" is this very reply, which is none.
        (
            reply("200 OK", "{\"status\":\"Pulling\"}\r\n"),
            ErrorClass::Protocol,
            "",
        ),
    ] {
        let server = serve(Answer::Bytes(answer));
        let error = engine(&server)
            .await
            .pull("repo/app", None)
            .await
            .unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let server = serve(Answer::Hang);
    let error = engine(&server)
        .await
        .pull("repo/app", None)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::TimedOut, "{error}");
}

#[tokio::test]
async fn events_should_begin_with_a_gap_and_end_with_an_error() {
    let known = json!({
        "Type": "service", "Action": "update", "Actor": { "ID": "s1", "Attributes": { "name": "a_b" } },
        "scope": "swarm", "time": 1, "timeNano": 1_000_000_000_i64,
    });
    let unknown = json!({ "Type": "hologram", "Action": "flicker", "timeNano": 1 });
    let server = serve(Answer::Bytes(reply(
        "200 OK",
        &format!("{unknown}\n{known}\n"),
    )));
    let mut events = engine(&server).await.events().await.unwrap();
    assert_eq!(events.next().await.unwrap(), Notice::EventGap);
    let Notice::Event(event) = events.next().await.unwrap() else {
        panic!("a second gap")
    };
    assert_eq!(
        (
            event.action.as_str(),
            event.id.as_str(),
            event.name.as_deref()
        ),
        ("update", "s1", Some("a_b"))
    );
    assert_eq!(
        events.next().await.unwrap_err().class(),
        ErrorClass::Unreachable
    );
}

/// A fault injector as one would be written outside this crate: answers volumes with a cut reply, passes the rest on.
struct Cut<T>(T);

impl<T: Transport> Transport for Cut<T> {
    fn call(&self, request: Request) -> TransportFuture {
        if request.uri().path().contains("/volumes/") {
            return Box::pin(scripted(
                b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Name\":".to_vec(),
            ));
        }
        self.0.call(request)
    }
}

#[tokio::test]
async fn faults_should_be_injected_at_the_seam() {
    let server = serve(Answer::Bytes(reply(
        "404 Not Found",
        r#"{"message":"no such thing"}"#,
    )));
    let host = server.host();
    let recorder = Recorder::new(Cut(Dial::parse(&host).unwrap()));
    let engine = Engine::over(&host, recorder.clone(), limits())
        .await
        .unwrap();
    let error = engine.volume("data").await.unwrap_err();
    assert_eq!(
        (error.class(), error.happened()),
        (ErrorClass::Unreachable, Happened::Unknown),
        "{error}"
    );
    assert!(engine.image("x").await.unwrap().is_none());
    let calls: Vec<_> = recorder
        .calls()
        .into_iter()
        .map(|call| (call.path, call.outcome))
        .collect();
    let want = |path: &str, status| (path.to_owned(), Outcome::Status(status));
    assert_eq!(
        calls[1..],
        [
            want("/v1.41/volumes/data", 200),
            want("/v1.41/images/x/json", 404)
        ]
    );
}

#[tokio::test]
async fn every_call_should_carry_the_agreed_version() {
    let server = serve(Answer::Bytes(reply("500 Oops", r#"{"message":"raft"}"#)));
    let host = server.host();
    let recorder = Recorder::new(Dial::parse(&host).unwrap());
    let engine = Engine::over(&host, recorder.clone(), limits())
        .await
        .unwrap();
    engine.info().await.unwrap_err();
    engine.node_count().await.unwrap_err();
    engine.services("x").await.unwrap_err();
    let calls = recorder.calls();
    assert_eq!(calls[0].path, "/version");
    assert_eq!(calls.len(), 4);
    for call in &calls[1..] {
        assert!(call.path.starts_with("/v1.41/"), "{call:?}");
    }
}
