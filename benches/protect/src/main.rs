//! Measures what sealing and caching add to a load of the memory store: `cargo run --release -p bench-protect`.

use std::{
    hint::black_box,
    io::{self, Write},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use session_layer::{
    CachedStore, EncryptedStore, KeyRing, Lifetime, MemoryStore, SessionId, SessionStore,
    id::TokenCheck,
    record::{Entries, Record},
    store::{CacheConfig, Usage},
};

#[path = "../../../tests/protect/remote.rs"]
mod remote;

/// Many and short rounds, so that nothing else on the machine affects the median.
const ROUNDS: usize = 301;
const LOADS: usize = 500;
const SESSIONS: usize = 1_000;

/// The reference session of the budgets: about 0.7 KB.
fn reference() -> Record {
    let user = br#"{"id":4711,"name":"Ada Lovelace","email":"ada@example.org","roles":["admin","editor","reader"]}"#;
    let item = r#"{"sku":"A-10000","title":"a thing","count":1,"price":1999}"#;
    let cart = format!("[{}]", [item; 10].join(","));
    let pairs = [("cart", cart.as_bytes()), ("csrf", &[b'c'; 34][..]), ("n", &b"42"[..]), ("user", &user[..])];
    let entries = Entries::from_sorted(pairs.into_iter()).expect("they are in order");
    Record::session(TokenCheck::from_bytes([1; 16]), SystemTime::now(), Lifetime::default()).with_entries(entries)
}

/// Runs a call that never waits: one poll completes it.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a memory store does not wait"),
    }
}

fn round(store: &impl SessionStore, ids: &[SessionId]) -> f64 {
    let start = Instant::now();
    for at in 0..LOADS {
        black_box(now(store.load(&ids[at % ids.len()])).expect("it does not fail").expect("it is there"));
    }
    start.elapsed().as_secs_f64() * 1e9 / LOADS as f64
}

fn main() -> io::Result<()> {
    let ring = KeyRing::from_lines("NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=").expect("a good secret");
    let memory = MemoryStore::new();
    let sealed = EncryptedStore::new(MemoryStore::new(), ring);
    let away = || remote::Remote(MemoryStore::new());
    let trusted = CacheConfig::new().trusted(Duration::from_secs(3_600));
    let trusted = CachedStore::with_config(away(), trusted);
    let validated = CachedStore::new(away());

    let ids: Vec<_> = (0..SESSIONS).map(|number| SessionId::for_epoch(&number.to_string())).collect();
    let record = Arc::new(reference());
    for id in &ids {
        let usage = Usage::at(&record, SystemTime::now());
        now(memory.create(id, &record, usage)).expect("it does not fail");
        now(sealed.create(id, &record, usage)).expect("it does not fail");
        now(trusted.create(id, &record, usage)).expect("it does not fail");
        now(validated.create(id, &record, usage)).expect("it does not fail");
    }
    // Interleaved, so that whatever else the machine does affects all of them.
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        times[0].push(round(&memory, &ids));
        times[1].push(round(&sealed, &ids));
        times[2].push(round(&trusted, &ids));
        times[3].push(round(&validated, &ids));
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    writeln!(io::stdout(), "one load, {} bytes, {ROUNDS} rounds of {LOADS}", record.encoded_len())?;
    print("median", times.each_ref().map(|times| times[ROUNDS / 2]))?;
    print("best, for a machine that does other things besides", times.each_ref().map(|times| times[0]))
}

fn print(what: &str, [memory, sealed, trusted, validated]: [f64; 4]) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{what}:")?;
    writeln!(out, "memory store              {memory:6.0} ns")?;
    writeln!(out, "sealed over memory        {sealed:6.0} ns, {:.2} us more (budget 3)", (sealed - memory) / 1e3)?;
    writeln!(out, "cached, trusted, hit      {trusted:6.0} ns, {:.2} of memory (budget 1.5)", trusted / memory)?;
    writeln!(
        out,
        "cached, validated, hit    {validated:6.0} ns, {:.2} of memory, of which it asks memory",
        validated / memory
    )
}
