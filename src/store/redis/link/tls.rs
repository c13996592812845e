//! TLS to the servers, by rustls.

use std::fmt;

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, RedisError, TlsCertificates};
use tokio_rustls::rustls::{
    RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::super::error::RedisConfigError;

/// How TLS connections to Redis are made, by rustls.
///
/// The server's certificate must be for the host that the store was given, name or address; in a cluster and with
/// Sentinel, for what the nodes and the Sentinels announce.
///
/// rustls takes its cryptography from the process's default `CryptoProvider`. If the application has installed none when
/// the store first connects, the store installs ring's.
#[derive(Clone)]
pub struct RedisTls {
    certificates: TlsCertificates,
}

impl RedisTls {
    /// TLS 1.2 or 1.3 that trusts these roots, in PEM, and nothing else: no root that the system trusts can then vouch
    /// for a server.
    ///
    /// # Errors
    ///
    /// If there is no certificate in it, or one that can't be read.
    pub fn with_roots_pem(pem: &[u8]) -> Result<Self, RedisConfigError> {
        let refused = |why: String| RedisConfigError::new("tls", why, "at least one root certificate in PEM");
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| refused(format!("PEM that can't be read: {error}")))?;
            roots.add(certificate).map_err(|error| refused(format!("a certificate that can't be read: {error}")))?;
        }
        if roots.is_empty() {
            return Err(refused("PEM without a certificate".to_owned()));
        }
        Ok(Self { certificates: TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) } })
    }

    /// TLS 1.2 or 1.3 that trusts what the system trusts.
    #[must_use]
    pub fn with_system_roots() -> Self {
        Self { certificates: TlsCertificates { client_tls: None, root_cert: None } }
    }

    /// Shows this certificate to the server, which Redis asks for unless its `tls-auth-clients` says otherwise. Both are in
    /// PEM: the certificate with those that have signed it, and its private key.
    ///
    /// # Errors
    ///
    /// If there is no certificate or no key in them, or one that can't be read.
    pub fn client_certificate(mut self, chain: &[u8], key: &[u8]) -> Result<Self, RedisConfigError> {
        let refused =
            |why: &str| RedisConfigError::new("tls", why, "a client's certificate and its private key in PEM");
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(chain) {
            certificate.map_err(|_| refused("a certificate that can't be read"))?;
            count += 1;
        }
        if count == 0 {
            return Err(refused("PEM without a certificate"));
        }
        // What is wrong with a key is not repeated.
        PrivateKeyDer::from_pem_slice(key).map_err(|_| refused("PEM without a private key that can be read"))?;
        self.certificates.client_tls = Some(ClientTlsConfig { client_cert: chain.to_vec(), client_key: key.to_vec() });
        Ok(self)
    }

    /// For clients that are made elsewhere.
    pub(in super::super) fn certificates(&self) -> TlsCertificates {
        self.certificates.clone()
    }

    /// The same connection by TLS. Unix sockets stay as they are.
    pub(in super::super) fn secured(&self, info: ConnectionInfo) -> Result<ConnectionInfo, RedisError> {
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            }
            _ => return Ok(info),
        };
        let client = Client::build_with_tls(info.set_addr(address), self.certificates.clone())?;
        Ok(client.get_connection_info().clone())
    }
}

/// Makes sure that rustls has cryptography.
///
/// The client makes its TLS configuration from the process's default provider, which rustls determines by itself only if
/// exactly one provider is compiled in: with two, and none chosen by the application, it panics. So ring is chosen unless
/// the application has chosen already.
pub(super) fn provide_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have chosen in between, which is as good.
        let _ = ring::default_provider().install_default();
    }
}

impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls").finish_non_exhaustive()
    }
}
