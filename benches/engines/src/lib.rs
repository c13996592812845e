//! Shared by the programs here: the reference session, a small random number generator, and the memory in use.
#![allow(clippy::missing_panics_doc, reason = "a bench has no caller to tell")]

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use session_layer::{
    Lifetime, SessionId,
    id::{SessionToken, TokenCheck},
    record::{Entries, Epoch, Owner, Record},
};

/// Runs a call that never waits, such as those of a memory store without snapshots.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a memory store without snapshots never waits"),
    }
}

/// The reference session of the budgets: a user, a cart of ten, a CSRF token and a counter, about 0.7 KB as JSON.
pub fn reference(number: u64) -> Arc<Record> {
    let user = format!(
        "\u{1}{{\"id\":{number},\"name\":\"Ada Lovelace\",\"email\":\"ada{number:08}@example.org\",\
         \"roles\":[\"admin\",\"editor\",\"reader\"]}}"
    );
    let item = |at| format!("{{\"sku\":\"SKU-{at:06}\",\"name\":\"Item {at}\",\"quantity\":1,\"cents\":1999}}");
    let cart = format!("\u{1}[{}]", (0..9).map(item).collect::<Vec<_>>().join(","));
    let csrf = "\u{1}\"0123456789abcdef0123456789abcdef\"";
    let pairs = [("cart", cart.as_bytes()), ("csrf", csrf.as_bytes()), ("n", b"\x0142"), ("user", user.as_bytes())];
    let entries = Entries::from_sorted(pairs.into_iter()).expect("sorted");
    Arc::new(
        Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default()).with_entries(entries),
    )
}

/// The reference session with an owner.
pub fn owned(number: u64) -> Arc<Record> {
    let owner = Owner::new(format!("ada{number:08}@example.org"), Epoch::from_u64(number)).expect("a name");
    Arc::new((*reference(number)).clone().with_owner(Some(owner)))
}

/// A new id, generated as the layer does.
pub fn fresh_id() -> SessionId {
    SessionToken::generate().expect("random numbers").identify("sid").0
}

/// A pseudo-random generator (xorshift64*), good enough to pick sessions.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.number()) * bound as u128) >> 64) as usize
    }
}

/// Returns the resident bytes of this process, from `/proc` (Linux only).
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kilobytes * 1024
}
