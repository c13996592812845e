//! TLS connections to the servers, by rustls.

use std::fmt;

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, RedisError, TlsCertificates};
use tokio_rustls::rustls::{
    RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::super::error::RedisConfigError;

/// The TLS settings for connections to Redis. The implementation is rustls.
///
/// The server's certificate must be for the host that the store was given, whether a name or an address. In a cluster
/// and with Sentinels, it must be for the host that the nodes and the Sentinels announce.
///
/// rustls takes its cryptography from the process's default `CryptoProvider`. If the application has installed none
/// when the store first connects, the store installs ring's.
#[derive(Clone)]
pub struct RedisTls {
    certificates: TlsCertificates,
}

impl RedisTls {
    /// Trusts these PEM root certificates and nothing else, so that no root that the system trusts can vouch for a
    /// server. The protocol is TLS 1.2 or 1.3.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no certificate in it, or one that can't be read.
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

    /// Trusts the root certificates that the system trusts. The protocol is TLS 1.2 or 1.3.
    #[must_use]
    pub fn with_system_roots() -> Self {
        Self { certificates: TlsCertificates { client_tls: None, root_cert: None } }
    }

    /// Sends this certificate to the server. Redis requires one unless its `tls-auth-clients` says otherwise. Both
    /// arguments are in PEM: the certificate with the chain of those that signed it, and its private key.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no certificate or no key in them, or one that can't be read.
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
        // The reason is left out, so that nothing of the key is shown.
        PrivateKeyDer::from_pem_slice(key).map_err(|_| refused("PEM without a private key that can be read"))?;
        self.certificates.client_tls = Some(ClientTlsConfig { client_cert: chain.to_vec(), client_key: key.to_vec() });
        Ok(self)
    }

    /// The certificates, for clients that are created elsewhere.
    pub(in super::super) fn certificates(&self) -> TlsCertificates {
        self.certificates.clone()
    }

    /// Returns the same connection settings with TLS. Unix sockets stay as they are.
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

/// Makes sure that rustls has a `CryptoProvider`.
///
/// The client creates its TLS configuration with the process's default provider. rustls determines that by itself only
/// if exactly one provider is compiled in. With two, and none chosen by the application, it panics. So ring is chosen
/// here unless the application has chosen already.
pub(super) fn provide_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have chosen in between, which is just as good.
        let _ = ring::default_provider().install_default();
    }
}

impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls").finish_non_exhaustive()
    }
}
