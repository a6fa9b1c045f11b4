//! Ports in the short form, `[IP:][HOST[-END]]:CONTAINER[-END][/PROTOCOL]`.

use std::net::IpAddr;

use crate::go_sort;

/// One published port of a service. Absent parts are empty or 0, as Go has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Port {
    pub mode: String,
    pub target: u32,
    pub published: u32,
    pub protocol: String,
}

/// What a short form stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub ports: Vec<Port>,
    /// An address that Swarm ignores.
    pub address: Option<String>,
}

/// Reads one port in the short form.
///
/// # Errors
/// Says which part is wrong.
pub(crate) fn parse(text: &str) -> Result<Parsed, String> {
    let (address, host, container) = split(text);
    let (container, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol }.to_lowercase();
    if container.is_empty() {
        return Err("no container port".to_owned());
    }
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("unknown protocol `{protocol}`"));
    }
    let address = parse_address(address)?;
    let (start, end) =
        range(container).ok_or_else(|| format!("`{container}` is not a port or a range"))?;
    let host = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("`{host}` is not a port or a range"))?),
    };
    if let Some((first, last)) = host
        && start != end
        && last - first != end - start
    {
        return Err("the two ranges differ in length".to_owned());
    }
    // Expanded in the order of the text `port/protocol`, in which 1000 comes before 999.
    let mut targets: Vec<u32> = (start..=end).collect();
    targets.sort_by_key(|target| format!("{target}/{protocol}"));
    let mut ports = Vec::new();
    for target in targets {
        let published = match host {
            None => 0..=0,
            Some((first, last)) if start == end => first..=last,
            Some((first, _)) => first + target - start..=first + target - start,
        };
        ports.extend(published.map(|published| Port {
            mode: "ingress".to_owned(),
            target,
            published,
            protocol: protocol.clone(),
        }));
    }
    Ok(Parsed { ports, address })
}

fn split(text: &str) -> (&str, &str, &str) {
    let Some((rest, container)) = text.rsplit_once(':') else {
        return ("", "", text);
    };
    match rest.rsplit_once(':') {
        None => ("", rest, container),
        Some((address, host)) => (address, host, container),
    }
}

/// The address, if it names one interface and is therefore ignored.
fn parse_address(text: &str) -> Result<Option<String>, String> {
    let bare = text
        .strip_prefix('[')
        .map_or(Some(text), |rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if bare.is_empty() {
        return Ok(None);
    }
    let address: IpAddr = bare
        .parse()
        .map_err(|_| format!("`{text}` is not an IP address"))?;
    Ok((!address.is_unspecified()).then(|| text.to_owned()))
}

fn range(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| text.parse::<u16>().ok().map(u32::from);
    match text.split_once('-') {
        None => number(text).map(|port| (port, port)),
        Some((start, end)) => {
            let (start, end) = (number(start)?, number(end)?);
            (start <= end).then_some((start, end))
        }
    }
}

/// Sorts by published port exactly as the reference does. Ports that compare equal (all unpublished ones) may change
/// places when there are more than twelve, and their order matters: another order restarts the tasks.
pub(crate) fn sort(ports: &mut [Port]) {
    go_sort::sort_by(ports, |a, b| a.published < b.published);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(text: &str) -> String {
        match parse(text) {
            Err(reason) => reason,
            Ok(parsed) => parsed
                .ports
                .iter()
                .map(|port| format!("{}:{}/{}", port.published, port.target, port.protocol))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn short_ports_should_expand_as_in_the_reference() {
        for (text, expected) in [
            ("80", "0:80/tcp"),
            ("8080:80/udp", "8080:80/udp"),
            ("53:53/TCP", "53:53/tcp"),
            ("9100-9102:99", "9100:99/tcp 9101:99/tcp 9102:99/tcp"),
            ("999-1000:999-1000", "1000:1000/tcp 999:999/tcp"),
            ("1.2.3.4::55", "0:55/tcp"),
            ("[::1]:70:71", "70:71/tcp"),
            ("1-2:1-3", "the two ranges differ in length"),
            ("80:80/foo", "unknown protocol `foo`"),
            ("80:", "no container port"),
            ("70000:80", "`70000` is not a port or a range"),
            (
                "mode=host,target=80",
                "`mode=host,target=80` is not a port or a range",
            ),
            ("x:1:2", "`x` is not an IP address"),
        ] {
            assert_eq!(short(text), expected, "{text}");
        }
        assert_eq!(
            parse("127.0.0.1:1:2").unwrap().address.as_deref(),
            Some("127.0.0.1")
        );
        assert_eq!(parse("0.0.0.0:1:2").unwrap().address, None);
    }
}
