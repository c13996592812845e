//! TLS to servers whose certificates the test creates.

use session_layer::{
    RedisStore, SessionStore,
    store::{RedisTls, StoreErrorKind},
};

use crate::{
    certificate::Certificate,
    server::{Cluster, Server},
    support::*,
};

fn trusting(certificate: &Certificate) -> RedisTls {
    RedisTls::with_roots_pem(certificate.pem().as_bytes()).unwrap()
}

#[tokio::test]
async fn only_a_trusted_server_is_used() {
    let (ours, other) = (Certificate::new(), Certificate::new());
    let server = Server::start_tls(&ours, &[]);
    let (store, id, record) = (builder(&server).tls(trusting(&ours)).build().unwrap(), id(), record(b"1"));
    created(&store, &id, &record).await;
    assert_eq!(*loaded(&store, &id).await.record, *record);

    let refusals = [
        builder(&server).tls(trusting(&other)),
        builder(&server).tls(RedisTls::with_system_roots()),
        // Without TLS.
        builder(&server),
        // The certificate is for the address, not for this host name.
        builder(&server).server(server.address().replace("127.0.0.1", "localhost")).tls(trusting(&ours)),
    ];
    for builder in refusals {
        let error = builder.build().unwrap().load(&id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    }
}

#[tokio::test]
async fn a_url_names_the_root_certificates() {
    let certificate = Certificate::new();
    let server = Server::start_tls(&certificate, &[]);
    let url = format!("rediss://{}?ca={}", server.address(), certificate.chain().display());
    assert!(RedisStore::from_url(&url).unwrap().load(&id()).await.unwrap().is_none());
    assert!(session_layer::connect(&url).await.unwrap().load(&id()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_can_ask_for_the_clients_certificate() {
    let certificate = Certificate::new();
    let server = Server::start_tls(&certificate, &["--tls-auth-clients", "yes"]);
    let (chain, key) = (std::fs::read(certificate.chain()).unwrap(), std::fs::read(certificate.key()).unwrap());
    let known = trusting(&certificate).client_certificate(&chain, &key).unwrap();
    let id = id();
    assert!(builder(&server).tls(known).build().unwrap().load(&id).await.unwrap().is_none());
    let error = builder(&server).tls(trusting(&certificate)).build().unwrap().load(&id).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");

    for (chain, key) in [(&b""[..], &key[..]), (&chain, b"garbage"), (b"garbage", &key)] {
        let error = trusting(&certificate).client_certificate(chain, key).unwrap_err();
        assert_eq!(error.setting(), "tls", "{error}");
    }
}

#[tokio::test]
async fn all_nodes_of_a_cluster_are_reached_by_tls() {
    let certificate = Certificate::new();
    let cluster = Cluster::start_tls(&certificate);
    let store =
        RedisStore::builder().cluster([cluster.nodes[1].address()]).tls(trusting(&certificate)).build().unwrap();
    for _ in 0..30 {
        created(&store, &id(), &record(b"1")).await;
    }
    assert_eq!(store.listing().unwrap().count().await.unwrap(), 30);
    for node in &cluster.nodes {
        assert!(node.cli(&["DBSIZE"]).number() > 0, "each has some");
    }
}

#[test]
fn invalid_root_certificates_are_refused() {
    for pem in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = RedisTls::with_roots_pem(pem.as_bytes()).unwrap_err();
        assert_eq!(error.setting(), "tls", "{error}");
    }
}
