//! Random sequences of every operation on two stores over one directory, against a map.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use proptest::prelude::*;
use session_layer::{
    SessionId, SessionStore,
    record::Record,
    store::{Acquire, Clearing, Create, Holder, Leases, Listing, Rename, Swept, Touch, Update, Usage, Version},
};

use crate::support::*;

#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Update { id: u8, stale: bool },
    Touch { id: u8, minutes: u8 },
    Remove(u8),
    Rename { from: u8, to: u8 },
    Lock { id: u8, holder: u8 },
    Unlock { id: u8, holder: u8 },
    Pass { minutes: u8 },
    Sweep,
    DeleteIdle { minutes: u8 },
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 0..5_u8;
    prop_oneof![
        4 => id().prop_map(Step::Create),
        6 => (id(), prop::bool::weighted(0.2)).prop_map(|(id, stale)| Step::Update { id, stale }),
        3 => (id(), 0..90_u8).prop_map(|(id, minutes)| Step::Touch { id, minutes }),
        2 => id().prop_map(Step::Remove),
        3 => (id(), id()).prop_filter("two ids", |(a, b)| a != b).prop_map(|(from, to)| Step::Rename { from, to }),
        2 => (id(), 0..2_u8).prop_map(|(id, holder)| Step::Lock { id, holder }),
        2 => (id(), 0..2_u8).prop_map(|(id, holder)| Step::Unlock { id, holder }),
        3 => (0..40_u8).prop_map(|minutes| Step::Pass { minutes }),
        1 => Just(Step::Sweep),
        1 => (0..90_u8).prop_map(|minutes| Step::DeleteIdle { minutes }),
        1 => Just(Step::Clear),
    ]
}

struct Held {
    record: Arc<Record>,
    version: Version,
    usage: Usage,
    lease: Option<(u8, SystemTime)>,
}

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

async fn run(steps: Vec<Step>) {
    let fixture = Fixture::new().await;
    let stores = [fixture.store.clone(), fixture.twin().await];
    let mut model: HashMap<u8, Held> = HashMap::new();
    let key = |number: u8| id(number % 2, u64::from(number));
    for (round, step) in steps.into_iter().enumerate() {
        let store = &stores[round % 2];
        let now = fixture.clock.now();
        model.retain(|_, held| held.usage.expires_at > now);
        let fresh = record_at(now, round as u64);
        let usage = Usage::at(&fresh, now);
        match step {
            Step::Create(number) => match store.create(&key(number), &fresh, usage).await.unwrap() {
                Create::Created(version) => {
                    let held = Held { record: fresh, version, usage, lease: None };
                    assert!(model.insert(number, held).is_none());
                }
                Create::Exists => assert!(model.contains_key(&number)),
            },
            Step::Update { id, stale } => {
                let held = model.get_mut(&id);
                let expected = match &held {
                    Some(held) if !stale => held.version,
                    _ => Version::from_u64(1),
                };
                match (store.update(&key(id), &fresh, &expected, usage).await.unwrap(), held) {
                    (Update::Updated(version), Some(held)) if !stale => {
                        assert_ne!(version, held.version);
                        *held = Held { record: fresh, version, usage, lease: held.lease };
                    }
                    (Update::Conflict(_), Some(_)) if stale => {}
                    (Update::Gone, None) => {}
                    (outcome, _) => panic!("{outcome:?}"),
                }
            }
            Step::Touch { id, minutes } => {
                let usage = Usage { used_at: now, expires_at: now + MINUTE * u32::from(minutes) };
                match (store.touch(&key(id), usage).await.unwrap(), model.get_mut(&id)) {
                    (Touch::Touched, Some(held)) => {
                        let expires_at = usage.expires_at.min(held.record.absolute_limit()).max(held.usage.expires_at);
                        held.usage = Usage { expires_at, used_at: usage.used_at.max(held.usage.used_at) };
                    }
                    (Touch::Gone, None) => {}
                    (outcome, _) => panic!("{outcome:?}"),
                }
            }
            Step::Remove(number) => {
                assert_eq!(store.remove(&key(number)).await.unwrap(), model.remove(&number).is_some());
            }
            Step::Rename { from, to } => {
                let left = tombstone(now);
                let expected = model.get(&from).map_or(Version::from_u64(1), |held| held.version);
                match store.rename(&key(from), &expected, &left, &key(to), &fresh, usage).await.unwrap() {
                    Rename::Renamed(version) => {
                        model.remove(&from).unwrap();
                        let tombstone = left;
                        let grave = store.load(&key(from)).await.unwrap().expect("a tombstone");
                        assert_eq!(grave.record, tombstone);
                        let usage = grave.usage();
                        model.insert(from, Held { record: tombstone, version: grave.version, usage, lease: None });
                        let held =
                            Held { record: fresh, version, usage: Usage::at(&record_at(now, 0), now), lease: None };
                        assert!(model.insert(to, held).is_none());
                    }
                    Rename::Gone => assert!(!model.contains_key(&from)),
                    Rename::Exists => assert!(model.contains_key(&to)),
                    Rename::Conflict(_) => panic!("conflict"),
                }
            }
            Step::Lock { id, holder } => {
                let outcome = store.acquire(&key(id), Holder::from_u128(holder.into()), MINUTE * 10).await.unwrap();
                match (outcome, model.get_mut(&id)) {
                    (Acquire::Acquired { until, .. }, Some(held)) => {
                        assert_eq!(until, now + MINUTE * 10);
                        let version = store.load(&key(id)).await.unwrap().unwrap().version;
                        let mine = held.lease.filter(|(_, until)| now < *until).map(|(holder, _)| holder);
                        assert!(mine.is_none_or(|mine| mine == holder));
                        assert_eq!(version == held.version, mine == Some(holder), "acquiring changes the version");
                        (held.version, held.lease) = (version, Some((holder, until)));
                    }
                    (Acquire::Held, Some(held)) => {
                        assert!(held.lease.is_some_and(|(other, until)| other != holder && now < until));
                    }
                    (Acquire::Absent, None) => {}
                    (outcome, _) => panic!("{outcome:?}"),
                }
            }
            Step::Unlock { id, holder } => {
                let had = store.release(&key(id), Holder::from_u128(holder.into())).await.unwrap();
                let lease = model.get_mut(&id).map(|held| &mut held.lease);
                let expected = lease.as_ref().is_some_and(|l| l.is_some_and(|(h, until)| h == holder && now < until));
                assert_eq!(had, expected);
                if let (true, Some(lease)) = (had, lease) {
                    *lease = None;
                }
            }
            Step::Pass { minutes } => fixture.clock.advance(MINUTE * u32::from(minutes)),
            Step::Sweep => {
                assert_eq!(store.sweep().await.unwrap().remaining, sessions(&model));
            }
            Step::DeleteIdle { minutes } => {
                let since = now - MINUTE * u32::from(minutes);
                let Swept { remaining, .. } = store.delete_idle((MINUTE * u32::from(minutes)).into()).await.unwrap();
                model.retain(|_, held| !held.record.is_session() || held.usage.used_at + HOUR / 10 > since);
                assert_eq!(remaining, sessions(&model));
            }
            Step::Clear => {
                assert_eq!(store.clear().await.unwrap(), sessions(&model));
                model.clear();
            }
        }
        let now = fixture.clock.now();
        let other = &stores[(round + 1) % 2];
        for number in 0..5 {
            let stored = other.load(&key(number)).await.unwrap();
            match (stored, model.get(&number).filter(|held| held.usage.expires_at > now)) {
                (Some(stored), Some(held)) => {
                    assert_eq!((&stored.record, stored.version), (&held.record, held.version));
                    assert_eq!(stored.usage(), held.usage);
                }
                (None, None) => {}
                (stored, held) => panic!("{number}: {stored:?} but {}", held.is_some()),
            }
        }
    }
    let listed = stores[0].ids(session_layer::store::Cursor::START, 100).await.unwrap().ids;
    let now = fixture.clock.now();
    model.retain(|_, held| held.usage.expires_at > now);
    let expected: Vec<SessionId> =
        model.iter().filter(|(_, held)| held.record.is_session()).map(|(number, _)| key(*number)).collect();
    assert_eq!(listed.len(), expected.len());
    assert!(listed.iter().all(|id| expected.contains(id)));
    assert_eq!(stores[1].count().await.unwrap(), expected.len() as u64);
}

fn sessions(model: &HashMap<u8, Held>) -> u64 {
    model.values().filter(|held| held.record.is_session()).count() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
