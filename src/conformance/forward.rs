//! Tests whether a wrapper forwards every method.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Operation,
    fault::{Fault, FaultStore},
    sample::{Sample, tombstone},
};
use crate::{
    clock::Clock,
    id::SessionId,
    store::{Create, Cursor, DynStore, Holder, Idle, SessionStore, StoreError, Stored, Usage, Version, require},
};

/// The methods that a wrapper doesn't forward to the store that it wraps; see [`forwarding`].
///
/// If a wrapper doesn't forward a method, the provided implementation runs: it is slower, not atomic, or returns
/// `Unsupported`, although the inner store has its own. Nothing else reveals that.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forwarding {
    /// Methods that don't reach the same method of the inner store.
    pub missing: Vec<Operation>,
    /// Methods that reach it, but succeed although the inner store returned `Unavailable`.
    pub swallowed: Vec<Operation>,
    /// Capabilities that the wrapper answers from the inner store instead of itself. Calls through them bypass what the
    /// wrapper does, such as hashing owners' names or dropping cached records.
    pub lent: Vec<&'static str>,
    /// Whether [`in_memory`](SessionStore::in_memory) is forwarded.
    pub in_memory: bool,
    /// Whether [`overwrites`](SessionStore::overwrites) is forwarded.
    pub overwrites: bool,
    /// Whether [`tracked`](SessionStore::tracked) is forwarded.
    pub tracked: bool,
    /// Whether [`name`](SessionStore::name) is forwarded.
    pub name: bool,
}

impl Forwarding {
    /// Asserts that everything is forwarded except these methods, which the wrapper implements itself on purpose.
    ///
    /// The [`name`](Self::name) and [capabilities](Self::assert_own_capabilities) are not part of this assertion.
    ///
    /// # Panics
    ///
    /// If another method is missing or swallows an error, or `in_memory`, `overwrites` or `tracked` is not forwarded.
    #[track_caller]
    pub fn assert_all_but(&self, itself: &[Operation]) {
        let left_out = |operations: &[Operation]| -> Vec<Operation> {
            operations.iter().copied().filter(|operation| !itself.contains(operation)).collect()
        };
        let rest = Self { missing: left_out(&self.missing), swallowed: left_out(&self.swallowed), ..self.clone() };
        let all_answers = rest.in_memory && rest.overwrites && rest.tracked;
        let passed_on = rest.missing.is_empty() && rest.swallowed.is_empty() && all_answers;
        assert!(passed_on, "{rest}");
    }

    /// Asserts that the wrapper answers its capabilities itself.
    ///
    /// # Panics
    ///
    /// If the wrapper answers the inner store's capability instead.
    #[track_caller]
    pub fn assert_own_capabilities(&self) {
        assert!(
            self.lent.is_empty(),
            "the wrapper answers the inner store's own {:?}: answer `Some(self)`, and ask the inner store's capability in the \
             wrapper's implementation",
            self.lent
        );
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |operations: &[Operation]| {
            operations.iter().map(|operation| operation.name()).collect::<Vec<_>>().join(", ")
        };
        let not = |forwarded: bool| if forwarded { "forwarded" } else { "NOT forwarded" };
        write!(
            f,
            "methods that are not forwarded: [{}]; errors that are swallowed: [{}]; in_memory is {}; \
             overwrites is {}; tracked is {}; name is {}",
            list(&self.missing),
            list(&self.swallowed),
            not(self.in_memory),
            not(self.overwrites),
            not(self.tracked),
            not(self.name)
        )
    }
}

/// Calls every method of a wrapper and records which of them reach the inner store.
///
/// The inner store can be any: its answers don't matter, including `Unsupported`. `clock` is the clock that it and the
/// wrapper read.
///
/// ```
/// use session_layer::{DynStore, conformance};
/// # #[cfg(feature = "memory")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # use session_layer::MemoryStore;
///
/// let clock = conformance::manual_clock();
/// let inner = MemoryStore::with_clock(clock.clone());
/// conformance::forwarding(inner, &clock, DynStore::new).await.assert_all_but(&[]);
/// # });
/// ```
pub async fn forwarding<S, W>(inner: S, clock: &Clock, wrap: impl Fn(FaultStore<DynStore>) -> W) -> Forwarding
where
    S: SessionStore,
    W: SessionStore,
{
    let inner = DynStore::new(inner);
    let in_memory = [true, false].into_iter().all(|answer| {
        let inner = FaultStore::new(inner.clone()).posing_as("forwarded", answer);
        wrap(inner).in_memory() == answer
    });
    let overwrites = [true, false].into_iter().all(|answer| {
        let inner = FaultStore::new(inner.clone()).posing_as_overwriting(answer);
        wrap(inner).overwrites() == answer
    });
    let posing = wrap(FaultStore::new(inner.clone()).posing_as("forwarded", false));
    let name = posing.name() == "forwarded";
    let tracked = posing.tracked(&SessionId::for_epoch("forwarded"), &Version::from_u64(1));
    let tracked = tracked.is_some_and(|tracked| tracked.is_current());
    let wrapper = wrap(FaultStore::new(inner.clone()));
    let inside = std::any::type_name::<FaultStore<DynStore>>();
    let lent = [
        ("listing", wrapper.listing().map(|listing| listing.implementor())),
        ("clearing", wrapper.clearing().map(|clearing| clearing.implementor())),
        ("owners", wrapper.owners().map(|owners| owners.implementor())),
        ("leases", wrapper.leases().map(|leases| leases.implementor())),
    ];
    let lent = lent.into_iter().filter(|(_, of)| *of == Some(inside)).map(|(name, _)| name).collect();
    let (missing, swallowed) = (Vec::new(), Vec::new());
    let mut forwarding = Forwarding { missing, swallowed, lent, in_memory, overwrites, tracked, name };
    // Last, because little works after them.
    let last = [Operation::Clear, Operation::Close];
    let operations = Operation::all().filter(|operation| !last.contains(operation)).chain(last);
    for operation in operations {
        let inner = FaultStore::new(inner.clone());
        let wrapper = wrap(inner.clone());
        let call = Call::prepare(&wrapper, clock).await;
        inner.forget();
        inner.inject(Fault::unavailable().on(operation));
        let answer = call.make(operation, &wrapper).await;
        if inner.calls(operation) == 0 {
            forwarding.missing.push(operation);
        } else if answer.is_ok() && operation != Operation::Released {
            forwarding.swallowed.push(operation);
        }
    }
    forwarding
}

/// A session to call methods on.
struct Call {
    session: Sample,
    version: Version,
    usage: Usage,
}

impl Call {
    /// Creates a session through the wrapper, so that the wrapper can read it.
    async fn prepare(wrapper: &impl SessionStore, clock: &Clock) -> Self {
        let session = Sample::new(clock.now());
        let version = match wrapper.create(&session.id, &session.record, session.usage).await {
            Ok(Create::Created(version)) => version,
            // Then the calls below concern a session that is absent, which serves just as well.
            Ok(Create::Exists) | Err(_) => Version::from_u64(1),
        };
        Self { usage: Usage::keep_for(clock.now(), Duration::from_secs(7_200)), session, version }
    }

    async fn make(&self, operation: Operation, wrapper: &impl SessionStore) -> Result<(), StoreError> {
        let Self { session: Sample { id, record, .. }, version, usage } = self;
        let holder = Holder::from_u128(1);
        match operation {
            Operation::Load => wrapper.load(id).await.map(drop),
            Operation::Create => {
                let new = Sample::new(usage.used_at);
                wrapper.create(&new.id, &new.record, *usage).await.map(drop)
            }
            Operation::Update => wrapper.update(id, &self.session.variant(1), version, *usage).await.map(drop),
            Operation::Touch => wrapper.touch(id, *usage).await.map(drop),
            Operation::Remove => wrapper.remove(id).await.map(drop),
            Operation::End => wrapper.end(id, version, usage.used_at).await.map(drop),
            Operation::Rename => {
                let to = Sample::new(usage.used_at);
                wrapper.rename(id, version, &tombstone(usage.used_at), &to.id, &to.record, *usage).await.map(drop)
            }
            Operation::Refresh => {
                let held = Stored::new(Arc::clone(record), *version, *usage);
                wrapper.refresh(id, &held).await.map(drop)
            }
            Operation::OwnerEpoch => wrapper.owner_epoch("somebody").await.map(drop),
            Operation::EnsureEpoch => wrapper.ensure_epoch("somebody", *usage).await.map(drop),
            Operation::RenewEpoch => wrapper.renew_epoch("somebody", *usage).await,
            Operation::Released => {
                require::leases(wrapper, "released")?.released(id, Duration::from_millis(1)).await;
                Ok(())
            }
            Operation::Flush => wrapper.flush().await,
            Operation::Close => wrapper.close().await,
            Operation::Metadata => wrapper.metadata(id).await.map(drop),
            Operation::Ids => require::listing(wrapper, "ids")?.ids(Cursor::START, 10).await.map(drop),
            Operation::Count => require::listing(wrapper, "count")?.count().await.map(drop),
            Operation::Clear => require::clearing(wrapper, "clear")?.clear().await.map(drop),
            Operation::Sweep => require::listing(wrapper, "sweep")?.sweep().await.map(drop),
            Operation::DeleteIdle => require::listing(wrapper, "delete_idle")?
                .delete_idle(Idle::new(Duration::from_secs(60)))
                .await
                .map(drop),
            Operation::ListOwner => require::owners(wrapper, "list_owner")?.list_owner("somebody").await.map(drop),
            Operation::Acquire => {
                require::leases(wrapper, "acquire")?.acquire(id, holder, Duration::from_secs(1)).await.map(drop)
            }
            Operation::Release => require::leases(wrapper, "release")?.release(id, holder).await.map(drop),
        }
    }
}
