//! Every operation emits an event at the documented level, without any value.

use std::{
    fmt::Write,
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Mutex, Once},
};

use session_layer::{FileStore, SessionStore};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record as Values},
};

use crate::support::*;

static SEEN: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

/// Records every event of this crate, from all threads.
struct Keeper;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("session_layer")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Values<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(event.metadata().target().to_owned());
        event.record(&mut text);
        SEEN.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Keeper).unwrap());
}

/// Returns the distinct events that contain this name.
fn events_of(name: &str) -> Vec<(Level, String)> {
    SEEN.lock().unwrap().iter().filter(|(_, text)| text.contains(name)).cloned().collect()
}

#[tokio::test]
async fn every_operation_emits_its_documented_event() {
    keep();
    let fixture = Fixture::new().await;
    let (key, to, store) = (id(0xee, 1), id(0xee, 2), &fixture.store);
    let version = fixture.create(&key, 424_242).await;
    store.create(&key, &record(1), usage()).await.unwrap();
    let new = updated(store.update(&key, &record(424_242), &version, usage()).await.unwrap());
    store.update(&key, &record(1), &version, usage()).await.unwrap();
    store.touch(&key, usage()).await.unwrap();
    store.load(&key).await.unwrap();
    store.rename(&key, &new, &tombstone(start()), &to, &record(1), usage()).await.unwrap();
    store.remove(&key).await.unwrap();
    store.update(&key, &record(1), &version, usage()).await.unwrap();
    fs::write(path_of(store, &to), "rotten 424242").unwrap();
    store.load(&to).await.unwrap_err();

    let levels = |key: &session_layer::SessionId, what: &str| -> Vec<Level> {
        let events = events_of(&key.to_string());
        events.into_iter().filter(|(_, text)| text.contains(what)).map(|(level, _)| level).collect()
    };
    for (what, level) in [
        ("message=created", Level::DEBUG),
        ("message=exists", Level::INFO),
        ("message=updated", Level::DEBUG),
        ("message=conflict", Level::INFO),
        ("message=touched", Level::DEBUG),
        ("message=loaded", Level::TRACE),
        ("message=renamed", Level::DEBUG),
        ("message=removed", Level::DEBUG),
        ("message=gone", Level::INFO),
    ] {
        assert_eq!(levels(&key, what), [level], "{what}");
    }
    assert_eq!(levels(&to, "message=damaged session file"), [Level::ERROR]);
    let path = path_of(store, &to);
    assert!(events_of(&to.to_string()).iter().any(|(_, text)| text.contains(path.to_str().unwrap())));
    // None of them contains a value.
    for (_, text) in events_of("-").iter().filter(|(_, text)| text.contains("ee0000")) {
        assert!(text.starts_with("session_layer::store::file"), "{text}");
        assert!(!text.contains("424242"), "{text}");
    }
}

/// An existing directory that others can read is reported.
#[tokio::test]
async fn a_directory_open_to_others_is_reported() {
    keep();
    let dir = tempfile::tempdir().unwrap();
    let name = fs::canonicalize(dir.path()).unwrap().display().to_string();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    FileStore::open(dir.path()).await.unwrap();
    assert!(!events_of(&name).iter().any(|(level, _)| *level <= Level::WARN));
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    FileStore::open(dir.path()).await.unwrap();
    let warned = events_of(&name).into_iter().any(|(level, text)| level == Level::WARN && text.contains("chmod 700"));
    assert!(warned);
}
