//! The `metrics` facade as an observer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use metrics::Unit;
use metrics_util::{
    CompositeKey, MetricKind,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};
use session_layer::{MemoryStore, MetricsObserver, Session, SessionId, SessionLayer};

use crate::{kinds::SCENARIOS, support::*, visit::visit};

/// Formats a metric: `name{label=value, …}`, with sorted labels.
fn text(key: &CompositeKey) -> String {
    let labels: BTreeMap<_, _> = key.key().labels().map(|label| (label.key(), label.value())).collect();
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}{{{}}}", key.key().name(), labels.join(", "))
}

/// Returns the counters' increments, or the number of measured values, since the last call.
fn taken(snapshotter: &Snapshotter) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let value = match value {
            DebugValue::Counter(0) => continue,
            DebugValue::Counter(count) => count.to_string(),
            DebugValue::Gauge(value) => format!("= {value}"),
            DebugValue::Histogram(values) if values.is_empty() => continue,
            DebugValue::Histogram(values) => {
                assert!(values.iter().all(|value| value.into_inner() >= 0.0), "{values:?}");
                format!("× {}", values.len())
            }
        };
        lines.push(format!("{} {value}", text(&key)));
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn a_visit_is_counted_and_measured() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let layer = SessionLayer::builder(MemoryStore::new()).observe(MetricsObserver::new()).build().unwrap();
    let mut browser = Browser::new(layer.clone());
    browser.visit(async |session: Session| session.insert("n", 1)).await;
    for _ in 0..3 {
        browser.visit(async |_: Session| ()).await;
    }
    browser.visit(async |session: Session| session.login("ada")).await;
    assert_eq!(layer.sessions().count().await.unwrap(), 1);
    assert_eq!(
        taken(&snapshotter),
        [
            "db.client.operation.duration{db.operation.name=count, db.system.name=memory, session_layer.outcome=done} × 1",
            "db.client.operation.duration{db.operation.name=create, db.system.name=memory, session_layer.outcome=done} × 1",
            "db.client.operation.duration{db.operation.name=ensure_epoch, db.system.name=memory, session_layer.outcome=done} × 1",
            "db.client.operation.duration{db.operation.name=load, db.system.name=memory, session_layer.outcome=done} × 4",
            "db.client.operation.duration{db.operation.name=rename, db.system.name=memory, session_layer.outcome=done} × 1",
            "session_layer.record.size{db.system.name=memory} × 2",
            "session_layer.session.absent{db.system.name=memory, session_layer.outcome=no_cookie} 1",
            "session_layer.session.count{db.system.name=memory} = 1",
            "session_layer.session.created{db.system.name=memory} 1",
            "session_layer.session.loaded{db.system.name=memory} 4",
            "session_layer.session.renewed{db.system.name=memory} 1",
        ]
    );
}

/// Time is paused, so a store call that takes 20 ms is measured as 20 ms.
#[tokio::test(start_paused = true)]
async fn durations_are_in_seconds_by_the_runtimes_clock() {
    use session_layer::conformance::fault::{Fault, FaultStore};
    use std::time::Duration;

    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let store = FaultStore::new(MemoryStore::new());
    let layer = SessionLayer::builder(store.clone()).observe(MetricsObserver::new()).build().unwrap();
    store.inject(Fault::slow(Duration::from_millis(20)));
    send(&layer, &[], async |session: Session| session.insert("n", 1)).await;
    let snapshot = snapshotter.snapshot().into_vec();
    let (_, unit, _, DebugValue::Histogram(values)) =
        snapshot.iter().find(|(key, ..)| key.key().name() == "db.client.operation.duration").unwrap()
    else {
        panic!("it is a histogram")
    };
    assert_eq!(*unit, Some(Unit::Seconds));
    assert_eq!(values.iter().map(|value| value.into_inner()).collect::<Vec<_>>(), [0.02]);
}

/// Returns the table in the documentation: name, kind, unit.
fn documented() -> BTreeMap<String, (MetricKind, Unit)> {
    let source = include_str!("../../src/events/metrics.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("/// | `"));
    rows.map(|row| {
        let columns: Vec<_> = row.split('|').map(str::trim).collect();
        let kind = match columns[1] {
            "counter" => MetricKind::Counter,
            "gauge" => MetricKind::Gauge,
            _ => MetricKind::Histogram,
        };
        let unit = match columns[2] {
            "s" => Unit::Seconds,
            "bytes" => Unit::Bytes,
            _ => Unit::Count,
        };
        (columns[0].trim_end_matches('`').to_owned(), (kind, unit))
    })
    .collect()
}

/// Provokes every kind of event at once.
#[tokio::test]
async fn every_metric_is_documented_described_and_written_and_has_labels_of_few_values() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let observer = Arc::new(MetricsObserver::new());
    for (_, scenario, _) in SCENARIOS {
        scenario(Seen::beside(observer.clone())).await;
    }
    visit(&Seen::beside(observer), &mut |_| ()).await;

    let documented = documented();
    assert_eq!(documented.len(), 25);
    let mut written = BTreeMap::new();
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (key, unit, description, _) in snapshotter.snapshot().into_vec() {
        let name = key.key().name().to_owned();
        assert!(description.is_some_and(|text| text.ends_with('.')), "{name} is described");
        for label in key.key().labels() {
            assert!(label.value().parse::<SessionId>().is_err() && label.value() != "ada", "{label:?}");
            values.entry(label.key().to_owned()).or_default().insert(label.value().to_owned());
        }
        written.insert(name, (key.kind(), unit.unwrap()));
    }
    assert_eq!(written, documented);
    let labels: Vec<_> = values.keys().map(String::as_str).collect();
    assert_eq!(labels, ["db.operation.name", "db.system.name", "error.type", "session_layer.outcome"]);
    assert!(values.values().all(|values| values.len() < 25), "{values:?}");
    assert!(values["error.type"].is_superset(&["Corrupt", "Timeout", "Unavailable"].map(str::to_owned).into()));
}

/// Without a recorder, nothing is observed.
#[tokio::test]
async fn without_a_recorder_nothing_happens() {
    let seen = Seen::beside(Arc::new(MetricsObserver::new()));
    let layer = watched(&seen, &clock(), |builder| builder);
    send(&layer, &[], async |session: Session| session.insert("n", 1)).await;
    assert_eq!(seen.all(), ["no_session (no cookie)", "call create done #1 +", "created #1 +"]);
}
