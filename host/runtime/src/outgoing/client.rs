//! The connections: pooled, to checked addresses alone, without proxies and without cookies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::OnceCell;

use super::failure::Failure;
use super::resolver::Resolver;

/// How long a connection that nobody uses is kept. Servers close theirs after a minute or more, as a rule.
const IDLE: Duration = Duration::from_secs(30);

/// Connections to one server that are kept while nobody uses them.
const IDLE_PER_HOST: usize = 64;

/// The largest head of a response, in bytes, and its headers: what common servers and proxies let pass.
const HEAD_BYTES: usize = 64 << 10;
const HEADERS: usize = 200;

/// Sends single requests. It follows nothing, retries nothing that may have been received, and adds no header but `Host`.
pub(super) struct Connections {
    connector: HttpConnector<Resolver>,
    plain: Client<HttpConnector<Resolver>, Full<Bytes>>,
    /// Made at the first use: the certificates of the system take some milliseconds to read.
    secure: OnceCell<Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>>,
    /// Certificates that are trusted beside the system's.
    ca_file: Option<PathBuf>,
}

impl Connections {
    pub(super) fn new(resolver: Resolver, connect: Duration, ca_file: Option<PathBuf>) -> Self {
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.set_connect_timeout(Some(connect));
        // Small requests do not wait for the acknowledgement of what went before.
        connector.set_nodelay(true);
        // The connector of https takes it as well.
        connector.enforce_http(false);
        Self { plain: client(connector.clone()), connector, secure: OnceCell::new(), ca_file }
    }

    /// Sends a request, whose address is absolute.
    pub(super) async fn send(
        &self,
        request: http::Request<Full<Bytes>>,
        host: &str,
    ) -> Result<http::Response<Incoming>, Failure> {
        let sent = if request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) {
            self.secure().await?.request(request)
        } else {
            self.plain.request(request)
        };
        sent.await.map_err(|error| Failure::of(&error, host))
    }

    async fn secure(&self) -> Result<&Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>, Failure> {
        let failed = |reason: String| {
            tracing::error!(reason, "no secure connections can be made");
            Failure::new(Failure::TLS_FAILED, "the host cannot make secure connections; its log says why")
        };
        let made = self.secure.get_or_try_init(|| async {
            let ca_file = self.ca_file.clone();
            let config = tokio::task::spawn_blocking(move || tls(ca_file.as_deref())).await;
            let config = config.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
            let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
            Ok(client(builder.wrap_connector(self.connector.clone())))
        });
        made.await
    }
}

fn client<C>(connector: C) -> Client<C, Full<Bytes>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .http1_max_buf_size(HEAD_BYTES)
        .http1_max_headers(HEADERS)
        .build(connector)
}

/// Trusts the certificates of the system, and those of a file. Reads files.
fn tls(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "certificates of the system could not be read");
    }
    // Systems have certificates that nothing can be checked with; the others count.
    roots.add_parsable_certificates(found.certs);
    if let Some(file) = ca_file {
        let unreadable = |error| format!("`http_ca_file` {}: {error}", file.display());
        for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
            let certificate = certificate.map_err(unreadable)?;
            roots.add(certificate).map_err(|error| format!("`http_ca_file` {}: {error}", file.display()))?;
        }
    }
    if roots.is_empty() {
        return Err("the system has no certificates; install them (`ca-certificates`), or set `http_ca_file`".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
