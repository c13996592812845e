//! Two application processes on one server, and on a cluster. The second process is this test's program, started again.

use crate::{
    server::{Cluster, Product, Server},
    worker::increments_add_up_and_logouts_are_final,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_two_processes_add_up_and_logouts_are_final_on_one_server() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let url = format!("redis://{}?timeout_ms=30000", server.address());
        increments_add_up_and_logouts_are_final(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_two_processes_add_up_and_logouts_are_final_on_three_nodes() {
    let cluster = Cluster::start_with(Product::Valkey, 3, 0, &[]);
    let url = format!("redis-cluster://{}?timeout_ms=30000", cluster.addresses().join(","));
    increments_add_up_and_logouts_are_final(&url).await;
    for node in &cluster.nodes {
        let calls = node.cli(&["INFO", "commandstats"]).text();
        assert!(calls.contains("cmdstat_evalsha:"), "each node had a part of the sessions");
    }
}
