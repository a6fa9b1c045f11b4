//! The HTTP probe.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use ci_warm_api_types::health::{BodyMatch, HttpMethod, HttpProbe};
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, ClientBuilder, Method, Request, Response, Url, redirect};
use tokio::time::{Instant, timeout_at};

use super::{Answer, Fault, ProbeContext, explain, fill};

/// How much of a body is read and looked at, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// How long a file of certificate authorities may be, in bytes. A whole system's is a quarter of this.
const MAX_CA_FILE: u64 = 1024 * 1024;

pub(super) async fn ask(probe: &HttpProbe, limit: Duration, context: &ProbeContext<'_>) -> Answer {
    let until = Instant::now() + limit;
    let plan = match Plan::new(probe, context) {
        Ok(plan) => plan,
        Err(why) => {
            let what = format!("{} {}", probe.method.as_str(), probe.url);
            return Answer::new(what, Err(Fault::Unknown(why)));
        }
    };
    let what = plan.what.clone();
    match timeout_at(until, plan.send()).await {
        Err(_) => Answer::new(
            what,
            Err(Fault::Failed(format!("no answer within {limit:?}"))),
        ),
        Ok(Err(fault)) => Answer::new(what, Err(fault)),
        Ok(Ok(response)) => {
            let code = response.status().as_u16();
            let result = timeout_at(until, judge(response, probe))
                .await
                .unwrap_or_else(|_| {
                    Err(Fault::Failed(format!(
                        "answered {code}, but its body did not end within {limit:?}"
                    )))
                });
            Answer { what, code, result }
        }
    }
}

/// A request, ready to be sent.
struct Plan {
    what: String,
    /// Where the connection goes, for messages.
    peer: String,
    request: Request,
    builder: ClientBuilder,
    trust: Trust,
}

/// Whose certificates are accepted.
enum Trust {
    Host,
    File(String),
    Anyone,
}

impl Plan {
    /// Everything that can be wrong before the app is asked; an error is not the app's fault.
    fn new(probe: &HttpProbe, context: &ProbeContext<'_>) -> Result<Self, String> {
        let text = fill(&probe.url, context).map_err(|error| format!("http.url: {error}"))?;
        let mut url = Url::parse(&text).map_err(|error| {
            format!(
                "http.url: `{}` with its variables filled in is not a web address: {error}",
                probe.url
            )
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "http.url: `{}` is neither http:// nor https://",
                probe.url
            ));
        }
        let what = format!("{} {}", probe.method.as_str(), without_secrets(&url));
        let mut headers = headers(probe, context)?;
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .pool_max_idle_per_host(0)
            .user_agent(concat!("ci-warm/", env!("CARGO_PKG_VERSION")));
        let mut peer = host_and_port(&url);
        if let Some(resolve) = &probe.resolve {
            let address = resolve_to(resolve, context)?;
            let Some(domain) = url.domain().map(str::to_owned) else {
                return Err("http.resolve: `http.url` has an address already, so there is no name to resolve; put this address in `http.url`".to_owned());
            };
            // The client takes the address from here but the port from the URL, so the port goes there, and what
            // the URL said before goes into the header. The name asked for in TLS has no port.
            if !headers.contains_key(HOST) {
                let host = HeaderValue::from_str(&peer_header(&url))
                    .map_err(|error| format!("http.url: {error}"))?;
                headers.insert(HOST, host);
            }
            builder = builder.resolve(&domain, address);
            url.set_port(Some(address.port()))
                .map_err(|()| "http.url: this address cannot have a port".to_owned())?;
            peer = address.to_string();
        }
        let mut request = Request::new(method(probe.method), url);
        *request.headers_mut() = headers;
        let trust = match &probe.tls {
            Some(tls) if tls.insecure_skip_verify => Trust::Anyone,
            Some(tls) => tls.ca_file.clone().map_or(Trust::Host, Trust::File),
            None => Trust::Host,
        };
        Ok(Self {
            what,
            peer,
            request,
            builder,
            trust,
        })
    }

    async fn send(self) -> Result<Response, Fault> {
        let Self {
            peer,
            request,
            builder,
            trust,
            ..
        } = self;
        let secure = request.url().scheme() == "https";
        // Reading certificates is slow and blocks; plain HTTP needs none.
        let client = if secure {
            tokio::task::spawn_blocking(move || client(builder, trust))
                .await
                .unwrap_or_else(|_| Err("the TLS client could not be made: it panicked".to_owned()))
        } else {
            client(builder, Trust::Anyone)
        }
        .map_err(Fault::Unknown)?;
        client
            .execute(request)
            .await
            .map_err(|error| Fault::Failed(explain::request(error, &peer)))
    }
}

fn client(builder: ClientBuilder, trust: Trust) -> Result<Client, String> {
    let builder = match trust {
        Trust::Host => builder,
        Trust::Anyone => builder.tls_danger_accept_invalid_certs(true),
        Trust::File(path) => builder.tls_certs_only(authorities(&path)?),
    };
    builder.build().map_err(|error| {
        format!(
            "the TLS client could not be made: {}",
            explain::chain(&error)
        )
    })
}

fn authorities(path: &str) -> Result<Vec<Certificate>, String> {
    let unreadable =
        |error: std::io::Error| format!("http.tls.caFile: cannot read {path}: {error}");
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(format!("http.tls.caFile: {path} is not a regular file"));
    }
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_CA_FILE).read_to_end(&mut pem))
        .map_err(unreadable)?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| {
        format!(
            "http.tls.caFile: {path} is not in PEM form: {}",
            explain::chain(&error)
        )
    })?;
    if found.is_empty() {
        return Err(format!(
            "http.tls.caFile: {path} holds no certificate in PEM form"
        ));
    }
    Ok(found)
}

fn headers(probe: &HttpProbe, context: &ProbeContext<'_>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &probe.headers {
        let field = |error: &dyn std::fmt::Display| format!("http.headers.{name}: {error}");
        let value = fill(value, context).map_err(|error| field(&error))?;
        let mut value = HeaderValue::from_str(&value).map_err(|error| field(&error))?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(name).map_err(|error| field(&error))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn resolve_to(template: &str, context: &ProbeContext<'_>) -> Result<SocketAddr, String> {
    let text = fill(template, context).map_err(|error| format!("http.resolve: {error}"))?;
    text.parse().map_err(|_| {
        format!("http.resolve: `{template}` with its variables filled in is not `ip:port`, such as 127.0.0.1:443")
    })
}

fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Post => Method::POST,
    }
}

/// The URL without its user, password, query and fragment, each of which may hold a secret.
fn without_secrets(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), peer_header(url), url.path())
}

/// The `Host` header of a URL: the port only where it is not the scheme's own.
fn peer_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn host_and_port(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// Whether an answer passes. Its body is read to its end or to [`MAX_BODY`], also when nothing is looked for in it: an
/// answer that breaks off is no answer.
async fn judge(response: Response, probe: &HttpProbe) -> Result<(), Fault> {
    let code = response.status().as_u16();
    if !probe.status.contains(&code) {
        let wanted: Vec<_> = probe.status.iter().map(ToString::to_string).collect();
        return Err(Fault::Failed(format!(
            "answered {code}{}, not {}",
            redirected_to(&response),
            wanted.join(" or ")
        )));
    }
    let (body, extent) = read(response).await?;
    probe
        .body
        .as_ref()
        .map_or(Ok(()), |wanted| look_for(wanted, &body, extent))
}

fn redirected_to(response: &Response) -> String {
    let location = response
        .headers()
        .get(LOCATION)
        .filter(|_| response.status().is_redirection());
    let Some(location) = location.and_then(|value| value.to_str().ok()) else {
        return String::new();
    };
    let target = response
        .url()
        .join(location)
        .map_or_else(|_| "?".to_owned(), |url| without_secrets(&url));
    format!(
        " (a redirect to {}, which is not followed)",
        explain::printable(&target, 200)
    )
}

/// How much of a body was read.
#[derive(Clone, Copy)]
enum Extent {
    Whole,
    First,
}

async fn read(mut response: Response) -> Result<(Vec<u8>, Extent), Fault> {
    let code = response.status().as_u16();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = MAX_BODY - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return Ok((body, Extent::First));
                }
            }
            Ok(None) => return Ok((body, Extent::Whole)),
            Err(error) => {
                let why = explain::chain(&error.without_url());
                return Err(Fault::Failed(format!(
                    "answered {code}, but its body broke off: {why}"
                )));
            }
        }
    }
}

fn look_for(wanted: &BodyMatch, body: &[u8], extent: Extent) -> Result<(), Fault> {
    let place = match extent {
        Extent::Whole => "the body",
        Extent::First => "the first MiB of the body",
    };
    if let Some(text) = &wanted.contains
        && !text.is_empty()
        && !body.windows(text.len()).any(|part| part == text.as_bytes())
    {
        return Err(Fault::Failed(format!("{place} does not contain `{text}`")));
    }
    if let Some(pattern) = &wanted.regex {
        let regex = regex::bytes::Regex::new(pattern)
            .map_err(|error| Fault::Unknown(format!("http.body.regex: {error}")))?;
        if !regex.is_match(body) {
            return Err(Fault::Failed(format!(
                "{place} does not match the expression `{pattern}`"
            )));
        }
    }
    Ok(())
}
