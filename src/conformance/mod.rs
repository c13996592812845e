//! The conformance kit: tests a store against the contract, sentence by sentence.
//!
//! The documentation of [`SessionStore`](crate::SessionStore) is a contract of numbered sentences. The kit tests a
//! store against each of them:
//!
//! - with two callers on two threads that start at the same time,
//! - with one future held back at each of its await points while another overtakes it,
//! - with futures that are dropped half-way,
//! - with a clock that is moved to the instant of expiry,
//! - with records from empty to large whose contents look like protocol.
//!
//! A failure names the sentence and quotes it:
//!
//! ```text
//! U1: If there is no live record, returns `Gone`: `update` never creates.
//!     broken: `update` of a removed session: expected Gone, the store answered Updated(Version(0000000000000003))
//!     found by the check u1_update_never_creates
//! ```
//!
//! Each sentence has a check, and each check is known to catch a store that breaks just that sentence: this crate's own
//! tests fail if either is missing.
//!
//! # How to use it
//!
//! Write a function that opens a fresh, empty store, and let [`tests!`] generate one test for each check:
//!
//! ```
//! # #[cfg(feature = "memory")]
//! mod my_store {
//!     use session_layer::{MemoryStore, conformance::{self, Harness}};
//!
//!     async fn open() -> Harness {
//!         let clock = conformance::manual_clock();
//!         Harness::new(MemoryStore::with_clock(clock.clone()), clock)
//!     }
//!
//!     conformance::tests!(open);
//! }
//! ```
//!
//! Add the feature to the dev-dependencies, along with tokio and its features `macros` and `rt-multi-thread`:
//!
//! ```toml
//! [dev-dependencies]
//! session-layer = { version = "0.1", features = ["conformance"] }
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! ```
//!
//! [`run`] runs all checks in one call and returns a [`Report`]. If the store has more than the minimum, tell the
//! [`Harness`]:
//!
//! | the store has | setting | effect |
//! |---|---|---|
//! | some of the [optional methods](Operation::OPTIONAL) | [`expects`](Harness::expects) | a missing method is a failure instead of a skip |
//! | several handles or processes on one backend | [`twin`](Harness::twin) | every interleaving between two of them |
//! | bytes that can rot | [`damage`](Harness::damage) | damage is never absent (G1), stays (G5), and can be removed (R4) |
//! | a backend that can be unavailable | [`outage`](Harness::outage) | unavailable is never absent (G1) and changes nothing (G5) |
//! | a backend behind a connection | [`lose_answers`](Harness::lose_answers) | a write whose answer is lost happens once (G6) |
//! | a largest record | [`refuses`](Harness::refuses), [`holds`](Harness::holds) | a refusal changes nothing (G5) |
//! | its own clock, or whole seconds | [`Clock::system`](crate::Clock::system), [`unit`](Harness::unit), [`late_by`](Harness::late_by) | the kit really waits |
//! | a wrapper around it | [`wrap`](Harness::wrap), [`forwarding`] | the wrapped store passes as well, and every method reaches it |
//!
//! Nothing is skipped silently. What the store or the harness lacks is listed as a [`Skip`] in the report, and
//! `cargo test` prints a line about it, even if the test passes.
//!
//! # Limits
//!
//! The kit is a test: it can show errors, but not their absence. It sees one process, unless the harness's twin is in
//! another. It kills no process, so the state after a crash needs the store's own tests, and so do its speed and its
//! behavior under load. Interleavings inside a backend are met by chance, in some hundreds of attempts for each pair of
//! calls ([`rounds`](Harness::rounds)). Those at the await points of the store's own futures are all tried.
//!
//! # Testing code against a failing store
//!
//! [`fault::FaultStore`] is for tests of code that *uses* a store: handlers, wrappers, the layer. It fails, hangs,
//! returns wrong answers and pauses on demand, and logs its calls.

mod bench;
mod check;
mod checks;
mod clock;
pub mod fault;
mod forward;
mod harness;
mod judge;
mod operation;
mod probe;
mod race;
mod report;
mod run;
mod sample;
mod sentence;
mod verdict;

#[doc(hidden)]
pub use self::run::{find, verdict};
pub use self::{
    check::Check,
    checks::checks,
    forward::{Forwarding, forwarding},
    harness::{Harness, manual_clock},
    operation::Operation,
    report::{Failure, Outcome, Report, Skip},
    run::run,
    sentence::{Sentence, sentences},
};
#[doc(inline)]
pub use crate::__conformance_tests as tests;
