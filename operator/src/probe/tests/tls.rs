//! Probes over TLS.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

/// A certificate authority and where its certificate lies.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            directory,
        }
    }

    fn file(&self) -> String {
        let path: &Path = self.directory.path();
        path.join("ca.pem").to_str().unwrap().to_owned()
    }

    /// A server's configuration for a name, with a certificate valid until the end of that year.
    fn sign(&self, name: &str, until: i32) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

const NAME: &str = "kc.invalid";

fn https(server: &Server, tls: &str) -> String {
    format!(
        "http: {{ url: 'https://{NAME}/', resolve: '{}', tls: {tls} }}",
        server.address
    )
}

#[tokio::test]
async fn a_certificate_of_the_own_authority_is_accepted_and_the_name_is_asked_for() {
    let authority = Authority::new("ours");
    let server = Server::secure(OK, authority.sign(NAME, 2999)).await;
    let report = probe(&https(
        &server,
        &format!("{{ caFile: {} }}", authority.file()),
    ))
    .await;
    assert_passed(&report, 200);
    assert_eq!(report.what, format!("GET https://{NAME}/"));
    assert_eq!(server.names(), [Some(NAME.to_owned())]);
    let head = server.heads().remove(0).to_ascii_lowercase();
    assert!(head.contains(&format!("\r\nhost: {NAME}\r\n")), "{head}");
}

#[tokio::test]
async fn without_a_check_any_certificate_is_accepted() {
    let authority = Authority::new("ours");
    let server = Server::secure(OK, authority.sign("other.invalid", 2001)).await;
    assert_passed(
        &probe(&https(&server, "{ insecureSkipVerify: true }")).await,
        200,
    );
    assert_eq!(server.names(), [Some(NAME.to_owned())]);
}

#[tokio::test]
async fn a_certificate_that_is_not_accepted_is_explained() {
    let authority = Authority::new("ours");
    let (stranger, namesake) = (Authority::new("theirs"), Authority::new("ours"));
    for (config, says) in [
        (
            namesake.sign(NAME, 2999),
            "signed by nobody trusted here; name its authority",
        ),
        (
            stranger.sign(NAME, 2999),
            "signed by nobody trusted here; name its authority",
        ),
        (
            authority.sign("other.invalid", 2999),
            "its certificate is for other names",
        ),
        (authority.sign(NAME, 2001), "its certificate has expired"),
    ] {
        let server = Server::secure(OK, config).await;
        let report = probe(&https(
            &server,
            &format!("{{ caFile: {} }}", authority.file()),
        ))
        .await;
        assert_not(&report, Verdict::Failed, 0, says);
        assert_eq!(server.heads(), [""; 0]);
    }
}

#[tokio::test]
async fn only_the_named_authorities_are_trusted_and_a_broken_file_is_unknown() {
    let authority = Authority::new("ours");
    let server = Server::secure(OK, authority.sign(NAME, 2999)).await;
    let broken = authority.directory.path().join("broken.pem");
    fs::write(
        &broken,
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let report = probe(&https(
        &server,
        &format!("{{ caFile: {} }}", broken.display()),
    ))
    .await;
    assert_not(&report, Verdict::Unknown, 0, "broken.pem");
}

#[tokio::test]
async fn a_server_without_tls_is_explained() {
    // It speaks first, as a server does that has read the start of a TLS handshake and found it odd.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let yaml = format!(
        "http: {{ url: 'https://{NAME}/', resolve: '{address}', tls: {{ insecureSkipVerify: true }} }}"
    );
    let report = probe(&yaml).await;
    assert_not(
        &report,
        Verdict::Failed,
        0,
        "does not speak TLS; is `http://` meant",
    );
    server.await.unwrap();
}

#[tokio::test]
async fn the_hosts_own_authorities_do_not_know_ours() {
    let authority = Authority::new("ours");
    let server = Server::secure(OK, authority.sign(NAME, 2999)).await;
    let report = probe(&https(&server, "{}")).await;
    // A host without any authorities cannot check at all, which is not the app's fault.
    assert_ne!(report.verdict, Verdict::Passed, "{report:?}");
    assert_eq!(server.heads(), [""; 0]);
}
