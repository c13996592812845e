//! Stores that fail on purpose, pause where a test wants them to, and log their calls.
//!
//! [`FaultStore`] wraps any store. A [`Fault`] says what goes wrong and at which calls. A [`Gate`] stops a call at a
//! fixed point until the test releases it, so an interleaving doesn't depend on luck. The log of [`Call`]s says what
//! the store was asked. [`Bare`] has only the required methods, so the provided ones run over them step by step.
//!
//! ```
//! use session_layer::{SessionId, SessionStore, store::StoreErrorKind};
//! use session_layer::conformance::{Operation, fault::{Fault, FaultStore}};
//! # #[cfg(feature = "memory")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # use session_layer::MemoryStore;
//!
//! let store = FaultStore::new(MemoryStore::new());
//! // The second load from now on fails, once.
//! store.inject(Fault::unavailable().on(Operation::Load).nth(2));
//!
//! let id = SessionId::for_epoch("somebody");
//! assert!(store.load(&id).await.is_ok());
//! assert_eq!(store.load(&id).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
//! assert!(store.load(&id).await.is_ok());
//! assert_eq!(store.calls(Operation::Load), 3);
//! # });
//! ```
//!
//! | what goes wrong | how |
//! |---|---|
//! | the store is down | [`Fault::unavailable`], or [`Fault::error`] with another kind |
//! | the n-th call fails | `.nth(n)`; the first few: `.first(n)`; only one operation or session: `.on(..)`, `.session(..)` |
//! | a write is done, but its answer is lost | [`Fault::outcome_unknown`], or any other with `.afterwards()` |
//! | the answer to the n-th call is lost | [`FaultStore::lose_answer`], for [`Harness::lose_answers`](super::Harness::lose_answers) |
//! | the store is slow, or hangs | [`Fault::slow`] by tokio's time, [`Fault::hanging`] |
//! | the stored bytes are damaged | [`Fault::corrupt`] |
//! | an expired record is returned | [`Fault::expired`] |
//! | another session's check is returned | [`Fault::another_check`]; anything else: [`Fault::alter`] |
//! | one call overtakes another | [`FaultStore::pause`], or [`Fault::pause`] with the selectors above |

mod bare;
mod gate;
mod log;
mod plan;
mod store;

pub use self::{
    bare::Bare,
    gate::Gate,
    log::{Call, CallOutcome},
    plan::{Fault, Step},
    store::FaultStore,
};
