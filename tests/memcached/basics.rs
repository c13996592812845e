//! Healthy servers, with every option that matters.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use session_layer::{
    CachedStore, Clock, DynStore, EncryptedStore, KeyRing, Lifetime, MemcachedStore, ObservedStore, Secret,
    SessionLayer, SessionStore,
    id::TokenCheck,
    record::{Entries, Record, RecordKind},
    store::{Clearing, Cursor, Leases, ListPolicy, Listing, Owners, Rename, StoreErrorKind, Touch, Update, Usage},
};

use crate::{server::Memcached, support::*};

fn lasting(days: u64) -> Arc<Record> {
    let day = Duration::from_secs(24 * 3_600);
    let lifetime = Lifetime::new(day * 100_000, day * 100_000).unwrap();
    let record = Record::session(TokenCheck::from_bytes([1; 16]), SystemTime::now(), lifetime);
    let entries = Entries::from_sorted([("days", &days.to_le_bytes()[..])].into_iter()).unwrap();
    Arc::new(record.with_entries(entries))
}

/// Returns the time left for a session according to memcached, in seconds.
fn left(server: &Memcached, id: &session_layer::SessionId) -> u64 {
    let answer = server.ask(&format!("mg session:{id} t\r\n"), "HD t");
    answer[0].strip_prefix("HD t").expect("a time").parse().expect("seconds")
}

/// Up to 30 days the expiry is relative, beyond that a date, and from 2038 on the last date.
#[tokio::test]
async fn memcached_gets_the_right_expiry() {
    let server = Memcached::start(&[]);
    let store = store([&server]);
    let now = SystemTime::now();
    let until_2038 = 2_147_483_647 - now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for days in [1, 29, 30, 31, 365, 40_000] {
        let (id, record) = (id(), lasting(days));
        let expected = (days * 24 * 3_600).min(until_2038);
        let usage = Usage::keep_for(now, Duration::from_secs(days * 24 * 3_600));
        store.create(&id, &record, usage).await.unwrap();
        assert!(left(&server, &id).abs_diff(expected) <= 5, "{days} days: {}", left(&server, &id));
        // A touch makes nothing earlier.
        assert_eq!(store.touch(&id, Usage::keep_for(now, Duration::from_secs(100))).await.unwrap(), Touch::Touched);
        assert!(left(&server, &id).abs_diff(expected) <= 5, "{days} days, touched: {}", left(&server, &id));
        let later = Usage::keep_for(now, Duration::from_secs((days * 24 + 1) * 3_600));
        assert_eq!(store.touch(&id, later).await.unwrap(), Touch::Touched);
        let expected = expected.max((days * 24 + 1) * 3_600).min(until_2038);
        assert!(left(&server, &id).abs_diff(expected) <= 5, "{days} days, touched on: {}", left(&server, &id));
        assert_eq!(*loaded(&store, &id).await.record, *record);
    }
}

/// The store checks the absolute limit by its clock, whatever memcached still holds. (The conformance kit checks the
/// idle limit by waiting: a clock that is set forward can't be told from a touch.)
#[tokio::test]
async fn the_absolute_limit_is_checked_on_load() {
    let server = Memcached::start(&[]);
    let clock = Clock::manual(SystemTime::now());
    let store = builder([&server]).clock(clock.clone()).build().unwrap();
    let (id, first) = (id(), record(b"1"));
    created(&store, &id, &first).await;
    clock.set(first.absolute_limit() - Duration::from_millis(1));
    assert!(store.load(&id).await.unwrap().is_some());
    clock.set(first.absolute_limit());
    assert!(store.load(&id).await.unwrap().is_none());
    assert!(!store.remove(&id).await.unwrap(), "an expired session is not there to be removed");
}

/// In memcached as well.
#[tokio::test]
async fn a_touch_does_not_pass_the_absolute_limit() {
    let server = Memcached::start(&[]);
    let store = store([&server]);
    let hour = Duration::from_secs(3_600);
    let created_at = SystemTime::now() - hour + Duration::from_secs(60);
    let record =
        Arc::new(Record::session(TokenCheck::from_bytes([1; 16]), created_at, Lifetime::new(hour, hour).unwrap()));
    let id = id();
    created(&store, &id, &record).await;
    let beyond = Usage::keep_for(SystemTime::now(), hour);
    assert_eq!(store.touch(&id, beyond).await.unwrap(), Touch::Touched);
    assert!(left(&server, &id) <= 62);
    assert!(loaded(&store, &id).await.expires_at <= record.absolute_limit());
}

/// Memcached expires an item at once that is touched to a time in the past.
#[tokio::test]
async fn a_touch_to_a_time_in_the_past_deletes_nothing() {
    let server = Memcached::start(&[]);
    for by_generation in [false, true] {
        let store = builder([&server]).clear_by_generation(by_generation).build().unwrap();
        let (id, first) = (id(), record(b"1"));
        created(&store, &id, &first).await;
        let before = left(&server, &id);
        let now = Clock::system().now();
        for expires_at in [now, now - Duration::from_secs(1), SystemTime::UNIX_EPOCH] {
            let past = Usage { used_at: expires_at, expires_at };
            assert_eq!(store.touch(&id, past).await.unwrap(), Touch::Touched);
            assert_eq!(*loaded(&store, &id).await.record, *first);
            assert!(before - left(&server, &id) <= 5);
            assert_eq!(store.touch(&crate::support::id(), past).await.unwrap(), Touch::Gone);
        }
    }
}

/// The old id leads to the tombstone for a minute, then to nothing.
#[tokio::test]
async fn a_tombstone_lives_for_a_minute() {
    let server = Memcached::start(&[]);
    let store = store([&server]);
    let (from, to, first) = (id(), id(), record(b"1"));
    let version = created(&store, &from, &first).await;
    let outcome = store.rename(&from, &version, &tombstone(), &to, &first, usage(&first)).await.unwrap();
    assert!(matches!(outcome, Rename::Renamed(_)));
    assert_eq!(loaded(&store, &from).await.record.kind(), RecordKind::Tombstone);
    assert!((58..=62).contains(&left(&server, &from)), "{}", left(&server, &from));
}

#[tokio::test]
async fn values_that_look_like_protocol_are_bytes() {
    let server = Memcached::start(&[]);
    let store = store([&server]);
    for hostile in [
        &b"\r\n"[..],
        b"EN\r\n",
        b"END\r\nVALUE session:x 0 1\r\n1\r\n",
        b"\r\nmd session:x q\r\nflush_all\r\n",
        b"HD c1 O1\r\nVA 5 c1\r\nhello\r\n",
        b"SERVER_ERROR object too large for cache\r\n",
        b"\0\xff\xfe\r\r\n\n",
    ] {
        let (id, record) = (id(), record(hostile));
        created(&store, &id, &record).await;
        assert_eq!(value(&loaded(&store, &id).await), hostile);
    }
}

/// It is refused before it is sent, exact to the byte and whatever the server's limit, and the stored session stays.
#[tokio::test]
async fn a_record_too_large_is_refused_and_the_session_survives() {
    for (options, limit) in [(&[][..], 1_048_576), (&["-I", "512k"], 524_288), (&["-I", "2m", "-m", "64"], 2_097_152)] {
        let server = Memcached::start(options);
        let store = store([&server]);
        let (id, first) = (id(), record(b"1"));
        let mut version = created(&store, &id, &first).await;
        // 44 bytes of key, 37 of the store's header, 63 of memcached's, and the record's own overhead.
        let overhead = record(b"").to_bytes().len() + 44 + 37 + 63;
        for (size, fits) in [(limit - overhead, true), (limit - overhead + 1, false), (limit * 2, false)] {
            let big = record(&vec![b'x'; size]);
            let updated = store.update(&id, &big, &version, usage(&big)).await;
            if fits {
                let Ok(Update::Updated(newer)) = updated else { panic!("{size} of {limit}: {updated:?}") };
                version = newer;
                assert_eq!(value(&loaded(&store, &id).await).len(), size);
            } else {
                let error = updated.unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::TooLarge, "{size} of {limit}");
                assert_eq!(loaded(&store, &id).await.version, version, "{size} of {limit}");
                let created = store.create(&crate::support::id(), &big, usage(&big)).await;
                assert_eq!(created.unwrap_err().kind(), StoreErrorKind::TooLarge);
            }
        }
    }
}

#[tokio::test]
async fn an_own_size_limit_is_kept() {
    let server = Memcached::start(&[]);
    let store = builder([&server]).item_size_limit(2_000).build().unwrap();
    let big = record(&[b'x'; 2_000]);
    let error = store.create(&id(), &big, usage(&big)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TooLarge);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("item_size_limit"), "{error:?}");
}

/// A small memory evicts. Sessions are lost, but none is mixed up, and there are no errors.
#[tokio::test]
async fn eviction_loses_sessions_and_mixes_up_none() {
    let server = Memcached::start(&["-m", "2"]);
    let store = store([&server]);
    let mut ids = Vec::new();
    for n in 0..600_u32 {
        let id = id();
        let value = [&n.to_le_bytes()[..], &[0; 9_000]].concat();
        created(&store, &id, &record(&value)).await;
        ids.push(id);
    }
    let mut lost = 0;
    for (n, id) in ids.iter().enumerate() {
        match store.load(id).await.unwrap() {
            None => lost += 1,
            Some(stored) => assert_eq!(value(&stored)[..4], u32::try_from(n).unwrap().to_le_bytes()),
        }
    }
    assert!(lost > 0 && server.stat("evictions") > 0, "nothing was evicted");
    assert!(lost < ids.len(), "everything was evicted");
}

#[tokio::test]
async fn a_server_without_compare_and_swap_is_refused_clearly() {
    let server = Memcached::start(&["-C"]);
    let error = store([&server]).load(&id()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("without -C"), "{error:?}");
}

#[tokio::test]
async fn servers_with_a_user_and_password_are_supported() {
    let file = std::env::temp_dir().join(format!("session-layer-auth-{}-{}", std::process::id(), random()));
    std::fs::write(&file, "bob:hunter2\nann:x:y\n").unwrap();
    let server = Memcached::start(&["-Y", file.to_str().unwrap()]);
    let (id, first) = (id(), record(b"1"));
    let store = builder([&server]).credentials("bob", "hunter2").build().unwrap();
    created(&store, &id, &first).await;
    assert!(store.load(&id).await.unwrap().is_some());
    for (wrong, part) in [
        (builder([&server]).credentials("bob", "wrong"), "refused the user"),
        (builder([&server]).credentials("eve", "hunter2"), "refused the user"),
        (builder([&server]), "credentials"),
    ] {
        let error = wrong.build().unwrap().load(&id).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(part) && !cause.contains("hunter2") && !cause.contains("wrong"), "{cause}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn prefixes_keep_applications_apart() {
    let server = Memcached::start(&[]);
    let (plain, shop) = (store([&server]), builder([&server]).prefix("shop:").build().unwrap());
    let none = builder([&server]).prefix("").build().unwrap();
    let (id, first) = (id(), record(b"1"));
    created(&plain, &id, &first).await;
    assert!(shop.load(&id).await.unwrap().is_none() && none.load(&id).await.unwrap().is_none());
    created(&none, &id, &first).await;
    assert_eq!(server.ask(&format!("mg {id} s\r\nmg session:{id} s\r\nmg shop:{id}\r\n"), "EN").len(), 3);
}

#[tokio::test]
async fn listing_follows_the_policy() {
    let server = Memcached::start(&[]);
    let with = |policy| builder([&server]).list_policy(policy).build().unwrap();
    for policy in [ListPolicy::Ignore, ListPolicy::Warn] {
        let store = with(policy);
        for cursor in [0, u32::MAX.into(), u64::MAX].map(Cursor::from_u64) {
            let page = store.ids(cursor, 10).await.unwrap();
            assert!(page.ids.is_empty() && page.next.is_none());
        }
        assert_eq!(store.count().await.unwrap(), 0);
        assert_eq!(store.sweep().await.unwrap().deleted, 0);
    }
    let store = with(ListPolicy::Error);
    let errors = [
        store.ids(Cursor::START, 10).await.unwrap_err(),
        store.ids(Cursor::from_u64(u64::MAX), 10).await.unwrap_err(),
        store.count().await.unwrap_err(),
        store.sweep().await.unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind() == StoreErrorKind::Unsupported));
}

/// Operations that end sessions either end them or fail.
#[tokio::test]
async fn no_policy_makes_ending_sessions_a_no_op() {
    let server = Memcached::start(&[]);
    for policy in [ListPolicy::Ignore, ListPolicy::Warn, ListPolicy::Error] {
        let with = |builder: session_layer::store::MemcachedStoreBuilder| builder.list_policy(policy).build().unwrap();
        let store = with(builder([&server]));
        let (id, first) = (id(), record(b"1"));
        created(&store, &id, &first).await;
        for error in [store.clear().await.unwrap_err(), store.delete_idle(Duration::ZERO.into()).await.unwrap_err()] {
            assert_eq!(error.kind(), StoreErrorKind::Unsupported);
        }
        let error = session_layer::Sessions::new(store.clone()).end_all().await.unwrap_err();
        assert_eq!(error.kind(), session_layer::ErrorKind::Unsupported);
        let cause = std::error::Error::source(&store.clear().await.unwrap_err()).unwrap().to_string();
        assert!(cause.contains("clear_by_generation"), "{cause}");
        assert!(store.load(&id).await.unwrap().is_some(), "an error changes nothing");

        let store = with(builder([&server]).list_owners(false));
        assert_eq!(store.list_owner("alice").await.unwrap_err().kind(), StoreErrorKind::Unsupported);
        let epoch = store.ensure_epoch("alice", usage(&first)).await.unwrap();
        store.renew_epoch("alice", usage(&first)).await.unwrap();
        assert_ne!(store.owner_epoch("alice").await.unwrap(), Some(epoch));
        assert!(store.remove(&id).await.unwrap());
        assert!(store.load(&id).await.unwrap().is_none());

        let store = with(builder([&server]).clear_by_generation(true).prefix("cleared:"));
        created(&store, &id, &first).await;
        store.clear().await.unwrap();
        assert!(store.load(&id).await.unwrap().is_none());
    }
}

/// In every process, and for updates under way. A server that has lost its generation is cleared, too.
#[tokio::test]
async fn clear_by_generation_leaves_nothing() {
    let mut servers = Memcached::cluster(2);
    let open = || builder(&servers).clear_by_generation(true).build().unwrap();
    let (store, other) = (open(), open());
    let (ids, first) = ([id_on(&store, 0), id_on(&store, 1)], owned("alice", 1));
    let usage = usage(&first);
    let mut held = Vec::new();
    for id in &ids {
        created(&store, id, &first).await;
        held.push(loaded(&other, id).await);
    }
    assert_eq!(store.list_owner("alice").await.unwrap().len(), 2);
    store.ensure_epoch("alice", usage).await.unwrap();
    store.clear().await.unwrap();
    for (id, held) in ids.iter().zip(&held) {
        assert_eq!(other.update(id, &first, &held.version, usage).await.unwrap(), Update::Gone);
        assert_eq!(other.touch(id, usage).await.unwrap(), Touch::Gone);
        assert!(matches!(other.refresh(id, held).await.unwrap(), session_layer::store::Refresh::Gone));
        assert!(!other.remove(id).await.unwrap());
        assert!(store.load(id).await.unwrap().is_none() && other.load(id).await.unwrap().is_none());
        created(&other, id, &first).await;
        assert!(store.load(id).await.unwrap().is_some());
    }
    assert_eq!(other.owner_epoch("alice").await.unwrap(), None);
    assert_eq!(servers[0].ask("md session:generation\r\n", "HD"), ["HD"]);
    assert!(store.load(&ids[0]).await.unwrap().is_none());
    assert!(store.load(&ids[1]).await.unwrap().is_some());
    // A server that is down is not cleared, and the answer is an error.
    servers[1].kill();
    assert!(store.clear().await.is_err());
}

/// The last write wins over another save, and over nothing else.
#[tokio::test]
async fn last_write_wins_revives_nothing() {
    let server = Memcached::start(&[]);
    let store = builder([&server]).last_write_wins(true).build().unwrap();
    let (id, to, other, first) = (id(), id(), id(), record(b"1"));
    let version = created(&store, &id, &first).await;
    for n in [&b"2"[..], b"3"] {
        let next = record(n);
        let outcome = store.update(&id, &next, &version, usage(&next)).await.unwrap();
        assert!(matches!(outcome, Update::Updated(_)), "{outcome:?}");
        assert_eq!(value(&loaded(&store, &id).await), n);
    }
    // Renewed meanwhile: its tombstone stays.
    let held = loaded(&store, &id).await;
    store.rename(&id, &held.version, &tombstone(), &to, &first, usage(&first)).await.unwrap();
    assert_eq!(store.update(&id, &first, &held.version, usage(&first)).await.unwrap(), Update::Conflict(None));
    assert_eq!(loaded(&store, &id).await.record.kind(), RecordKind::Tombstone);
    // One tombstone does not replace another: a logout would take a renewal's for its own.
    let grave = Arc::new(Record::plain_tombstone(TokenCheck::from_bytes([0; 16]), Clock::system().now()));
    assert_eq!(store.update(&id, &grave, &held.version, usage(&grave)).await.unwrap(), Update::Conflict(None));
    let again = store.rename(&id, &held.version, &tombstone(), &other, &first, usage(&first)).await.unwrap();
    assert_eq!(again, Rename::Conflict(None));
    // Removed meanwhile.
    let held = loaded(&store, &to).await;
    store.remove(&to).await.unwrap();
    assert_eq!(store.update(&to, &first, &held.version, usage(&first)).await.unwrap(), Update::Gone);
    assert!(store.load(&to).await.unwrap().is_none());
}

/// A request whose lease ran out would overwrite the next holder's data, so requests can't take turns over such a
/// store, wrapped or not.
#[tokio::test]
async fn last_write_wins_is_refused_where_requests_take_turns() {
    let server = Memcached::start(&[]);
    let open = |last_write_wins| builder([&server]).last_write_wins(last_write_wins).build().unwrap();
    let layer = |store: &MemcachedStore, exclusive| {
        let secret = Secret::from_bytes([id(), id()].map(|id| *id.as_bytes()).concat()).unwrap();
        let wrapped = EncryptedStore::new(CachedStore::new(store.clone()), KeyRing::new(secret));
        let wrapped = ObservedStore::new(DynStore::new(wrapped), |_: &session_layer::Event<'_>| {});
        [SessionLayer::builder(store.clone()), SessionLayer::builder(wrapped)].map(|builder| {
            let builder = if exclusive { builder.exclusive(Duration::from_secs(1)) } else { builder };
            builder.build().map(drop).map_err(|error| error.to_string())
        })
    };
    for refused in layer(&open(true), true) {
        let error = refused.unwrap_err();
        assert!(error.contains("memcached") && error.contains("Turn `last_write_wins` off"), "{error}");
    }
    let fine = [layer(&open(true), false), layer(&open(false), true)];
    assert!(fine.iter().flatten().all(Result::is_ok), "{fine:?}");
}

/// Without its owner's list no session is listed, but revocation still works.
#[tokio::test]
async fn an_evicted_list_only_hides() {
    let servers = Memcached::cluster(3);
    let store = store(&servers);
    let owner = session_layer::SessionId::for_epoch("alice");
    let home = &servers[store.server_of(&owner)];
    let first = owned("alice", 1);
    let epoch = store.ensure_epoch("alice", usage(&first)).await.unwrap();
    for _ in 0..10 {
        created(&store, &id(), &first).await;
    }
    assert_eq!(store.list_owner("alice").await.unwrap().len(), 10);
    assert!(store.list_owner("bob").await.unwrap().is_empty());
    assert_eq!(home.ask(&format!("md session:{owner}:sessions\r\n"), "HD"), ["HD"]);
    assert!(store.list_owner("alice").await.unwrap().is_empty());
    assert_eq!(store.owner_epoch("alice").await.unwrap(), Some(epoch));
    // An epoch on an unreachable server is an error, not "none".
    let down = servers.iter().position(|server| std::ptr::eq(server, home)).unwrap();
    let mut servers = servers;
    servers[down].kill();
    assert_eq!(store.owner_epoch("alice").await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

/// The precision of the last use: see "Time" in the store's documentation.
#[tokio::test]
async fn the_last_use_is_exact_until_a_touch() {
    let server = Memcached::start(&[]);
    let store = store([&server]);
    let (id, first) = (id(), record(b"1"));
    let used = Usage { used_at: Clock::system().now() - Duration::from_millis(123_456), ..usage(&first) };
    store.create(&id, &first, used).await.unwrap();
    let held = loaded(&store, &id).await;
    assert_eq!(held.usage(), used);
    // A move of less than three seconds can't be told from rounding.
    let little = Duration::from_secs(2);
    store.touch(&id, Usage { used_at: used.used_at + little, expires_at: used.expires_at + little }).await.unwrap();
    assert_eq!(loaded(&store, &id).await.usage(), used);
    // A longer move shows in both times, up to two seconds late.
    let much = Duration::from_secs(60);
    let touched = Usage { used_at: used.used_at + much, expires_at: used.expires_at + much };
    store.touch(&id, touched).await.unwrap();
    let now = loaded(&store, &id).await;
    let late = |now: SystemTime, then: SystemTime| now.duration_since(then).expect("never early");
    assert!(late(now.used_at, touched.used_at) <= Duration::from_millis(3_250), "{now:?}");
    assert_eq!(late(now.used_at, touched.used_at), late(now.expires_at, touched.expires_at));
    store.update(&id, &first, &held.version, touched).await.unwrap();
    assert_eq!(loaded(&store, &id).await.usage(), touched);
}

/// For the shortest and the longest durations.
#[tokio::test]
async fn no_duration_panics() {
    let server = Memcached::start(&[]);
    let store = store([&server]);
    let now = SystemTime::now();
    let ends = [SystemTime::UNIX_EPOCH, now, Clock::system().now() + Duration::from_secs(1 << 36)];
    for time in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(u32::MAX.into()), Duration::MAX] {
        let (id, first) = (id(), record(b"1"));
        created(&store, &id, &first).await;
        let holder = session_layer::store::Holder::generate().unwrap();
        store.acquire(&id, holder, time).await.unwrap();
        store.metadata(&id).await.unwrap().expect("it is there");
        store.released(&id, time.min(Duration::from_millis(5))).await;
        store.release(&id, holder).await.unwrap();
        store.released(&id, time).await;
        store.ensure_epoch("alice", Usage::keep_for(now, time)).await.unwrap();
        store.renew_epoch("alice", Usage::keep_for(now, time)).await.unwrap();
        assert!(store.delete_idle(time.into()).await.is_err());
        for expires_at in ends {
            for used_at in ends {
                let usage = Usage { used_at, expires_at };
                let other = crate::support::id();
                store.create(&other, &lasting(1), usage).await.unwrap();
                store.touch(&other, Usage::keep_for(used_at, time)).await.unwrap();
                store.load(&other).await.unwrap();
            }
        }
    }
    let clock = Clock::manual(SystemTime::UNIX_EPOCH);
    let store = builder([&server]).clock(clock.clone()).build().unwrap();
    for at in ends {
        clock.set(at);
        let (id, first) = (id(), lasting(1));
        created(&store, &id, &first).await;
        store.touch(&id, usage(&first)).await.unwrap();
        store.load(&id).await.unwrap();
        store.ensure_epoch("bob", usage(&first)).await.unwrap();
    }
}

#[test]
fn debug_shows_servers_and_no_password() {
    let store = MemcachedStore::builder().servers(["cache:1"]).credentials("bob", "hunter2").build().unwrap();
    let shown = format!("{store:?}");
    assert!(shown.contains("cache:1") && !shown.contains("hunter2") && !shown.contains("bob"), "{shown}");
}
