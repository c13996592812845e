//! Events as metrics.

use std::{fmt, time::Duration};

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::{Event, EventKind, NoSessionReason, Observer, Outcome};
use crate::record::Record;

/// Turns events into metrics, through the [`metrics`](https://docs.rs/metrics) facade.
///
/// Give it to the layer, and to the store for the store's own events. It writes to the recorder that is installed at
/// the time of an event. Install the recorder before calling [`new`](Self::new), which registers descriptions and
/// units.
///
/// ```
/// use session_layer::{MemoryStore, MetricsObserver, SessionLayer};
///
/// let metrics = MetricsObserver::new();
/// let store = MemoryStore::builder().observe(metrics).open()?;
/// let layer = SessionLayer::builder(store).observe(metrics).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Metrics
///
/// Names and labels follow OpenTelemetry's semantic conventions for database clients and for errors where they apply.
/// An exporter for Prometheus writes `_` for each dot. All metrics have the label `db.system.name`: the kind of store,
/// such as `memory`. No label contains an id, an owner, or another value of high cardinality.
///
/// | metric | kind | unit | further labels |
/// |---|---|---|---|
/// | `db.client.operation.duration` | histogram | s | `db.operation.name`, `session_layer.outcome`; `error.type` where it failed |
/// | `session_layer.session.count` | gauge | | |
/// | `session_layer.session.loaded` | counter | | |
/// | `session_layer.session.absent` | counter | | `session_layer.outcome`: the reason |
/// | `session_layer.session.created` | counter | | |
/// | `session_layer.session.saved` | counter | | |
/// | `session_layer.session.touched` | counter | | |
/// | `session_layer.session.renewed` | counter | | |
/// | `session_layer.session.destroyed` | counter | | |
/// | `session_layer.session.expired` | counter | | |
/// | `session_layer.session.evicted` | counter | | |
/// | `session_layer.owner.revoked` | counter | | |
/// | `session_layer.conflict.merged` | counter | | |
/// | `session_layer.write.blocked` | counter | | |
/// | `session_layer.change.dropped` | counter | | |
/// | `session_layer.handler.failed` | counter | | |
/// | `session_layer.cookie.doubled` | counter | | |
/// | `session_layer.turn.refused` | counter | | `session_layer.outcome`: the reason |
/// | `session_layer.login.refused` | counter | | |
/// | `session_layer.failure` | counter | | `db.operation.name`: `load`, `commit`, `touch` or `release`; `error.type` |
/// | `session_layer.record.unopened` | counter | | `db.operation.name`; `error.type` |
/// | `session_layer.record.size` | histogram | bytes | |
/// | `session_layer.cache.hit` | counter | | `session_layer.outcome`: `validated` or `trusted` |
/// | `session_layer.cache.miss` | counter | | |
/// | `session_layer.cache.evicted` | counter | | |
///
/// - The gauge is set when the number is known: by every sweep of an observed store, and by
///   [`Sessions::count`](crate::Sessions::count). Sessions are never counted for the gauge alone.
/// - Durations are those of whole store calls as the layer makes them: with a cache in front, the cache's. To measure
///   the store behind it, use [`ObservedStore`](crate::ObservedStore) instead; both have the same labels.
/// - The record's size is measured at each create, save and renewal, in bytes of its wire form.
/// - Failures are those of a request or a job. A failed call whose retry succeeded appears in the durations only.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct MetricsObserver;

const STORE: &str = "db.system.name";
const OPERATION: &str = "db.operation.name";
const OUTCOME: &str = "session_layer.outcome";
const ERROR: &str = "error.type";

const DURATION: &str = "db.client.operation.duration";
const COUNT: &str = "session_layer.session.count";
const SIZE: &str = "session_layer.record.size";

/// The counters with their descriptions.
const COUNTERS: &[(&str, &str)] = &[
    ("session_layer.session.loaded", "Sessions loaded for a request."),
    ("session_layer.session.absent", "Cookies, or missing cookies, that led to no session."),
    ("session_layer.session.created", "Sessions stored for the first time."),
    ("session_layer.session.saved", "Changes of a session stored."),
    ("session_layer.session.touched", "Sessions that were only read and had their expiry moved."),
    ("session_layer.session.renewed", "Sessions given a new token, at a login or without one."),
    ("session_layer.session.destroyed", "Sessions ended."),
    ("session_layer.session.expired", "Expired sessions removed by the store."),
    ("session_layer.session.evicted", "Live sessions evicted by a full store."),
    ("session_layer.owner.revoked", "Owners whose sessions were revoked, all or all others."),
    ("session_layer.conflict.merged", "Commits merged with another request's changes."),
    ("session_layer.write.blocked", "Writes blocked because their session was gone or superseded."),
    ("session_layer.change.dropped", "Requests whose changes were not saved."),
    ("session_layer.handler.failed", "Server errors that handlers returned because of a session error."),
    ("session_layer.cookie.doubled", "Requests refused because they brought two live sessions."),
    ("session_layer.turn.refused", "Requests refused because their turn did not come."),
    ("session_layer.login.refused", "Logins refused because their owner had too many sessions."),
    ("session_layer.failure", "Loads, commits, touches and releases of leases that failed."),
    ("session_layer.record.unopened", "Records that could not be opened."),
    ("session_layer.cache.hit", "Loads answered from the cache."),
    ("session_layer.cache.miss", "Loads that the cache had to pass on."),
    ("session_layer.cache.evicted", "Sessions evicted by a full cache."),
];

impl MetricsObserver {
    /// Creates an observer, and describes all metrics to the installed recorder.
    #[must_use]
    pub fn new() -> Self {
        for &(name, description) in COUNTERS {
            describe_counter!(name, Unit::Count, description);
        }
        describe_histogram!(DURATION, Unit::Seconds, "How long calls of the session store took.");
        describe_histogram!(SIZE, Unit::Bytes, "Size of stored records.");
        describe_gauge!(COUNT, Unit::Count, "Live sessions, as of the last sweep or count.");
        Self
    }
}

impl Observer for MetricsObserver {
    fn observe(&self, event: &Event<'_>) {
        let store = event.store;
        let count = |name| counter!(name, STORE => store).increment(1);
        match event.kind {
            EventKind::Operation { operation, outcome, duration, sessions, .. } => {
                called(store, operation, outcome, duration);
                if let ("count", Some(live)) = (operation, sessions) {
                    present(store, live);
                }
            }
            EventKind::Swept { remaining, .. } => present(store, remaining),
            EventKind::Loaded { .. } => count("session_layer.session.loaded"),
            EventKind::NoSession { reason, .. } => {
                let reason = if reason == NoSessionReason::NoCookie { "no_cookie" } else { reason.as_str() };
                counter!("session_layer.session.absent", STORE => store, OUTCOME => reason).increment(1);
            }
            EventKind::Created { record, .. } => {
                count("session_layer.session.created");
                stored(store, record);
            }
            EventKind::Saved { record, .. } => {
                count("session_layer.session.saved");
                stored(store, record);
            }
            EventKind::Renewed { record, .. } => {
                count("session_layer.session.renewed");
                stored(store, record);
            }
            EventKind::Touched { .. } => count("session_layer.session.touched"),
            EventKind::Destroyed { .. } => count("session_layer.session.destroyed"),
            EventKind::Expired { .. } => count("session_layer.session.expired"),
            EventKind::Evicted { .. } => count("session_layer.session.evicted"),
            EventKind::OwnerRevoked { .. } => count("session_layer.owner.revoked"),
            EventKind::ConflictMerged { .. } => count("session_layer.conflict.merged"),
            EventKind::WriteBlocked { .. } => count("session_layer.write.blocked"),
            EventKind::ChangesDropped { .. } => count("session_layer.change.dropped"),
            EventKind::HandlerFailed { .. } => count("session_layer.handler.failed"),
            EventKind::TwoLiveCookies { .. } => count("session_layer.cookie.doubled"),
            EventKind::Damaged { error, .. } | EventKind::LoadFailed { error, .. } => {
                failed("session_layer.failure", store, "load", error.kind());
            }
            EventKind::TouchFailed { error, .. } => failed("session_layer.failure", store, "touch", error.kind()),
            EventKind::TurnRefused { reason, .. } => {
                counter!("session_layer.turn.refused", STORE => store, OUTCOME => reason).increment(1);
            }
            EventKind::LoginRefused { .. } => count("session_layer.login.refused"),
            EventKind::ReleaseFailed { error, .. } => failed("session_layer.failure", store, "release", error.kind()),
            EventKind::CommitFailed { error, .. } => failed("session_layer.failure", store, "commit", error.kind()),
            EventKind::NotOpened { operation, error, .. } => {
                failed("session_layer.record.unopened", store, operation, error.kind());
            }
            EventKind::CacheHit { validated, .. } => {
                let outcome = if validated { "validated" } else { "trusted" };
                counter!("session_layer.cache.hit", STORE => store, OUTCOME => outcome).increment(1);
            }
            EventKind::CacheMiss { .. } => count("session_layer.cache.miss"),
            EventKind::CacheEvicted { sessions } => {
                counter!("session_layer.cache.evicted", STORE => store).increment(sessions);
            }
            // A configuration mistake, reported once.
            EventKind::NestedLayer { .. } | EventKind::SecureCookieOverHttp { .. } => {}
        }
    }
}

fn called(store: &'static str, operation: &'static str, outcome: Outcome<'_>, duration: Duration) {
    let mut labels = vec![
        Label::from_static_parts(STORE, store),
        Label::from_static_parts(OPERATION, operation),
        Label::from_static_parts(OUTCOME, outcome.as_str()),
    ];
    labels.extend(outcome.failure().map(|kind| Label::new(ERROR, format!("{kind:?}"))));
    histogram!(DURATION, labels).record(duration);
}

fn present(store: &'static str, live: u64) {
    gauge!(COUNT, STORE => store).set(live as f64);
}

fn stored(store: &'static str, record: &Record) {
    histogram!(SIZE, STORE => store).record(record.encoded_len() as f64);
}

/// The error's kind becomes the label: there are few kinds.
fn failed(name: &'static str, store: &'static str, operation: &'static str, kind: impl fmt::Debug) {
    counter!(name, STORE => store, OPERATION => operation, ERROR => format!("{kind:?}")).increment(1);
}

impl Default for MetricsObserver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MetricsObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsObserver")
    }
}
