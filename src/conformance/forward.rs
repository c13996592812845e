//! Does a wrapper pass every method on?

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Operation,
    fault::{Fault, FaultStore},
    sample::{Sample, tombstone},
};
use crate::{
    clock::Clock,
    store::{Create, Cursor, DynStore, Holder, Idle, SessionStore, StoreError, Stored, Usage, Version, capability},
};

/// What a wrapper does not pass on to the store that it wraps; see [`forwarding`].
///
/// A method that a wrapper does not forward runs in its provided form: it is slower, not atomic, or `Unsupported`,
/// although the store inside has it. Nothing else tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forwarding {
    /// Methods that do not reach the same method of the store inside.
    pub missing: Vec<Operation>,
    /// Methods that reach it, but answer success where the store inside answers `Unavailable`.
    pub swallowed: Vec<Operation>,
    /// Whether [`in_memory`](SessionStore::in_memory) is the inner store's.
    pub in_memory: bool,
    /// Whether [`overwrites`](SessionStore::overwrites) is the inner store's.
    pub overwrites: bool,
    /// Whether [`name`](SessionStore::name) is the inner store's.
    pub name: bool,
}

impl Forwarding {
    /// Panics unless everything is passed on but these, which the wrapper answers by itself on purpose.
    ///
    /// # Panics
    ///
    /// See above.
    #[track_caller]
    pub fn assert_all_but(&self, itself: &[Operation]) {
        let left_out = |operations: &[Operation]| -> Vec<Operation> {
            operations.iter().copied().filter(|operation| !itself.contains(operation)).collect()
        };
        let rest = Self { missing: left_out(&self.missing), swallowed: left_out(&self.swallowed), ..self.clone() };
        let passed_on = rest.missing.is_empty() && rest.swallowed.is_empty() && rest.in_memory && rest.overwrites;
        assert!(passed_on, "{rest}");
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
             overwrites is {}; name is {}",
            list(&self.missing),
            list(&self.swallowed),
            not(self.in_memory),
            not(self.overwrites),
            not(self.name)
        )
    }
}

/// Calls every method of a wrapper and looks which of them reach the store inside.
///
/// The inner store can be any: what it answers does not matter, `Unsupported` included. `clock` is the one that it and
/// the wrapper read.
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
    let name = wrap(FaultStore::new(inner.clone()).posing_as("forwarded", false)).name() == "forwarded";
    let mut forwarding = Forwarding { missing: Vec::new(), swallowed: Vec::new(), in_memory, overwrites, name };
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
        } else if answer.is_ok() && operation != Operation::Unlocked {
            forwarding.swallowed.push(operation);
        }
    }
    forwarding
}

/// A session to call a method on.
struct Call {
    session: Sample,
    version: Version,
    usage: Usage,
}

impl Call {
    /// A session that was created through the wrapper, so that it can read it.
    async fn prepare(wrapper: &impl SessionStore, clock: &Clock) -> Self {
        let session = Sample::new(clock.now());
        let version = match wrapper.create(&session.id, &session.record, session.usage).await {
            Ok(Create::Created(version)) => version,
            // Then the calls below are about a session that is not there, which is as good.
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
            Operation::Unlocked => {
                capability::leases(wrapper, "unlocked")?.unlocked(id, Duration::from_millis(1)).await;
                Ok(())
            }
            Operation::Flush => wrapper.flush().await,
            Operation::Close => wrapper.close().await,
            Operation::Metadata => wrapper.metadata(id).await.map(drop),
            Operation::Ids => capability::listing(wrapper, "ids")?.ids(Cursor::START, 10).await.map(drop),
            Operation::Count => capability::listing(wrapper, "count")?.count().await.map(drop),
            Operation::Clear => capability::clearing(wrapper, "clear")?.clear().await.map(drop),
            Operation::Sweep => capability::listing(wrapper, "sweep")?.sweep().await.map(drop),
            Operation::DeleteIdle => capability::listing(wrapper, "delete_idle")?
                .delete_idle(Idle::new(Duration::from_secs(60)))
                .await
                .map(drop),
            Operation::ListOwner => capability::owners(wrapper, "list_owner")?.list_owner("somebody").await.map(drop),
            Operation::Lock => {
                capability::leases(wrapper, "lock")?.lock(id, holder, Duration::from_secs(1)).await.map(drop)
            }
            Operation::Unlock => capability::leases(wrapper, "unlock")?.unlock(id, holder).await.map(drop),
        }
    }
}
