//! Is this store right? The conformance kit says so, sentence by sentence.
//!
//! The documentation of [`SessionStore`](crate::SessionStore) is a contract of numbered sentences. The kit drives a
//! store through every one of them: with two callers on two threads from one starting line, with one future held back
//! at each of its await points while another overtakes it, with futures that are dropped half-way, with a clock that is
//! moved to the instant of expiry, with records from empty to large whose contents look like protocol. Its failures
//! name the sentence and quote it:
//!
//! ```text
//! U1: Where no live record is, the answer is `Gone`: `update` never creates.
//!     broken: `update` of a removed session: expected Gone, the store answered Updated(Version(0000000000000003))
//!     found by the check u1_update_never_creates
//! ```
//!
//! Each sentence has a check, and each check is known to catch a store that is broken in just that sentence: this
//! crate's own tests fail if one of the two is missing.
//!
//! # How to use it
//!
//! Say how a fresh, empty store is opened, and let [`tests!`] write one test of each check:
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
//! The feature belongs into the dev-dependencies, beside tokio with `macros` and `rt-multi-thread`:
//!
//! ```toml
//! [dev-dependencies]
//! session-layer = { version = "0.1", features = ["conformance"] }
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! ```
//!
//! [`run`] does all checks in one call and gives a [`Report`]. A [`Harness`] takes more, where a store has more:
//!
//! | what the store has | what to say | what it adds |
//! |---|---|---|
//! | some of the [optional methods](Operation::OPTIONAL) | [`expects`](Harness::expects) | a method that is lost is a failure, and no skip |
//! | several handles or processes on one backend | [`twin`](Harness::twin) | every interleaving between two of them |
//! | bytes that can rot | [`damage`](Harness::damage) | damaged is never absent (G1), stays (G5), and can be removed (R4) |
//! | a backend that can be away | [`outage`](Harness::outage) | unavailable is never absent (G1) and changes nothing (G5) |
//! | a backend behind a connection | [`lose_answers`](Harness::lose_answers) | a write whose answer is lost happens once (G6) |
//! | a largest record | [`refuses`](Harness::refuses), [`holds`](Harness::holds) | a refusal changes nothing (G5) |
//! | a clock of its own, or whole seconds | [`Clock::system`](crate::Clock::system), [`unit`](Harness::unit), [`late_by`](Harness::late_by) | the kit really waits |
//! | a wrapper around it | [`wrap`](Harness::wrap), [`forwarding`] | the wrapped store passes as well, and every method reaches it |
//!
//! Nothing is skipped silently: what the store or the harness lacks is a [`Skip`] in the report, and a line that
//! `cargo test` prints also if the test passes.
//!
//! # What it can't show
//!
//! It is a test, and shows the presence of errors. It sees one process, unless the harness's twin is another; it kills
//! none, so what a crash leaves behind is for the store's own tests, and so are its speed and what it does under load.
//! Interleavings inside a backend are met by chance, some hundreds of times for each pair of calls
//! ([`rounds`](Harness::rounds)); those at the await points of the store's own futures are all gone through.
//!
//! # What happens when a store fails
//!
//! [`fault::FaultStore`] is for tests of what stands *on* a store: handlers, wrappers, the layer. It fails, hangs,
//! answers nonsense and pauses on demand, and keeps a log of what it was asked.

mod bench;
mod check;
mod checks;
mod clock;
pub mod fault;
mod forward;
mod harness;
mod judge;
mod operation;
mod race;
mod report;
mod run;
mod sample;
mod sentence;

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
