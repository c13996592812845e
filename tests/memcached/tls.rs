//! TLS to a server whose certificate the test creates.

use std::path::PathBuf;

use session_layer::{
    MemcachedStore, SessionStore,
    store::{MemcachedTls, StoreErrorKind},
};

use crate::{server::Memcached, support::*};

pub struct Certificate {
    folder: PathBuf,
    pem: String,
}

impl Certificate {
    /// Creates a self-signed certificate for 127.0.0.1.
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let folder = std::env::temp_dir().join(format!("session-layer-tls-{}-{}", std::process::id(), random()));
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
        std::fs::write(folder.join("chain.pem"), made.cert.pem()).expect("written");
        Self { folder, pem: made.cert.pem() }
    }

    pub fn server(&self) -> Memcached {
        let (chain, key) = (self.folder.join("chain.pem"), self.folder.join("key.pem"));
        let options = format!("ssl_chain_cert={},ssl_key={}", chain.display(), key.display());
        Memcached::start(&["-Z", "-o", &options])
    }

    pub fn client(&self) -> MemcachedTls {
        MemcachedTls::with_roots_pem(self.pem.as_bytes()).expect("a root")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn only_a_trusted_server_is_used() {
    let (ours, other) = (Certificate::new(), Certificate::new());
    let server = ours.server();
    let trusting = builder([&server]).tls(ours.client()).build().unwrap();
    let (id, record) = (id(), record(b"1"));
    created(&trusting, &id, &record).await;
    assert_eq!(*loaded(&trusting, &id).await.record, *record);

    for store in [builder([&server]).tls(other.client()).build().unwrap(), store([&server])] {
        let error = store.load(&id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    }
    // The certificate is for the address, not for this name of it.
    let elsewhere = MemcachedStore::builder().servers([server.address().replace("127.0.0.1", "localhost")]);
    let error = elsewhere.tls(ours.client()).build().unwrap().load(&id).await.unwrap_err();
    assert!(format!("{error:?}").contains("certificate"), "{error:?}");
}

#[test]
fn invalid_root_certificates_are_refused() {
    for pem in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = MemcachedTls::with_roots_pem(pem.as_bytes()).unwrap_err();
        assert_eq!(error.setting(), "tls", "{error}");
    }
}
