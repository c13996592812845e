//! Every `tracing` event of sessions is listed in the table on the crate's page, with its target, level and fields, and
//! each row of the table occurs.

use axum::{Router, body::Body, routing::get};
use session_layer::{
    MemoryStore, Session, SessionLayer,
    conformance::{
        Operation,
        fault::{Fault, FaultStore},
    },
};
use tower::ServiceExt;

use crate::{kinds::SCENARIOS, support::*, visit::visit};

/// A layer over a store that fails this operation, once a session of "ada" is stored.
async fn over_a_failing_store(operation: Operation) -> (SessionLayer, Session) {
    let store = FaultStore::new(MemoryStore::new());
    let layer = SessionLayer::new(store.clone());
    let session = layer.new_session();
    session.login("ada").unwrap();
    session.save().await.unwrap();
    store.inject(Fault::unavailable().on(operation));
    (layer, session)
}

/// Failures that a revocation, or the drop of a lease, only logs.
async fn failures_that_are_only_logged() {
    for operation in [Operation::ListOwner, Operation::OwnerEpoch, Operation::End] {
        let (layer, _) = over_a_failing_store(operation).await;
        layer.sessions().revoke_all("ada").await.unwrap();
    }
    let (layer, session) = over_a_failing_store(Operation::Release).await;
    drop(layer.sessions().lease(&session.id().unwrap(), MINUTE).await.unwrap().unwrap());
    layer.drain().await;
}

#[derive(Debug)]
struct Row {
    target: String,
    level: String,
    message: String,
    fields: Vec<String>,
}

/// Returns the parts in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn table() -> Vec<Row> {
    let source = include_str!("../../src/lib.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `session_layer::"));
    rows.map(|row| {
        let columns: Vec<_> = row.split('|').map(str::trim).collect();
        Row {
            target: format!("session_layer::{}", columns[0].trim_end_matches('`')),
            level: columns[1].to_uppercase(),
            message: quoted(columns[2]).remove(0),
            fields: quoted(columns[3]),
        }
    })
    .collect()
}

impl Row {
    fn is(&self, line: &str) -> bool {
        let start = format!("{} {} ", self.level, self.target);
        line.starts_with(&start)
            && line.contains(&self.message)
            && self.fields.iter().all(|field| line.contains(&format!(" {field}=")))
    }
}

#[tokio::test]
async fn every_event_is_in_the_table_and_every_row_happens() {
    let (traced, _kept) = Traced::keep();
    for (_, scenario, _) in SCENARIOS {
        scenario(Seen::beside(std::sync::Arc::new(Panicking::default()))).await;
    }
    visit(&Seen::default(), &mut |_| ()).await;
    failures_that_are_only_logged().await;
    let without: Router = Router::new().route("/", get(async |_: Session| ()));
    without.oneshot(http::Request::new(Body::empty())).await.unwrap();

    let table = table();
    assert!(table.len() > 20, "{table:?}");
    // The stores' own events are in their own documentation.
    let mut lines = traced.all("session_layer::");
    lines.retain(|line| !line.split(' ').nth(1).unwrap().starts_with("session_layer::store"));
    assert!(lines.len() > 100, "{} lines", lines.len());
    for line in &lines {
        assert!(table.iter().any(|row| row.is(line)), "not in the table: {line}");
    }
    for row in &table {
        assert!(lines.iter().any(|line| row.is(line)), "never happened: {row:?}");
    }
}
