//! Connections between client and server that are cut, slowed, split and fed with garbage.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use session_layer::{
    MemcachedStore, SessionLayer, SessionStore,
    record::RecordKind,
    store::{Acquire, Clearing, Create, Leases, MemcachedStoreBuilder, Rename, StoreErrorKind, Touch, Update, Usage},
};

use crate::{
    proxy::{Fault, Proxy},
    server::Memcached,
    support::*,
};

async fn behind_proxy() -> (Memcached, Proxy, MemcachedStore) {
    behind_proxy_with(|builder| builder).await
}

async fn behind_proxy_with(
    settings: impl FnOnce(MemcachedStoreBuilder) -> MemcachedStoreBuilder,
) -> (Memcached, Proxy, MemcachedStore) {
    let server = Memcached::start(&[]);
    let proxy = Proxy::start(server.port()).await;
    let builder = MemcachedStore::builder()
        .servers([proxy.address()])
        .connections(1)
        .connect_timeout(Duration::from_secs(2))
        .request_timeout(Duration::from_secs(2));
    (server, proxy, settings(builder).build().unwrap())
}

/// Loads once the connection is back.
async fn after_recovery(store: &MemcachedStore, id: &session_layer::SessionId) -> Option<session_layer::store::Stored> {
    for _ in 0..500 {
        match store.load(id).await {
            Ok(found) => return found,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("it does not recover");
}

#[tokio::test]
async fn each_operation_is_one_round_trip() {
    let (_server, proxy, store) = behind_proxy().await;
    let (id, first) = (id(), record(b"1"));
    let version = created(&store, &id, &first).await;
    assert_eq!(proxy.commands(), 1, "create");
    let stored = loaded(&store, &id).await;
    assert_eq!(proxy.commands(), 1, "load");
    store.refresh(&id, &stored).await.unwrap();
    assert_eq!(proxy.commands(), 1, "refresh");
    let (now, expires_at) = (stored.used_at, stored.expires_at);
    let minute = Duration::from_secs(60);
    store.touch(&id, Usage { used_at: now, expires_at: expires_at - minute }).await.unwrap();
    assert_eq!(proxy.commands(), 1, "a touch that changes nothing");
    store.touch(&id, Usage { used_at: now, expires_at: expires_at + minute }).await.unwrap();
    assert_eq!(proxy.commands(), 2, "a touch reads the time that is left before");
    store.update(&id, &first, &version, usage(&first)).await.unwrap();
    assert_eq!(proxy.commands(), 1, "update");
    // The preceding check and the subsequent release of the lease go in the same write.
    store.remove(&id).await.unwrap();
    assert_eq!(proxy.commands(), 3, "remove");
    store.owner_epoch("alice").await.unwrap();
    assert_eq!(proxy.commands(), 1, "owner_epoch");
}

/// At each command of a touch, another touch moves the expiry to later.
#[tokio::test]
async fn of_touches_at_once_the_latest_wins() {
    let (server, proxy, slow) = behind_proxy().await;
    let other = store([&server]);
    let first = record(b"1");
    // Less time than is left, and more.
    for asked in [600, 1_100] {
        let (id, now) = (id(), SystemTime::now());
        let for_seconds = |seconds| Usage::keep_for(now, Duration::from_secs(seconds));
        slow.create(&id, &first, for_seconds(1_000)).await.unwrap();
        proxy.delay(Duration::from_millis(200));
        proxy.commands();
        let touch = tokio::spawn({
            let (slow, usage) = (slow.clone(), for_seconds(asked));
            async move { slow.touch(&id, usage).await }
        });
        let mut latest = 1_000;
        while !touch.is_finished() {
            // The command has been sent, and its answer is held back.
            if proxy.commands() > 0 && latest < 1_900 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                latest += 300;
                assert_eq!(other.touch(&id, for_seconds(latest)).await.unwrap(), Touch::Touched);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(touch.await.unwrap().unwrap(), Touch::Touched);
        proxy.delay(Duration::ZERO);
        let kept = loaded(&other, &id).await.expires_at.duration_since(now).unwrap().as_secs();
        assert!(kept.abs_diff(latest) <= 5, "asked for {asked} s: {kept} s instead of {latest} s");
        assert_eq!(latest, if asked == 600 { 1_300 } else { 1_900 }, "the commands of a touch for {asked} s");
    }
}

/// An unanswered write is read back, and never sent again.
#[tokio::test]
async fn a_write_that_happened_unanswered_is_found_by_its_nonce() {
    let (_server, proxy, store) = behind_proxy().await;
    let (id, first, second) = (id(), record(b"1"), record(b"2"));
    store.load(&id).await.unwrap();
    proxy.arm("ms ", Fault::CutReply);
    let version = created(&store, &id, &first).await;
    assert_eq!(loaded(&store, &id).await.version, version);
    proxy.arm("ms ", Fault::SwallowReply);
    let Update::Updated(version) = store.update(&id, &second, &version, usage(&second)).await.unwrap() else {
        panic!()
    };
    assert_eq!((value(&loaded(&store, &id).await), loaded(&store, &id).await.version), (&b"2"[..], version));
    proxy.arm("md ", Fault::CutReply);
    assert!(store.remove(&id).await.unwrap());
    assert!(store.load(&id).await.unwrap().is_none());
    assert_eq!(proxy.fired(), 3);
}

#[tokio::test]
async fn a_write_that_did_not_happen_is_unknown_and_changes_nothing() {
    let (_server, proxy, store) = behind_proxy().await;
    let (id, first, second) = (id(), record(b"1"), record(b"2"));
    let version = created(&store, &id, &first).await;
    proxy.arm("ms ", Fault::CutRequest);
    let error = store.update(&id, &second, &version, usage(&second)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error:?}");
    assert_eq!(loaded(&store, &id).await.version, version);
    proxy.arm("md ", Fault::CutRequest);
    assert_eq!(store.remove(&id).await.unwrap_err().kind(), StoreErrorKind::OutcomeUnknown);
    proxy.arm(" T", Fault::CutRequest);
    let later = Usage::keep_for(SystemTime::now(), Duration::from_secs(24 * 3_600));
    assert_eq!(store.touch(&id, later).await.unwrap_err().kind(), StoreErrorKind::OutcomeUnknown);
    proxy.arm("mg ", Fault::CutRequest);
    assert_eq!(store.load(&id).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    // A connection that was lost before its first answer counts as down for a moment.
    assert_eq!(after_recovery(&store, &id).await.expect("it is there").version, version);
    proxy.arm("ms ", Fault::CutRequest);
    let other = crate::support::id();
    assert_eq!(store.create(&other, &first, usage(&first)).await.unwrap_err().kind(), StoreErrorKind::OutcomeUnknown);
    assert!(store.load(&other).await.unwrap().is_none());
}

/// A generation that can't be read together with a write doesn't affect the write, which was sent and has its own
/// answer.
#[tokio::test]
async fn a_write_beside_an_unreadable_generation_counts_by_its_own_answer() {
    let no_generation = || Fault::Replace(b"SERVER_ERROR out of memory storing object\r\n".to_vec());
    let (_server, proxy, store) = behind_proxy_with(|builder| builder.clear_by_generation(true)).await;
    let (id, first, second) = (id(), record(b"1"), record(b"2"));
    let version = created(&store, &id, &first).await;
    proxy.arm("generation ", no_generation());
    let updated = store.update(&id, &second, &version, usage(&second)).await;
    let Ok(Update::Updated(version)) = updated else { panic!("{updated:?}") };
    assert_eq!((value(&loaded(&store, &id).await), proxy.fired()), (&b"2"[..], 1));
    assert_eq!(loaded(&store, &id).await.version, version);

    proxy.arm("generation ", no_generation());
    let removed = store.remove(&id).await;
    assert!(matches!(removed, Ok(true)), "{removed:?}");
    assert_eq!(proxy.fired(), 2);
    assert!(store.load(&id).await.unwrap().is_none());

    // Nothing was answered. The delete was sent, so its outcome is unknown or was found by reading back.
    for fault in [Fault::CutRequest, Fault::CutReply] {
        after_recovery(&store, &id).await;
        store.create(&id, &first, usage(&first)).await.unwrap();
        proxy.arm("md ", fault);
        match store.remove(&id).await {
            Ok(removed) => assert!(removed && after_recovery(&store, &id).await.is_none()),
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error:?}"),
        }
    }
    assert_eq!(proxy.fired(), 4);
}

/// A clear stands between two servers while a session is renamed from the second one to the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_between_two_servers_does_not_outlive_a_clear() {
    let servers = [Memcached::start(&[]), Memcached::start(&[])];
    let proxies = [Proxy::start(servers[0].port()).await, Proxy::start(servers[1].port()).await];
    let limit = Duration::from_secs(20);
    let builder = MemcachedStore::builder().servers(proxies.iter().map(Proxy::address)).clear_by_generation(true);
    let builder = builder.connections(1).connect_timeout(limit).request_timeout(limit);
    // Two processes: each has its own connections.
    let (clearing, renaming) = (builder.clone().build().unwrap(), builder.build().unwrap());
    let (from, to, old, new) = (id_on(&renaming, 1), id_on(&renaming, 0), record(b"1"), record(b"2"));
    let version = created(&renaming, &from, &old).await;
    clearing.load(&to).await.unwrap();

    // The first server is cleared, and its answer is on the way.
    proxies[0].commands();
    proxies[0].delay(Duration::from_secs(3));
    let clear = tokio::spawn({
        let store = clearing.clone();
        async move { store.clear().await }
    });
    while proxies[0].commands() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // By now the reply may have reached the proxy, which has read the delay.
    tokio::time::sleep(Duration::from_millis(300)).await;
    proxies[0].delay(Duration::ZERO);
    let renamed = renaming.rename(&from, &version, &tombstone(), &to, &new, usage(&new)).await;
    assert!(matches!(renamed, Ok(Rename::Renamed(_))), "{renamed:?}");
    clear.await.unwrap().unwrap();
    assert!(renaming.load(&from).await.unwrap().is_none());
    assert!(renaming.load(&to).await.unwrap().is_none());
}

#[tokio::test]
async fn garbage_closes_the_connection_and_reaches_nobody() {
    let (_server, proxy, store) = behind_proxy().await;
    let (id, first) = (id(), record(b"1"));
    created(&store, &id, &first).await;
    for garbage in [
        &b"garbage\r\n"[..],
        b"\0\0\0\0",
        b"EN\r\n",
        b"EN O999999\r\n",
        b"VA 3 c1 O1\r\nabc\r\n",
        b"VA 99999999999 c1\r\n",
        b"ERROR\r\n",
        b"CLIENT_ERROR bad\r\n",
        b"SERVER_ERROR no\r\n",
        &[b'x'; 4_096],
    ] {
        proxy.arm("mg ", Fault::Inject(garbage.to_vec()));
        let error = store.load(&id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
        let stored = after_recovery(&store, &id).await.expect("it is still there");
        assert_eq!(*stored.record, *first);
    }
    assert_eq!(store.statistics()[0].reconnects, 10);
}

#[tokio::test]
async fn slow_and_split_replies_are_only_slow() {
    let (_server, proxy, store) = behind_proxy().await;
    proxy.split(true);
    proxy.delay(Duration::from_millis(20));
    let big = record(&vec![b'x'; 3_000]);
    let ids: Vec<_> = (0..20).map(|_| id()).collect();
    for id in &ids {
        created(&store, id, &big).await;
    }
    for id in &ids {
        assert_eq!(*loaded(&store, id).await.record, *big);
    }
    // Slower than the limit: an error in time, and recovery.
    proxy.delay(Duration::from_secs(3));
    let error = store.load(&ids[0]).await.unwrap_err();
    assert!([StoreErrorKind::Timeout, StoreErrorKind::Unavailable].contains(&error.kind()), "{error:?}");
    proxy.delay(Duration::ZERO);
    proxy.cut();
    assert!(after_recovery(&store, &ids[0]).await.is_some());
}

/// Wherever the connection is cut, one live session is left: the old one, or the new one and a tombstone.
#[tokio::test]
async fn a_rename_cut_at_any_point_leaves_one_session() {
    for (text, fault) in [
        ("mg ", Fault::CutRequest),
        ("mg ", Fault::CutReply),
        (" ME ", Fault::CutRequest),
        (" ME ", Fault::CutReply),
        (" ME ", Fault::SwallowReply),
        (" C", Fault::CutRequest),
        (" C", Fault::CutReply),
        (" C", Fault::SwallowReply),
        (" C", Fault::Inject(b"garbage\r\n".to_vec())),
    ] {
        let (_server, proxy, store) = behind_proxy().await;
        let (from, to, first, second) = (id(), id(), record(b"1"), record(b"2"));
        let version = created(&store, &from, &first).await;
        proxy.arm(text, fault.clone());
        let outcome = store.rename(&from, &version, &tombstone(), &to, &second, usage(&second)).await;
        assert_eq!(proxy.fired(), 1, "{text} {fault:?}");
        let old = after_recovery(&store, &from).await.expect("the old id is there");
        let new = store.load(&to).await.unwrap();
        match old.record.kind() {
            RecordKind::Session => {
                assert!(outcome.is_err(), "{text} {fault:?}: {outcome:?}");
                assert_eq!(*old.record, *first);
            }
            RecordKind::Tombstone => {
                assert!(matches!(outcome, Ok(Rename::Renamed(_))), "{text} {fault:?}: {outcome:?}");
                assert_eq!(*new.expect("the new one is there").record, *second);
            }
            kind => panic!("{kind:?}"),
        }
    }
}

/// Two renewals of one session send their tombstones on one connection, which is cut before, between or after them.
/// Each renewal then reads back what is stored. Neither takes the other's tombstone for its own, so exactly one session
/// is left, and a logout ends it.
#[tokio::test]
async fn two_renewals_on_a_connection_that_is_cut_leave_one_session() {
    for fault in [Fault::CutRequest, Fault::CutReply, Fault::SwallowReply] {
        for _ in 0..3 {
            let (_server, proxy, store) = behind_proxy().await;
            let layer = SessionLayer::new(store.clone());
            let session = layer.new_session();
            session.login("ada").unwrap();
            session.insert("n", 1).unwrap();
            session.save().await.unwrap();
            let first = session.id().unwrap();
            let renewing = async || {
                let session = layer.open_session(first).await.unwrap().unwrap();
                session.renew().unwrap();
                session
            };
            let (a, b) = (renewing().await, renewing().await);
            proxy.arm(" C", fault.clone());
            let saved = tokio::join!(a.save(), b.save());
            assert_eq!(proxy.fired(), 1, "{fault:?}");
            after_recovery(&store, &first).await;

            let mut live = std::collections::BTreeSet::new();
            for id in [Some(first), a.id(), b.id()].into_iter().flatten() {
                if let Some(session) = layer.open_session(id).await.unwrap() {
                    assert_eq!(session.get::<u8>("n").unwrap(), Some(1));
                    live.insert(session.id().unwrap());
                }
            }
            assert_eq!(live.len(), 1, "{fault:?}: {saved:?}");
            assert!(layer.sessions().end(&first).await.unwrap(), "{fault:?}: {saved:?}");
            for id in live {
                assert!(!layer.sessions().contains(&id).await.unwrap(), "{fault:?}: {saved:?}");
            }
        }
    }
}

/// A save under way does not revive a removed session, however late it arrives.
#[tokio::test]
async fn a_late_save_does_not_revive_a_removed_session() {
    let (_server, proxy, store) = behind_proxy().await;
    let other = MemcachedStore::builder().servers([proxy.address()]).build().unwrap();
    for fault in [None, Some(Fault::CutReply), Some(Fault::CutRequest)] {
        let (id, first) = (id(), record(b"1"));
        created(&store, &id, &first).await;
        let held = loaded(&store, &id).await;
        assert!(other.remove(&id).await.unwrap());
        if let Some(fault) = fault {
            proxy.arm("ms ", fault);
        }
        let saved = store.update(&id, &first, &held.version, usage(&first)).await;
        assert!(matches!(saved, Ok(Update::Gone)), "{saved:?}");
        assert_eq!(store.touch(&id, usage(&first)).await.unwrap(), Touch::Gone);
        assert!(other.load(&id).await.unwrap().is_none());
    }
}

/// memcached can't signal the end of a lease. Pauses of at least 10, 20, 40, and then 80 ms limit how often it is
/// asked.
#[tokio::test]
async fn a_waiter_for_a_lease_polls_with_pauses_and_ends() {
    let (_server, proxy, store) = behind_proxy().await;
    let other = MemcachedStore::builder().servers([proxy.address()]).build().unwrap();
    let (id, first) = (id(), record(b"1"));
    created(&store, &id, &first).await;
    let [one, two] = std::array::from_fn(|_| session_layer::store::Holder::generate().unwrap());
    store.acquire(&id, one, Duration::from_secs(60)).await.unwrap();
    other.load(&id).await.unwrap();
    proxy.commands();
    other.released(&id, Duration::from_millis(300)).await;
    let asked = proxy.commands();
    assert!(asked <= 5, "asked {asked} times in 300 ms");
    // The wait ends by itself after a second, so that a caller notices if the session has moved.
    other.released(&id, Duration::from_secs(86_400)).await;
    let asked = proxy.commands();
    assert!((1..=15).contains(&asked), "asked {asked} times in a second");

    // Woken at once in the process that gives it back, and in time in another one; also if the session is removed.
    for waiter in [&store, &other] {
        let wait = async {
            while waiter.acquire(&id, two, Duration::from_secs(60)).await.unwrap() == Acquire::Held {
                waiter.released(&id, Duration::from_secs(60)).await;
            }
        };
        let (released, ()) = tokio::join!(store.release(&id, one), wait);
        assert!(released.unwrap());
        assert!(store.release(&id, two).await.unwrap());
        store.acquire(&id, one, Duration::from_secs(60)).await.unwrap();
    }
    let (removed, ()) = tokio::join!(store.remove(&id), other.released(&id, Duration::from_secs(60)));
    assert!(removed.unwrap());
    assert_eq!(other.acquire(&id, two, Duration::from_secs(60)).await.unwrap(), Acquire::Absent);
}

#[tokio::test]
async fn a_lease_whose_reply_is_lost_is_found_again() {
    let (_server, proxy, store) = behind_proxy().await;
    let (id, first) = (id(), record(b"1"));
    created(&store, &id, &first).await;
    let holder = session_layer::store::Holder::generate().unwrap();
    proxy.arm(":lease ", Fault::CutReply);
    let outcome = store.acquire(&id, holder, Duration::from_secs(10)).await.unwrap();
    assert!(matches!(outcome, Acquire::Acquired { .. }));
    assert!(store.release(&id, holder).await.unwrap());
    assert_eq!(proxy.fired(), 1);
    assert_eq!(store.create(&id, &Arc::clone(&first), usage(&first)).await.unwrap(), Create::Exists);
}

/// Epochs and generations are random, so the stored one shows whether the write was done.
#[tokio::test]
async fn epochs_and_generations_that_were_written_unanswered_are_read_back() {
    let (_server, proxy, store) = behind_proxy_with(|builder| builder.clear_by_generation(true)).await;
    let (id, first) = (id(), record(b"1"));
    let short = Usage::keep_for(SystemTime::now(), Duration::from_secs(60));
    let long = Usage::keep_for(SystemTime::now(), Duration::from_secs(6_000));
    created(&store, &id, &first).await;
    proxy.arm(" ME ", Fault::CutReply);
    let epoch = store.ensure_epoch("alice", short).await.unwrap();
    proxy.arm(" C", Fault::CutReply);
    assert_eq!(store.ensure_epoch("alice", long).await.unwrap(), epoch);
    proxy.arm(" C", Fault::CutReply);
    store.renew_epoch("alice", short).await.unwrap();
    let renewed = store.owner_epoch("alice").await.unwrap();
    assert!(renewed.is_some() && renewed != Some(epoch));
    proxy.arm(" MS ", Fault::CutReply);
    store.clear().await.unwrap();
    assert_eq!(proxy.fired(), 4);
    assert!(store.load(&id).await.unwrap().is_none() && store.owner_epoch("alice").await.unwrap().is_none());

    // A write that was not done is reported as unknown, and changes nothing.
    let epoch = store.ensure_epoch("alice", short).await.unwrap();
    created(&store, &id, &first).await;
    for text in [" C", " MS "] {
        proxy.arm(text, Fault::CutRequest);
        let outcome =
            if text == " C" { store.renew_epoch("alice", short).await } else { store.clear().await.map(drop) };
        assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::OutcomeUnknown, "{text}");
        assert!(after_recovery(&store, &id).await.is_some());
        assert_eq!(store.owner_epoch("alice").await.unwrap(), Some(epoch));
    }
}
