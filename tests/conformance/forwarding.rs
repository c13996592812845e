//! Every wrapper passes every method on, and every list of methods is whole.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use session_layer::{
    CachedStore, DynStore, EncryptedStore, Event, KeyRing, Lifetime, ObservedStore, Secret, SessionId, SessionStore,
    conformance::{
        self, Operation,
        fault::{Bare, Fault, FaultStore},
    },
    id::TokenCheck,
    record::Record,
    store::{Cursor, Idle, Listing, Owners, Page, StoreError, Stored, Swept, Touch, Usage, Version},
};

use crate::{forward::forward, reference::Reference, stores::AtOnce};

/// The methods that answer with a future, as the contract writes them.
///
/// The methods that answer at once are not among them: whoever doesn't forward them is slower, and no less correct.
fn methods_of_the_contract() -> BTreeSet<String> {
    let source = include_str!("../../src/store/contract.rs");
    let (_, methods) = source.split_once("pub trait SessionStore").unwrap();
    let (methods, _) = methods.split_once("\n}\n").unwrap();
    let name = |method: &str| method.split(['(', '<']).next().unwrap().to_owned();
    let core = methods.split("\n    fn ").skip(1).map(name);
    let at_once = ["try_load", "try_create", "try_update"];
    let accessors =
        ["answers_at_once", "in_memory", "overwrites", "tracked", "name", "listing", "clearing", "owners", "leases"];
    let core = core.filter(|name| !accessors.contains(&name.as_str()) && !at_once.contains(&name.as_str()));
    let capabilities = include_str!("../../src/store/capability.rs");
    let capabilities = capabilities.split("\npub trait ").skip(1).map(|after| after.split_once("\n}\n").unwrap().0);
    core.chain(capabilities.flat_map(|methods| methods.split("\n    async fn ").skip(1).map(name))).collect()
}

#[test]
fn operation_lists_every_method_of_the_contract() {
    let listed: BTreeSet<_> = Operation::all().map(|operation| operation.name().to_owned()).collect();
    assert_eq!(listed, methods_of_the_contract());
    assert_eq!(listed.len(), Operation::all().count());
}

/// Whether an operation is required, provided or optional is what the contract's provided forms say.
#[tokio::test]
async fn operation_sorts_the_methods_as_the_contract_does() {
    let clock = conformance::manual_clock();
    let bare = Bare(FaultStore::new(Reference::new(clock.clone())));
    // Over a store with the required methods only, exactly these are passed on.
    let forwarding = conformance::forwarding(bare.clone(), &clock, Bare).await;
    assert!(forwarding.in_memory && forwarding.overwrites && forwarding.name);
    assert!(!forwarding.tracked);
    let missing: BTreeSet<_> = forwarding.missing.iter().copied().collect();
    assert_eq!(missing, Operation::PROVIDED.iter().chain(Operation::OPTIONAL).copied().collect());
    // And no capability.
    assert!(bare.listing().is_none() && bare.clearing().is_none());
    assert!(bare.owners().is_none() && bare.leases().is_none());
}

#[tokio::test]
async fn the_boxed_store_passes_every_method_on() {
    let clock = conformance::manual_clock();
    let forwarding = conformance::forwarding(Reference::new(clock.clone()), &clock, DynStore::new).await;
    forwarding.assert_all_but(&[]);
    assert!(forwarding.name);
}

#[tokio::test]
async fn the_fault_store_passes_every_method_on() {
    let clock = conformance::manual_clock();
    let forwarding = conformance::forwarding(Reference::new(clock.clone()), &clock, FaultStore::new).await;
    forwarding.assert_all_but(&[]);
    assert!(forwarding.name);
}

/// Forgets to forward, takes an error for an answer, and has ideas of its own.
#[derive(Clone)]
struct Careless<S>(S);

impl<S: SessionStore> SessionStore for Careless<S> {
    forward!(0: create, update, remove);

    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        Ok(self.0.load(id).await.unwrap_or_default())
    }

    async fn touch(&self, _: &SessionId, _: Usage) -> Result<Touch, StoreError> {
        Ok(Touch::Touched)
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl<S: SessionStore> Listing for Careless<S> {
    async fn ids(&self, _: Cursor, _: usize) -> Result<Page, StoreError> {
        Ok(Page::default())
    }

    async fn count(&self) -> Result<u64, StoreError> {
        match self.0.listing() {
            Some(listing) => listing.count().await,
            None => Ok(0),
        }
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        Ok(Swept::default())
    }

    async fn delete_idle(&self, _: Idle) -> Result<Swept, StoreError> {
        Ok(Swept::default())
    }
}

#[tokio::test]
async fn what_is_not_passed_on_is_named() {
    let clock = conformance::manual_clock();
    let forwarding = conformance::forwarding(Reference::new(clock.clone()), &clock, Careless).await;
    assert_eq!(forwarding.swallowed, [Operation::Load]);
    assert!(!forwarding.in_memory);
    assert!(!forwarding.overwrites);
    assert!(!forwarding.name);
    for missing in [Operation::Touch, Operation::Rename, Operation::Flush, Operation::Acquire, Operation::Released] {
        assert!(forwarding.missing.contains(&missing), "{missing}");
    }
    for passed_on in [Operation::Create, Operation::Update, Operation::Remove, Operation::Count] {
        assert!(!forwarding.missing.contains(&passed_on), "{passed_on}");
    }
    let text = forwarding.to_string();
    for part in ["not forwarded: [touch, end, rename", "in_memory is NOT forwarded", "overwrites is NOT forwarded"] {
        assert!(text.contains(part), "{text}");
    }
}

fn ring() -> KeyRing {
    KeyRing::new(Secret::from_bytes(std::array::from_fn::<u8, 32, _>(|at| (at as u8).wrapping_mul(37))).unwrap())
}

/// Answers the inner store's capabilities as they are.
struct Lender<S>(S);

impl<S: SessionStore> SessionStore for Lender<S> {
    forward!(0: load, create, update, touch, remove);

    fn owners(&self) -> Option<&dyn Owners> {
        self.0.owners()
    }
}

#[tokio::test]
async fn a_wrapper_that_answers_the_inner_stores_capability_is_named() {
    let clock = conformance::manual_clock();
    let inner = || Reference::new(clock.clone());
    let lender = conformance::forwarding(inner(), &clock, Lender).await;
    assert_eq!(lender.lent, ["owners"]);
    assert!(std::panic::catch_unwind(|| lender.assert_own_capabilities()).is_err());
    conformance::forwarding(inner(), &clock, CachedStore::new).await.assert_own_capabilities();
    conformance::forwarding(inner(), &clock, |inner| EncryptedStore::new(inner, ring()))
        .await
        .assert_own_capabilities();
    let observe = |inner| ObservedStore::new(inner, |_: &Event<'_>| ());
    conformance::forwarding(inner(), &clock, observe).await.assert_own_capabilities();
}

/// Each of the three methods that answer at once: whether it answers.
fn answers(store: &impl SessionStore) -> [bool; 3] {
    let record = Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::UNIX_EPOCH, Lifetime::default());
    let (id, record) = (SessionId::for_epoch("x"), Arc::new(record));
    let usage = Usage::at(&record, SystemTime::UNIX_EPOCH);
    [
        store.try_load(&id).is_some(),
        store.try_create(&id, &record, usage).is_some(),
        store.try_update(&id, &record, &Version::from_u64(1), usage).is_some(),
    ]
}

/// A call that is answered at once must not bypass what a wrapper does.
#[tokio::test]
async fn a_wrapper_answers_at_once_only_if_it_does_its_own_work() {
    let inner = || Reference::new(conformance::manual_clock());
    let all = |store: &dyn Fn() -> DynStore, expected| {
        assert_eq!(answers(&store()), [expected; 3]);
        assert_eq!(store().answers_at_once(), expected);
    };
    all(&|| DynStore::new(inner()), true);
    all(&|| DynStore::new(ObservedStore::new(inner(), |_: &Event<'_>| ())), true);
    all(&|| DynStore::new(EncryptedStore::new(inner(), ring())), true);
    all(&|| DynStore::new(FaultStore::new(inner())), true);
    all(&|| DynStore::new(Bare(inner())), false);
    all(&|| DynStore::new(EncryptedStore::new(Bare(inner()), ring())), false);
    // Nothing is cached in front of a store in memory. `AtOnce` does not say that it is one.
    all(&|| DynStore::new(CachedStore::new(inner())), true);
    all(&|| DynStore::new(AtOnce(inner())), true);
    all(&|| DynStore::new(CachedStore::new(AtOnce(inner()))), false);
}

#[tokio::test]
async fn a_fault_store_logs_what_it_answers_at_once_and_leaves_what_a_fault_concerns() {
    let faults = FaultStore::new(Reference::new(conformance::manual_clock()));
    assert_eq!(answers(&faults), [true; 3]);
    assert_eq!(faults.total(), 3, "each of them is in the log");
    faults.inject(Fault::unavailable().on(Operation::Create));
    assert_eq!(answers(&faults), [true, false, true]);
    faults.heal();
    faults.lose_answer(Some(9));
    assert_eq!(answers(&faults), [false; 3]);
    assert_eq!(faults.total(), 5, "a call that is not answered at once is not made");
}
