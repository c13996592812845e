//! TLS to a server whose certificate the test creates.

use session_layer::{
    MemcachedStore, SessionStore,
    store::{MemcachedTls, StoreErrorKind},
};

use crate::{certificate::Certificate, server::Memcached, support::*};

/// A server with this certificate.
pub fn server(certificate: &Certificate) -> Memcached {
    let (chain, key) = (certificate.chain(), certificate.key());
    let options = format!("ssl_chain_cert={},ssl_key={}", chain.display(), key.display());
    Memcached::start(&["-Z", "-o", &options])
}

/// What trusts this certificate.
pub fn client(certificate: &Certificate) -> MemcachedTls {
    MemcachedTls::with_roots_pem(certificate.pem().as_bytes()).expect("a root")
}

#[tokio::test]
async fn only_a_trusted_server_is_used() {
    let (ours, other) = (Certificate::new(), Certificate::new());
    let server = server(&ours);
    let trusting = builder([&server]).tls(client(&ours)).build().unwrap();
    let (id, record) = (id(), record(b"1"));
    created(&trusting, &id, &record).await;
    assert_eq!(*loaded(&trusting, &id).await.record, *record);

    for store in [builder([&server]).tls(client(&other)).build().unwrap(), store([&server])] {
        let error = store.load(&id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    }
    // The certificate is for the address, not for this name of it.
    let elsewhere = MemcachedStore::builder().servers([server.address().replace("127.0.0.1", "localhost")]);
    let error = elsewhere.tls(client(&ours)).build().unwrap().load(&id).await.unwrap_err();
    assert!(format!("{error:?}").contains("certificate"), "{error:?}");
}

#[test]
fn invalid_root_certificates_are_refused() {
    for pem in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = MemcachedTls::with_roots_pem(pem.as_bytes()).unwrap_err();
        assert_eq!(error.setting(), "tls", "{error}");
    }
}
