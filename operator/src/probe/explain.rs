//! What went wrong with a connection, in words that say what to do.

use std::error::Error;
use std::io;

use rustls::{CertificateError, Error as Tls};

/// Why a request got no answer; `peer` is where the connection went.
pub(super) fn request(error: reqwest::Error, peer: &str) -> String {
    // The URL may hold a password.
    let error = error.without_url();
    if let Some(tls) = find::<Tls>(&error) {
        return tls_error(tls, peer);
    }
    match find::<io::Error>(&error) {
        Some(io) if error.is_connect() => connection(io, peer),
        _ => format!(
            "{peer} did not answer as a web server does: {}",
            chain(&error)
        ),
    }
}

/// Why a connection could not be made.
pub(super) fn connection(error: &io::Error, peer: &str) -> String {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => format!("{peer} refused the connection: nothing listens there"),
        Kind::HostUnreachable | Kind::NetworkUnreachable => {
            format!("{peer} cannot be reached from this host: {error}")
        }
        Kind::UnexpectedEof | Kind::ConnectionReset => {
            format!("{peer} closed the connection at once: {error}")
        }
        _ => format!("no connection to {peer}: {error}"),
    }
}

fn tls_error(error: &Tls, peer: &str) -> String {
    use CertificateError as Bad;
    match error {
        Tls::InvalidCertificate(bad) => {
            let why = match bad {
                // A bad signature is an authority of the same name with another key.
                Bad::UnknownIssuer | Bad::BadSignature => {
                    "its certificate is signed by nobody trusted here; name its authority in `tls.caFile`, or say `tls.insecureSkipVerify: true`"
                }
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                    "its certificate is for other names; is another app, or the proxy's default certificate, answering here?"
                }
                Bad::Expired | Bad::ExpiredContext { .. } => {
                    "its certificate has expired; renew it, and check this host's clock"
                }
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                    "its certificate is not valid yet; check this host's clock"
                }
                _ => "its certificate is not accepted",
            };
            format!("{peer}: {why} ({error})")
        }
        Tls::InvalidMessage(_) => {
            format!("{peer} does not speak TLS; is `http://` meant, or another port? ({error})")
        }
        Tls::AlertReceived(_) => {
            format!("{peer} refused the TLS connection; does it know this host name? ({error})")
        }
        _ => format!("no TLS connection to {peer}: {error}"),
    }
}

/// An error and its causes on one line, without the wrappers that only say that something failed.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let text = cause.to_string();
        let wrapper = text.starts_with("error sending request") || text.starts_with("client error");
        if parts.last().is_some_and(|last| last.ends_with(&text)) {
            continue;
        }
        if !wrapper {
            parts.push(text);
        }
    }
    if parts.is_empty() {
        error.to_string()
    } else {
        parts.join(": ")
    }
}

/// The innermost error of a type, also inside of I/O errors, which do not name what they wrap as their source.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).filter_map(<dyn Error>::downcast_ref).last()
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| -> &(dyn Error + 'static) { inner });
        wrapped.or_else(|| error.source())
    })
}

/// A text of others, for quoting: one line, without control characters, at most so many characters.
pub(super) fn printable(text: &str, max: usize) -> String {
    let mut out: String = text
        .chars()
        .take(max)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(max).is_some() {
        out.push('…');
    }
    out
}
