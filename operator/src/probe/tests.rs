//! Probes against real servers in this process.

use std::future::pending;

use super::*;

mod server;
mod tls;

use server::Server;

fn spec(yaml: &str) -> HealthSpec {
    let spec: HealthSpec = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(spec.validate(), [], "{yaml}");
    spec
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

async fn probe(yaml: &str) -> ProbeReport {
    probe_in(yaml, &BTreeMap::new(), None).await
}

async fn probe_in(
    yaml: &str,
    env: &BTreeMap<String, String>,
    exec: Option<&dyn ExecInTask>,
) -> ProbeReport {
    Prober::default()
        .probe(&spec(yaml), &ProbeContext { env, exec })
        .await
}

#[track_caller]
fn assert_passed(report: &ProbeReport, code: u16) {
    assert_eq!(
        (report.verdict, report.code),
        (Verdict::Passed, code),
        "{report:?}"
    );
    assert_eq!(report.error, None);
}

#[track_caller]
fn assert_not(report: &ProbeReport, verdict: Verdict, code: u16, says: &str) {
    assert_eq!((report.verdict, report.code), (verdict, code), "{report:?}");
    let error = report.error.as_deref().unwrap();
    assert!(error.contains(says), "{error}");
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn an_expected_status_passes() {
    let server = Server::answering(OK).await;
    let report = probe(&format!(
        "http: {{ url: 'http://{}/health?token=x' }}",
        server.address
    ))
    .await;
    assert_passed(&report, 200);
    assert_eq!(report.what, format!("GET http://{}/health", server.address));
    let head = server.heads().remove(0);
    assert!(
        head.starts_with("GET /health?token=x HTTP/1.1\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn every_round_makes_a_new_connection() {
    let server = Server::answering(OK).await;
    let yaml = format!("http: {{ url: 'http://{}/' }}", server.address);
    assert_passed(&probe(&yaml).await, 200);
    assert_passed(&probe(&yaml).await, 200);
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test]
async fn another_status_fails_with_its_code() {
    let server = Server::answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    let report = probe(&format!(
        "http: {{ url: 'http://{}/', status: [200, 204] }}",
        server.address
    ))
    .await;
    assert_not(
        &report,
        Verdict::Failed,
        503,
        "answered 503, not 200 or 204",
    );
}

#[tokio::test]
async fn a_redirect_loop_is_one_request_and_just_a_302() {
    let server = Server::answering(
        "HTTP/1.1 302 Found\r\nLocation: /login?secret=s3cret\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let url = format!("url: 'http://{}/'", server.address);
    let report = probe(&format!("http: {{ {url} }}")).await;
    assert_not(
        &report,
        Verdict::Failed,
        302,
        "/login, which is not followed",
    );
    assert!(!report.error.unwrap().contains("s3cret"));
    assert_passed(
        &probe(&format!("http: {{ {url}, status: [302] }}")).await,
        302,
    );
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test]
async fn resolve_overrides_address_and_port_and_keeps_the_host_header() {
    let server = Server::answering(OK).await;
    let env = env(&[("DOMAIN", "kc.invalid"), ("TOKEN", "t")]);
    for (url, host) in [
        ("http://${DOMAIN}/a", "kc.invalid"),
        ("http://${DOMAIN}:81/a", "kc.invalid:81"),
        ("http://${DOMAIN}:80/a", "kc.invalid"),
    ] {
        let yaml = format!(
            "http: {{ url: '{url}', resolve: '{}', headers: {{ X-Token: '${{TOKEN}}' }} }}",
            server.address
        );
        let report = probe_in(&yaml, &env, None).await;
        assert_passed(&report, 200);
        assert_eq!(report.what, format!("GET http://{host}/a"));
        let head = server.heads().pop().unwrap().to_ascii_lowercase();
        assert!(head.starts_with("get /a http/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nhost: {host}\r\n")), "{head}");
        assert_eq!(head.matches("host:").count(), 1, "{head}");
        assert!(head.contains("\r\nx-token: t\r\n"), "{head}");
    }
    let yaml = format!(
        "http: {{ url: 'http://${{DOMAIN}}/', resolve: '{}', headers: {{ Host: other.invalid }} }}",
        server.address
    );
    assert_passed(&probe_in(&yaml, &env, None).await, 200);
    let head = server.heads().pop().unwrap().to_ascii_lowercase();
    assert!(head.contains("\r\nhost: other.invalid\r\n"), "{head}");
}

#[tokio::test]
async fn the_body_is_looked_at() {
    let server = Server::answering(OK).await;
    let with = |body: &str| {
        format!(
            "http: {{ url: 'http://{}/', body: {body} }}",
            server.address
        )
    };
    assert_passed(&probe(&with("{ contains: ell }")).await, 200);
    assert_passed(
        &probe(&with("{ contains: ell, regex: '^h.*o$' }")).await,
        200,
    );
    let report = probe(&with("{ contains: bye }")).await;
    assert_not(
        &report,
        Verdict::Failed,
        200,
        "the body does not contain `bye`",
    );
    let report = probe(&with("{ contains: ell, regex: '^ell' }")).await;
    assert_not(
        &report,
        Verdict::Failed,
        200,
        "does not match the expression `^ell`",
    );
}

#[tokio::test]
async fn head_asks_for_no_body() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
    let report = probe(&format!(
        "http: {{ url: 'http://{}/', method: HEAD }}",
        server.address
    ))
    .await;
    assert_passed(&report, 200);
    assert!(server.heads().remove(0).starts_with("HEAD / "));
}

#[tokio::test]
async fn an_endless_body_is_read_to_its_first_mib() {
    let server = Server::endless("HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n").await;
    let url = format!("url: 'http://{}/'", server.address);
    assert_passed(&probe(&format!("http: {{ {url} }}")).await, 200);
    let report = probe(&format!("http: {{ {url}, body: {{ contains: needle }} }}")).await;
    assert_not(
        &report,
        Verdict::Failed,
        200,
        "the first MiB of the body does not contain `needle`",
    );
}

#[tokio::test]
async fn endless_headers_are_no_answer() {
    let server = Server::endless("HTTP/1.1 200 OK\r\nX: ").await;
    let report = probe(&format!("http: {{ url: 'http://{}/' }}", server.address)).await;
    assert_not(
        &report,
        Verdict::Failed,
        0,
        "did not answer as a web server does",
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_fails() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello").await;
    let report = probe(&format!("http: {{ url: 'http://{}/' }}", server.address)).await;
    assert_not(
        &report,
        Verdict::Failed,
        200,
        "answered 200, but its body broke off",
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_left_at_the_time_limit() {
    let silent = Server::hanging("").await;
    let report = probe(&format!(
        "timeout: 50ms\nhttp: {{ url: 'http://{}/' }}",
        silent.address
    ))
    .await;
    assert_not(&report, Verdict::Failed, 0, "no answer within 50ms");

    let half = Server::hanging("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello").await;
    let report = probe(&format!(
        "timeout: 1s\nhttp: {{ url: 'http://{}/' }}",
        half.address
    ))
    .await;
    assert_not(
        &report,
        Verdict::Failed,
        200,
        "its body did not end within 1s",
    );
}

#[tokio::test]
async fn garbage_is_no_answer() {
    for garbage in [
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "",
    ] {
        let server = Server::answering(garbage).await;
        let report = probe(&format!("http: {{ url: 'http://{}/' }}", server.address)).await;
        assert_not(&report, Verdict::Failed, 0, &server.address.to_string());
    }
}

#[tokio::test]
async fn a_closed_port_is_code_0() {
    let (address, _held) = server::closed();
    let report = probe(&format!("http: {{ url: 'http://u:s3cret@{address}/' }}")).await;
    assert_not(
        &report,
        Verdict::Failed,
        0,
        &format!("{address} refused the connection"),
    );
    assert!(!format!("{report:?}").contains("s3cret"), "{report:?}");
}

#[tokio::test]
async fn what_is_wrong_with_the_spec_is_not_the_apps_fault() {
    let env = env(&[
        ("BAD", "not an address"),
        ("IP", "127.0.0.1"),
        ("LINE", "a\nb"),
    ]);
    for (yaml, says) in [
        (
            "http: { url: 'https://${NONE}/' }",
            "http.url: `${NONE}` is not set",
        ),
        ("http: { url: '${BAD}' }", "is not a web address"),
        (
            "http: { url: 'http://${IP}/', resolve: '127.0.0.1:1' }",
            "has an address already",
        ),
        (
            "http: { url: 'http://a/', resolve: '${BAD}' }",
            "http.resolve: `${BAD}` with its variables",
        ),
        (
            "http: { url: 'http://a/', headers: { X: '${LINE}' } }",
            "http.headers.X: ",
        ),
        (
            "http: { url: 'https://a/', tls: { caFile: /none/ca.pem } }",
            "cannot read /none/ca.pem",
        ),
        (
            "http: { url: 'https://a/', tls: { caFile: /dev/null } }",
            "is not a regular file",
        ),
        (
            "http: { url: 'https://a/', tls: { caFile: /proc/self/status } }",
            "holds no certificate",
        ),
        (
            "tcp: { address: '${NONE}:1' }",
            "tcp.address: `${NONE}` is not set",
        ),
        ("exec: { command: ['true'] }", "without an engine"),
    ] {
        let report = probe_in(yaml, &env, None).await;
        assert_not(&report, Verdict::Unknown, 0, says);
    }
}

#[tokio::test]
async fn tcp_passes_when_the_connection_is_accepted() {
    let server = Server::hanging("").await;
    let report = probe(&format!("tcp: {{ address: '{}' }}", server.address)).await;
    assert_passed(&report, 0);
    let (address, _held) = server::closed();
    let report = probe(&format!("tcp: {{ address: '{address}' }}")).await;
    assert_not(&report, Verdict::Failed, 0, "refused the connection");
    assert_eq!(report.what, format!("tcp {address}"));
}

/// Answers `exec` as told; `None` never ends.
struct Container(Option<Result<ExecOutcome, ExecError>>);

impl ExecInTask for Container {
    fn exec<'a>(
        &'a self,
        service: &'a str,
        command: &'a [String],
    ) -> BoxFuture<'a, Result<ExecOutcome, ExecError>> {
        assert_eq!(
            (service, command),
            ("db", &["pg_isready".to_owned(), "-q".to_owned()][..])
        );
        match self.0.clone() {
            Some(result) => Box::pin(std::future::ready(result)),
            None => Box::pin(pending()),
        }
    }
}

fn ended(exit_code: i64) -> Container {
    let output = "starting\nno\u{7} response\n\n".to_owned();
    Container(Some(Ok(ExecOutcome { exit_code, output })))
}

#[tokio::test]
async fn exec_passes_by_exit_code() {
    let yaml = "timeout: 50ms\nexec: { service: db, command: [pg_isready, -q] }";
    let run = async |container: Container| probe_in(yaml, &BTreeMap::new(), Some(&container)).await;
    assert_passed(&run(ended(0)).await, 0);
    let report = run(ended(2)).await;
    assert_not(
        &report,
        Verdict::Failed,
        0,
        "pg_isready exited with 2: no  response",
    );
    assert_eq!(report.what, "exec pg_isready in db");
    let gone = ExecError::NoContainer("no container of db runs".to_owned());
    assert_not(
        &run(Container(Some(Err(gone)))).await,
        Verdict::Failed,
        0,
        "no container of db",
    );
    let engine = ExecError::Engine("the engine does not answer".to_owned());
    assert_not(
        &run(Container(Some(Err(engine)))).await,
        Verdict::Unknown,
        0,
        "the engine",
    );
    assert_not(
        &run(Container(None)).await,
        Verdict::Failed,
        0,
        "did not end within 50ms",
    );
}

#[tokio::test]
async fn all_probes_of_a_round_must_pass() {
    let server = Server::answering(OK).await;
    let (closed, _held) = server::closed();
    let exec = "exec: { service: db, command: [pg_isready, -q] }";
    let (good, bad) = (server.address, closed);
    let run = async |tcp, container: &Container| {
        let yaml =
            format!("http: {{ url: 'http://{good}/' }}\ntcp: {{ address: '{tcp}' }}\n{exec}");
        probe_in(&yaml, &BTreeMap::new(), Some(container)).await
    };
    let report = run(good, &ended(0)).await;
    assert_passed(&report, 200);
    assert_eq!(
        report.what,
        format!("GET http://{good}/, tcp {good}, exec pg_isready in db")
    );

    let report = run(bad, &ended(1)).await;
    assert_not(
        &report,
        Verdict::Failed,
        200,
        "refused the connection: nothing listens there; pg_isready",
    );
    assert_eq!(report.what, format!("tcp {bad}, exec pg_isready in db"));

    let engine = || Container(Some(Err(ExecError::Engine("engine".to_owned()))));
    assert_not(&run(good, &engine()).await, Verdict::Unknown, 200, "engine");
    assert_not(&run(bad, &engine()).await, Verdict::Failed, 200, "engine");
}

#[tokio::test]
async fn a_round_without_probes_proves_nothing() {
    let spec: HealthSpec = serde_saphyr::from_str("deadline: 1m").unwrap();
    let env = BTreeMap::new();
    let report = Prober::default()
        .probe(
            &spec,
            &ProbeContext {
                env: &env,
                exec: None,
            },
        )
        .await;
    assert_not(&report, Verdict::Unknown, 0, "no probe is given");
}
