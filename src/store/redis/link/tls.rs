//! The cryptography of TLS connections.

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

/// Makes sure that rustls has cryptography.
///
/// The client makes its TLS configuration from the process's default provider, which is determined by itself only if
/// exactly one provider is compiled in: with two, and none chosen by the application, rustls panics. So ring is chosen
/// unless the application has chosen already.
pub(super) fn provide_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have chosen in between, which is as good.
        let _ = ring::default_provider().install_default();
    }
}
