//! The health gate of an app: what is asked, how often, and when the answer counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::span::Span;

mod check;
mod expand;

pub use expand::{ExpandError, expand};

/// How the operator tells that an app is healthy.
///
/// At least one of `http`, `tcp` and `exec` is given. When several are, a round counts as a success only when all of them pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthSpec {
    /// An HTTP or HTTPS request and the answer that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// A TCP connection that must be accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// A command in a running container of the app that must exit with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecProbe>,
    /// Time between two rounds of probes.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// Time one probe may take in all, from connecting to the end of the answer.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// Consecutive rounds that must succeed before the app counts as healthy.
    #[serde(default = "default_threshold")]
    pub success_threshold: NonZeroU32,
    /// Consecutive rounds that must fail before a running app counts as unhealthy.
    #[serde(default = "default_threshold")]
    pub failure_threshold: NonZeroU32,
    /// Time a newly deployed release has to become healthy. It does not run while a dependency of the app is itself not ready.
    #[serde(default = "default_deadline")]
    pub deadline: Span,
}

/// An HTTP or HTTPS request, made directly: no proxy of the environment is used, and no redirect is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpProbe {
    /// The `http://` or `https://` address to ask. `${DOMAIN}` and other variables of the app's environment are filled in; `$$` is a plain `$`.
    pub url: String,
    /// The status codes that pass. Redirects are not followed, so a `302` is just the code 302.
    #[serde(default = "default_status")]
    #[schemars(inner(range(min = 100, max = 599)), length(min = 1))]
    pub status: Vec<u16>,
    /// Connect to this `ip:port` instead of looking up the name in `url`; it overrides the port in `url` too. The `Host`
    /// header and the name asked for in TLS stay those of `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<String>,
    /// How the server's certificate is checked. Without it: against the certificate authorities this host trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// What the body must hold, within its first MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyMatch>,
    /// The request method.
    #[serde(default)]
    pub method: HttpMethod,
    /// Further request headers. Variables in values are filled in as in `url`. A `Host` header replaces the one from `url`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Say `true` to let this gate ask a host that the app's own stack does not serve. Without it such a gate is refused
    /// (`HealthGateForeignHost`): it would wait for another app, which may be started only after this one is healthy.
    #[serde(default)]
    pub allow_foreign_host: bool,
}

/// How the server's certificate is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsSpec {
    /// Say `true` to accept any certificate: for a probe of this host itself before its certificate is issued.
    #[serde(default)]
    pub insecure_skip_verify: bool,
    /// A PEM file with the certificate authorities to trust, and no others. An absolute path on the operator's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

/// What the body of an answer must hold. When both are given, both must be found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyMatch {
    /// A text that must occur in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// A regular expression (of the Rust `regex` crate) that must match somewhere in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

/// The method of an HTTP probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// Ask for the resource.
    #[default]
    Get,
    /// Ask for its headers alone; the answer has no body.
    Head,
    /// Ask for what can be asked.
    Options,
    /// Send an empty body; for endpoints that accept nothing else.
    Post,
}

/// A TCP connection that must be accepted. Nothing is sent or read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpProbe {
    /// `host:port`, an IPv6 address in brackets. Variables are filled in as in `http.url`.
    pub address: String,
}

/// A command in a running container of the app that must exit with 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecProbe {
    /// The service of the recipe in whose container the command runs, without the stack's name.
    #[serde(default = "default_service")]
    pub service: String,
    /// The program and its arguments. No shell reads them, and no variables are filled in; write `[sh, -c, "…"]` for that.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
}

/// One thing in a manifest that cannot stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The path of the field from where validation began, such as `http.status[1]`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl HealthSpec {
    /// What cannot stand in this spec; empty when all of it can. Field paths begin below the spec itself.
    ///
    /// Texts with variables are checked as far as they can be without values.
    pub fn validate(&self) -> Vec<Invalid> {
        check::spec(self)
    }
}

impl HttpMethod {
    /// The method as it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
        }
    }
}

const fn default_interval() -> Span {
    Span::from_secs(2)
}

const fn default_timeout() -> Span {
    Span::from_secs(10)
}

const fn default_threshold() -> NonZeroU32 {
    match NonZeroU32::new(3) {
        Some(three) => three,
        None => NonZeroU32::MIN,
    }
}

const fn default_deadline() -> Span {
    Span::from_mins(15)
}

fn default_status() -> Vec<u16> {
    vec![200]
}

fn default_service() -> String {
    "app".to_owned()
}

#[cfg(test)]
mod tests;
