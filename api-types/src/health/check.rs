//! What cannot stand in a health spec.

use super::{
    BTreeMap, BodyMatch, Duration, ExecProbe, HealthSpec, HttpProbe, Invalid, SocketAddr, TcpProbe,
    TlsSpec, expand,
};

/// The findings so far.
#[derive(Default)]
struct Findings(Vec<Invalid>);

impl Findings {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Invalid {
            field: field.into(),
            message: message.into(),
        });
    }

    /// The text with every variable replaced by `1`, which is a valid host, port and path alike; `None` and a
    /// finding when its variables are not well-formed.
    fn filled(&mut self, field: &str, text: &str) -> Option<String> {
        match expand(text, |_| Some("1".to_owned())) {
            Ok(filled) => Some(filled),
            Err(error) => {
                self.add(field, error.to_string());
                None
            }
        }
    }
}

pub(super) fn spec(spec: &HealthSpec) -> Vec<Invalid> {
    let mut found = Findings::default();
    if spec.http.is_none() && spec.tcp.is_none() && spec.exec.is_none() {
        found.add("", "no probe is given, and an app that is never asked is never healthy; give one of `http`, `tcp` or `exec`");
    }
    if let Some(probe) = &spec.http {
        http(probe, &mut found);
    }
    if let Some(probe) = &spec.tcp {
        tcp(probe, &mut found);
    }
    if let Some(probe) = &spec.exec {
        exec(probe, &mut found);
    }
    let shortest: Option<Duration> = spec
        .interval
        .duration()
        .checked_mul(spec.success_threshold.get() - 1);
    if shortest.is_none_or(|shortest| shortest >= spec.deadline.duration()) {
        found.add(
            "deadline",
            format!(
                "{} is over before {} rounds with {} between them can succeed; raise `deadline`, or lower `successThreshold` or `interval`",
                spec.deadline, spec.success_threshold, spec.interval
            ),
        );
    }
    found.0
}

fn http(probe: &HttpProbe, found: &mut Findings) {
    let literal_host = url(&probe.url, found);
    if probe.status.is_empty() {
        found.add(
            "http.status",
            "no status code is given, so no answer could pass; give one, such as 200",
        );
    }
    for (at, status) in probe.status.iter().enumerate() {
        if !(100..=599).contains(status) {
            found.add(
                format!("http.status[{at}]"),
                format!("{status} is not an HTTP status code; they go from 100 to 599"),
            );
        }
    }
    if let Some(resolve) = &probe.resolve {
        self::resolve(resolve, literal_host, found);
    }
    if let Some(spec) = &probe.tls {
        tls(spec, &probe.url, found);
    }
    if let Some(spec) = &probe.body {
        body(spec, probe, found);
    }
    headers(&probe.headers, found);
}

/// Whether the host of a URL is known to be an address rather than a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HostIs {
    Address,
    NameOrUnknown,
}

fn url(text: &str, found: &mut Findings) -> HostIs {
    const FIELD: &str = "http.url";
    let Some(filled) = found.filled(FIELD, text) else {
        return HostIs::NameOrUnknown;
    };
    let lower = filled.to_ascii_lowercase();
    let Some(rest) = lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"))
    else {
        // A variable may hold the scheme too: then only the probe itself can tell.
        if !text.starts_with("${") {
            found.add(
                FIELD,
                format!("`{text}` is not a web address; it begins with http:// or https://"),
            );
        }
        return HostIs::NameOrUnknown;
    };
    if filled.chars().any(|c| c.is_whitespace() || c.is_control()) {
        found.add(
            FIELD,
            "a web address has no spaces or line breaks; write %20 for a space",
        );
        return HostIs::NameOrUnknown;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_port = authority
        .rsplit_once('@')
        .map_or(authority, |(_, after)| after);
    let (host, port) = split_port(host_port);
    if host.is_empty() {
        found.add(FIELD, format!("`{text}` names no host"));
    }
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        found.add(
            FIELD,
            format!("the port in `{text}` is not a number from 1 to 65535"),
        );
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if !text.contains('$') && host.parse::<std::net::IpAddr>().is_ok() {
        HostIs::Address
    } else {
        HostIs::NameOrUnknown
    }
}

/// `host:port` in its parts; the colons inside of `[…]` are the address's own.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

fn resolve(text: &str, host: HostIs, found: &mut Findings) {
    const FIELD: &str = "http.resolve";
    if host == HostIs::Address {
        found.add(FIELD, "`url` has an address already, so there is no name to resolve; put this address in `url`");
    }
    if found.filled(FIELD, text).is_some()
        && !text.contains('$')
        && !text
            .parse::<SocketAddr>()
            .is_ok_and(|address| address.port() != 0)
    {
        found.add(
            FIELD,
            format!("`{text}` is not `ip:port`; write it such as 127.0.0.1:443 or [::1]:443"),
        );
    }
}

fn tls(spec: &TlsSpec, url: &str, found: &mut Findings) {
    if url.to_ascii_lowercase().starts_with("http://") {
        found.add("http.tls", "`url` begins with http://, which has no certificate to check; write https://, or leave `tls` out");
    }
    if let Some(file) = &spec.ca_file {
        if spec.insecure_skip_verify {
            found.add(
                "http.tls.caFile",
                "has no effect beside `insecureSkipVerify: true`; leave one of the two out",
            );
        }
        if !file.starts_with('/') {
            found.add(
                "http.tls.caFile",
                format!("`{file}` is not an absolute path"),
            );
        }
    }
}

fn body(spec: &BodyMatch, probe: &HttpProbe, found: &mut Findings) {
    if spec.contains.is_none() && spec.regex.is_none() {
        found.add(
            "http.body",
            "says nothing about the body; give `contains` or `regex`, or leave it out",
        );
    }
    if probe.method == super::HttpMethod::Head {
        found.add(
            "http.body",
            "an answer to HEAD has no body to look at; use GET, or leave `body` out",
        );
    }
    if spec.contains.as_deref() == Some("") {
        found.add(
            "http.body.contains",
            "an empty text is in every body; write the text to look for",
        );
    }
    if let Some(pattern) = &spec.regex
        && let Err(error) = regex::bytes::Regex::new(pattern)
    {
        found.add(
            "http.body.regex",
            format!("`{pattern}` is not a regular expression: {error}"),
        );
    }
}

fn headers(headers: &BTreeMap<String, String>, found: &mut Findings) {
    for (name, value) in headers {
        let field = format!("http.headers.{name}");
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            found.add(
                &field,
                format!("`{name}` is not the name of a header; use letters, digits and `-`"),
            );
        }
        if headers
            .keys()
            .any(|other| other < name && other.eq_ignore_ascii_case(name))
        {
            found.add(
                &field,
                "is given twice; capitals make no difference in the name of a header",
            );
        }
        if let Some(value) = found.filled(&field, value)
            && value.chars().any(char::is_control)
        {
            found.add(
                &field,
                "a header's value is one line, without control characters",
            );
        }
    }
}

fn tcp(probe: &TcpProbe, found: &mut Findings) {
    const FIELD: &str = "tcp.address";
    let Some(filled) = found.filled(FIELD, &probe.address) else {
        return;
    };
    // One variable may hold host and port together.
    if probe.address.starts_with("${") && probe.address.find('}') == Some(probe.address.len() - 1) {
        return;
    }
    let (host, port) = split_port(&filled);
    let bare_ipv6 = host.contains(':') && !host.starts_with('[');
    let good_port = port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    if host.is_empty() || bare_ipv6 || !good_port || host.contains(['/', ' ']) {
        found.add(
            FIELD,
            format!(
                "`{}` is not `host:port`; write it such as db.example.org:5432 or [::1]:5432",
                probe.address
            ),
        );
    }
}

fn exec(probe: &ExecProbe, found: &mut Findings) {
    if probe.command.first().is_none_or(String::is_empty) {
        found.add(
            "exec.command",
            "no program is given; write it such as [pg_isready, -q]",
        );
    }
    if probe.command.iter().any(|argument| argument.contains('\0')) {
        found.add(
            "exec.command",
            "an argument has a zero byte, which no program can be given",
        );
    }
    let name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if probe.service.is_empty() || !probe.service.bytes().all(name) {
        found.add(
            "exec.service",
            format!(
                "`{}` is not the name of a service, such as `app`",
                probe.service
            ),
        );
    }
}
