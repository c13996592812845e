//! Metrics in Prometheus' text format.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use session_layer::MetricsObserver;

/// The buckets of the store's latencies, in seconds: those that OpenTelemetry defines for database clients, preceded by
/// finer ones, since the memory store answers within microseconds.
const SECONDS: [f64; 14] = [1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
/// The buckets of the records' sizes, in bytes, up to the largest record that the layer stores.
const BYTES: [f64; 7] = [128.0, 512.0, 2_048.0, 8_192.0, 32_768.0, 65_536.0, 131_072.0];

/// How often measurements are sorted into the buckets if nobody scrapes them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the recorder for this process. Returns the handle that renders it, and the observer that fills it.
pub(crate) fn install() -> (PrometheusHandle, MetricsObserver) {
    let bounds = [("db.client.operation.duration", &SECONDS[..]), ("session_layer.record.size", &BYTES[..])];
    let builder = bounds.into_iter().fold(PrometheusBuilder::new(), |builder, (name, bounds)| {
        let matcher = Matcher::Full(name.to_owned());
        builder.set_buckets_for_metric(matcher, bounds).expect("there are bounds")
    });
    let handle = builder.with_recommended_naming(true).install_recorder().expect("no other recorder is installed");
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    (handle, MetricsObserver::new())
}
