//! Whether a gate asks a host that the app's own stack serves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ci_warm_api_types::health::{ExpandError, HealthSpec, expand};
use reqwest::Url;

use super::rule;

/// Whether a gate asks a host that the app's own stack serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateHost {
    /// It does.
    Own,
    /// It does not: refused as `HealthGateForeignHost`.
    Foreign {
        /// The host it asks for.
        host: String,
        /// The hosts of the app's own stack.
        own: Vec<String>,
    },
    /// There is no HTTP probe, or it says `allowForeignHost: true`.
    NotApplicable,
}

/// Why the gate's host cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateHostError {
    /// A variable in the URL or the `Host` header.
    #[error("health.http: {0}")]
    Variable(#[from] ExpandError),
    /// The URL names no host.
    #[error("health.http.url: `{0}` with its variables filled in names no host")]
    NoHost(String),
}

/// Decides whether the gate's host is served by the app's own stack: it is `domain`, or in `routed` ([`router_hosts`] of the deploy
/// labels of all its services). A gate that waits for another app, which may be started after this one, would wait for ever.
///
/// The gate's host is the probe's `Host` header where it has one, else the host in its URL, as the router decides by the
/// header. An IP address or `localhost` says nothing about who answers there, so as a host it is foreign, whatever `resolve` says; with a
/// `Host` header of the app's own it is fine. `tcp` and `exec` probes are not judged: they name no host of a router.
pub fn gate_host(
    spec: &HealthSpec,
    env: &BTreeMap<String, String>,
    domain: &str,
    routed: &BTreeSet<String>,
) -> Result<GateHost, GateHostError> {
    let Some(http) = spec.http.as_ref().filter(|http| !http.allow_foreign_host) else {
        return Ok(GateHost::NotApplicable);
    };
    let fill = |text: &str| expand(text, |name| env.get(name).cloned());
    let header = http
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = if let Some((_, value)) = header {
        normal(&fill(value)?)
    } else {
        Url::parse(&fill(&http.url)?)
            .ok()
            .and_then(|url| url.host_str().and_then(normal))
    };
    let host = host.ok_or_else(|| GateHostError::NoHost(http.url.clone()))?;
    let own: BTreeSet<_> = routed
        .iter()
        .map(String::as_str)
        .chain([domain])
        .filter_map(normal)
        .collect();
    if own.contains(&host) && !is_address(&host) {
        Ok(GateHost::Own)
    } else {
        Ok(GateHost::Foreign {
            host,
            own: own.into_iter().collect(),
        })
    }
}

/// The hosts that the deploy labels of one service route to it: those in the rules of Traefik's HTTP and TCP routers, unless
/// `traefik.enable` is false, and the site addresses of caddy-docker-proxy (`caddy`, `caddy_0`, …). Patterns are passed over.
pub fn router_hosts<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeSet<String> {
    let (mut traefik, mut caddy, mut enabled) = (Vec::new(), Vec::new(), true);
    for (key, value) in labels {
        let key = key.to_ascii_lowercase();
        if key == "traefik.enable" {
            enabled = !value.trim().eq_ignore_ascii_case("false");
        } else if is_traefik_rule(&key) {
            traefik.extend(rule::hosts(value));
        } else if is_caddy_site(&key) {
            caddy.extend(value.split([',', ' ', '\n', '\t']).filter_map(caddy_host));
        }
    }
    if !enabled {
        traefik.clear();
    }
    traefik
        .iter()
        .filter_map(|host| normal(host))
        .chain(caddy)
        .collect()
}

/// `traefik.http.routers.<name>.rule`, or the same of `tcp`.
fn is_traefik_rule(key: &str) -> bool {
    ["traefik.http.routers.", "traefik.tcp.routers."]
        .iter()
        .filter_map(|prefix| key.strip_prefix(prefix))
        .any(|rest| {
            rest.strip_suffix(".rule")
                .is_some_and(|name| !name.is_empty())
        })
}

/// `caddy` or `caddy_<number>`; longer keys are directives inside of the site.
fn is_caddy_site(key: &str) -> bool {
    key == "caddy"
        || key.strip_prefix("caddy_").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        })
}

/// The host of a site address such as `a.org`, `https://a.org:8443/path`; `None` for a snippet, a pattern, a bare port.
fn caddy_host(address: &str) -> Option<String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty()
        || authority.starts_with([':', '(', '&'])
        || authority.contains(['*', '{'])
    {
        return None;
    }
    normal(authority)
}

/// A host as it is compared: in lower case, in its ASCII form, without port and final dot.
fn normal(host: &str) -> Option<String> {
    let url = Url::parse(&format!("http://{}/", host.trim())).ok()?;
    let host = url.host_str()?.trim_end_matches('.').to_owned();
    (!host.is_empty()).then_some(host)
}

fn is_address(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: &str) -> HealthSpec {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn judge(yaml: &str, routed: &[&str]) -> Result<GateHost, GateHostError> {
        let env = BTreeMap::from([("DOMAIN".to_owned(), "kc.example.org".to_owned())]);
        let routed = routed.iter().map(|host| (*host).to_owned()).collect();
        gate_host(&spec(yaml), &env, "kc.example.org", &routed)
    }

    #[test]
    fn the_domain_and_routed_hosts_are_own() {
        for (yaml, routed) in [
            (
                "http: { url: 'https://${DOMAIN}/realms/master', resolve: '127.0.0.1:443' }",
                &[][..],
            ),
            ("http: { url: 'https://KC.example.org.:8443/' }", &[]),
            (
                "http: { url: 'https://api.example.org/' }",
                &["api.example.org"],
            ),
            (
                "http: { url: 'https://bücher.example.org/' }",
                &["bücher.example.org"],
            ),
            (
                "http: { url: 'http://127.0.0.1:8080/', headers: { host: '${DOMAIN}:8080' } }",
                &[],
            ),
        ] {
            assert_eq!(judge(yaml, routed), Ok(GateHost::Own), "{yaml}");
        }
    }

    #[test]
    fn another_host_is_foreign() {
        let foreign = judge(
            "http: { url: 'https://app.example.org/' }",
            &["api.example.org"],
        );
        let own = vec!["api.example.org".to_owned(), "kc.example.org".to_owned()];
        assert_eq!(
            foreign,
            Ok(GateHost::Foreign {
                host: "app.example.org".to_owned(),
                own
            })
        );
        for yaml in [
            "http: { url: 'https://${DOMAIN}/', headers: { Host: other.example.org } }",
            "http: { url: 'https://kc.example.org.evil.org/' }",
            "http: { url: 'https://kc.example.org@other.org/' }",
            "http: { url: 'http://127.0.0.1:8080/' }",
            "http: { url: 'http://2130706433/' }",
            "http: { url: 'http://[::1]/' }",
            "http: { url: 'http://localhost/' }",
        ] {
            let routed = ["127.0.0.1", "localhost"];
            assert!(
                matches!(judge(yaml, &routed), Ok(GateHost::Foreign { .. })),
                "{yaml}"
            );
        }
    }

    #[test]
    fn a_word_in_the_manifest_or_no_http_probe_is_not_judged() {
        for yaml in [
            "http: { url: 'https://app.example.org/', allowForeignHost: true }",
            "tcp: { address: '127.0.0.1:5432' }",
            "exec: { command: ['true'] }",
        ] {
            assert_eq!(judge(yaml, &[]), Ok(GateHost::NotApplicable), "{yaml}");
        }
    }

    #[test]
    fn a_host_that_cannot_be_told_is_an_error() {
        let unset = judge("http: { url: 'https://${NONE}/' }", &[]).unwrap_err();
        assert!(
            unset.to_string().contains("`${NONE}` is not set"),
            "{unset}"
        );
        assert!(matches!(
            judge("http: { url: 'nonsense' }", &[]),
            Err(GateHostError::NoHost(_))
        ));
    }

    fn hosts(labels: &[(&str, &str)]) -> Vec<String> {
        router_hosts(labels.iter().copied()).into_iter().collect()
    }

    #[test]
    fn labels_of_traefik_and_caddy_name_hosts() {
        assert_eq!(
            hosts(&[
                ("traefik.enable", "true"),
                (
                    "traefik.http.routers.kc.rule",
                    "Host(`KC.example.org`,`b.org`) || Host(`c.org`)"
                ),
                ("traefik.tcp.routers.db.rule", "HostSNI(`db.example.org`)"),
                ("traefik.http.routers.kc.entrypoints", "web-secure"),
                ("traefik.http.middlewares.x.rule", "Host(`no.org`)"),
                ("coop-cloud.kc.version", "1.0.0+1"),
            ]),
            ["b.org", "c.org", "db.example.org", "kc.example.org"]
        );
        assert_eq!(
            hosts(&[
                ("caddy", "a.org, https://b.org:8443/x  http://c.org"),
                ("caddy_1", "d.org"),
                ("caddy_2", "*.e.org"),
                ("caddy_3", "(snippet)"),
                ("caddy_4", ":8080"),
                ("caddy.reverse_proxy", "no.org"),
                ("caddy_x", "no.org"),
            ]),
            ["a.org", "b.org", "c.org", "d.org"]
        );
    }

    #[test]
    fn a_service_that_traefik_passes_over_routes_nothing() {
        let rule = ("traefik.http.routers.a.rule", "Host(`a.org`)");
        assert_eq!(hosts(&[rule, ("traefik.enable", "False")]), [""; 0]);
    }
}
