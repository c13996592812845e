//! A connection to a server: TCP, TLS over it, or a Unix socket.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use crate::store::address::Address;

/// A stream that is read and written as a whole, as the handshake does.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connected stream.
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
    #[cfg(feature = "memcached-tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn as_wire(&mut self) -> &mut dyn Wire {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
            #[cfg(feature = "memcached-tls")]
            Self::Tls(stream) => stream,
        }
    }
}

/// The settings of a connection, apart from its address.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Transport {
    #[cfg(feature = "memcached-tls")]
    pub(in super::super) tls: Option<MemcachedTls>,
}

impl Transport {
    /// Connects, trying all addresses of a host name.
    pub(super) async fn connect(&self, address: &Address, deadline: Instant) -> io::Result<Stream> {
        match address {
            #[cfg(unix)]
            Address::Unix(path) => Ok(Stream::Unix(tokio::net::UnixStream::connect(path).await?)),
            Address::Tcp { host, port } => {
                let stream = connect_any(host, *port, deadline).await?;
                // A batch is written at once. Waiting for more data would only delay it.
                stream.set_nodelay(true)?;
                self.secure(host, stream).await
            }
        }
    }

    #[cfg(not(feature = "memcached-tls"))]
    #[allow(clippy::unused_async, reason = "the form with TLS waits for the handshake")]
    async fn secure(&self, _host: &str, stream: TcpStream) -> io::Result<Stream> {
        Ok(Stream::Tcp(stream))
    }

    #[cfg(feature = "memcached-tls")]
    async fn secure(&self, host: &str, stream: TcpStream) -> io::Result<Stream> {
        match &self.tls {
            None => Ok(Stream::Tcp(stream)),
            Some(tls) => Ok(Stream::Tls(Box::new(tls.connect(host, stream).await?))),
        }
    }
}

async fn connect_any(host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for (index, address) in addresses.iter().enumerate() {
        // Each address has its share of the time, so one that drops all packets doesn't use up all of it.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            // If nobody listens on a local port in the ephemeral range, TCP can connect a socket to itself. Such a
            // connection, if kept open, would prevent the server from starting on its port.
            Ok(Ok(stream)) if is_itself(&stream) => {
                last = io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens on the address");
            }
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "no answer from the address"),
        }
    }
    Err(last)
}

fn is_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(own), Ok(peer)) if own == peer)
}

#[cfg(feature = "memcached-tls")]
pub use self::tls::MemcachedTls;

#[cfg(feature = "memcached-tls")]
mod tls {
    use std::{fmt, io, sync::Arc};

    use tokio::net::TcpStream;
    use tokio_rustls::{
        TlsConnector,
        client::TlsStream,
        rustls::{
            ClientConfig, RootCertStore,
            crypto::ring,
            pki_types::{CertificateDer, ServerName, pem::PemObject},
        },
    };

    use super::super::super::error::MemcachedConfigError;

    /// TLS for connections to memcached (its option `-Z`), implemented by rustls.
    ///
    /// The server's certificate must be for the host name or address in the store's settings.
    #[derive(Clone)]
    pub struct MemcachedTls {
        config: Arc<ClientConfig>,
    }

    impl MemcachedTls {
        /// Uses TLS 1.2 or 1.3, and trusts only these root certificates, in PEM. The system's roots are not trusted.
        ///
        /// # Errors
        ///
        /// If `pem` contains no certificate, or one that can't be read.
        pub fn with_roots_pem(pem: &[u8]) -> Result<Self, MemcachedConfigError> {
            let refused = |why: String| MemcachedConfigError::new("tls", why, "at least one root certificate in PEM");
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| refused(format!("PEM that can't be read: {error}")))?;
                roots
                    .add(certificate)
                    .map_err(|error| refused(format!("a certificate that can't be read: {error}")))?;
            }
            if roots.is_empty() {
                return Err(refused("PEM without a certificate".to_owned()));
            }
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| refused(error.to_string()))?
                .with_root_certificates(roots)
                .with_no_client_auth();
            Ok(Self { config: Arc::new(config) })
        }

        /// Uses a custom rustls configuration, for example for client certificates or the system's roots.
        #[must_use]
        pub fn from_config(config: Arc<ClientConfig>) -> Self {
            Self { config }
        }

        pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
            let name = ServerName::try_from(host.to_owned())
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "TLS can't verify this host name"))?;
            TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await
        }
    }

    impl fmt::Debug for MemcachedTls {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("MemcachedTls").finish_non_exhaustive()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_is_connected_with_itself_is_recognised() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        assert!(!is_itself(&client.unwrap()) && !is_itself(&server.unwrap().0));
        // A socket that is bound to the port to which it connects.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let own = socket.local_addr().unwrap();
        assert!(is_itself(&socket.connect(own).await.unwrap()));
    }
}
