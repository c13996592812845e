//! Random schedules of several clients of one session, with lost answers: nothing forks, nothing is lost or done twice, and
//! nothing that has ended comes back.
//!
//! `SESSION_LAYER_SCHEDULES=100000 cargo test --release --all-features --test http schedules` runs that many on each store.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use http::StatusCode;
use session_layer::{
    CacheSettings, CachedStore, Clock, Create, DynStore, EncryptedStore, Epoch, Error, ErrorKind, MemoryStore, Record,
    Rename, Session, SessionId, SessionStore, StoreError, StoreErrorKind, Stored, Touch, Update, Usage, Version,
    conformance::fault::{Bare, FaultStore},
};

use crate::{stores::ring, support::*};

/// SplitMix64: the same schedule for the same seed.
#[derive(Debug, Clone)]
pub struct Dice(Arc<AtomicU64>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
    }

    /// A number below this one.
    pub fn below(&self, limit: u64) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// A store whose calls take their turns as the dice say, and whose writes lose requests and answers.
#[derive(Debug, Clone)]
struct Chance {
    inner: MemoryStore,
    dice: Dice,
    /// Off while a schedule is set up and looked through.
    is_on: Arc<std::sync::atomic::AtomicBool>,
}

impl Chance {
    async fn wait(&self) {
        for _ in 0..self.dice.below(4) {
            tokio::task::yield_now().await;
        }
    }

    /// 15 % of the answers are lost: of those, half were of writes that were done, and a part of the rest is known to be
    /// refused.
    async fn write<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        if !self.is_on.load(Ordering::Relaxed) {
            return call.await;
        }
        self.wait().await;
        let fate = self.dice.below(100);
        let failed = |kind| Err(StoreError::new(kind).because("lost"));
        match fate {
            0..3 => failed(StoreErrorKind::Unavailable),
            3..8 => failed(StoreErrorKind::OutcomeUnknown),
            8..15 => {
                let _ = call.await;
                self.wait().await;
                failed(StoreErrorKind::OutcomeUnknown)
            }
            _ => {
                let answer = call.await;
                self.wait().await;
                answer
            }
        }
    }

    async fn read<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        if !self.is_on.load(Ordering::Relaxed) {
            return call.await;
        }
        self.wait().await;
        let answer = call.await;
        self.wait().await;
        answer
    }
}

impl SessionStore for Chance {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        self.read(self.inner.load(id)).await
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        self.write(self.inner.create(id, record, usage)).await
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        self.write(self.inner.update(id, record, expected, usage)).await
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        self.write(self.inner.touch(id, usage)).await
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.write(self.inner.remove(id)).await
    }

    async fn rename(
        &self,
        from: &SessionId,
        expected: &Version,
        tombstone: &Arc<Record>,
        to: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Rename, StoreError> {
        self.write(self.inner.rename(from, expected, tombstone, to, record, usage)).await
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        self.read(self.inner.owner_epoch(owner)).await
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        self.write(self.inner.ensure_epoch(owner, usage)).await
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        self.write(self.inner.renew_epoch(owner, usage)).await
    }
}

/// What the clients were told.
#[derive(Debug, Default)]
struct Told {
    /// Numbers that were added, and acknowledged.
    added: BTreeSet<u64>,
    /// Numbers whose addition was reported as failed, and not as unknown.
    refused: BTreeSet<u64>,
    /// The session was ended, or its owner's sessions were, and that was acknowledged.
    ended: bool,
    /// Every cookie that was set, and the first one.
    cookies: Vec<Jar>,
    /// What happened, for whoever looks into a failure.
    story: Vec<String>,
}

fn add(number: u64) -> impl Fn(&mut Vec<u64>) + Send + Sync + Clone + 'static {
    move |log| log.push(number)
}

/// One request. What it was told of the session with the first one's data is noted.
async fn act(site: &Site, jar: &mut Jar, dice: &Dice, number: u64, told: &Arc<Mutex<Told>>) {
    let (what, then) = (dice.below(10), dice.below(3));
    let (sessions, notes, place) = (site.layer.sessions(), Arc::clone(told), format!("{number}: {what} {then}"));
    let failures = Arc::new(Mutex::new(None));
    let failure = Arc::clone(&failures);
    let acts = Arc::new(Mutex::new(false));
    let is_ours = Arc::clone(&acts);
    let handler = async move |session: Session| -> Result<(), Error> {
        *is_ours.lock().unwrap() = session.get::<bool>("first")?.is_some();
        match what {
            0 | 1 => session.update("log", add(number))?,
            2 | 3 => {
                let outcome = session.update_now("log", add(number)).await;
                if let Err(error) = outcome {
                    *failure.lock().unwrap() = Some(error.kind());
                    return Err(error);
                }
            }
            4 => {
                session.renew()?;
                session.update("log", add(number))?;
            }
            5 => {
                session.login("ada")?;
                session.update("log", add(number))?;
                let outcome = session.save().await;
                // Over a session that is gone or was superseded meanwhile, a login begins a new one.
                *is_ours.lock().unwrap() = session.contains("first");
                if let Err(error) = outcome {
                    *failure.lock().unwrap() = Some(error.kind());
                    return Err(error);
                }
            }
            6 => {
                let mut log: Vec<u64> = session.get_or_default("log")?;
                log.push(number);
                session.insert("log", &log)?;
            }
            7 => {
                session.update("log", add(number))?;
                session.renew()?;
                if let Err(error) = session.save().await {
                    *failure.lock().unwrap() = Some(error.kind());
                    return Err(error);
                }
            }
            8 if then == 0 => session.destroy()?,
            8 => session.update("log", add(number))?,
            _ if then == 0 => {
                sessions.revoke("ada").await?;
                notes.lock().unwrap().ended = true;
            }
            _ => session.insert("other", &number)?,
        }
        Ok(())
    };
    let reply = site.visit(jar, handler).await;
    let mut told = told.lock().unwrap();
    let is_ours = *acts.lock().unwrap();
    told.story.push(format!("{place} ours {is_ours} -> {} {}", reply.status, reply.cookies().len()));
    if !reply.sets_no_cookie() && jar.value.is_some() {
        told.cookies.push(jar.clone());
    }
    let adds = match what {
        0..=7 => true,
        8 => then != 0,
        _ => false,
    };
    let failure = *failures.lock().unwrap();
    match (reply.status, failure) {
        (StatusCode::OK, _) if adds && is_ours => drop(told.added.insert(number)),
        (StatusCode::OK, _) if what == 8 && then == 0 && is_ours => told.ended = true,
        (StatusCode::CONFLICT, _) => drop(told.refused.insert(number)),
        (_, Some(kind)) if kind != ErrorKind::OutcomeUnknown => drop(told.refused.insert(number)),
        _ => {}
    }
}

type Wrap = fn(Chance, &Clock) -> DynStore;

async fn schedule(seed: u64, wrap: Wrap) -> Result<(), String> {
    let dice = Dice::new(seed);
    let clock = Clock::manual(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000));
    let memory = MemoryStore::with_clock(clock.clone());
    let chance = Chance { inner: memory.clone(), dice: dice.clone(), is_on: Arc::default() };
    let is_on = Arc::clone(&chance.is_on);
    let site = Site::over(wrap(chance, &clock), FaultStore::new(memory), clock, |builder| builder);
    let mut first = site.jar();
    site.visit(&mut first, async |session: Session| {
        session.login("ada")?;
        session.insert("first", &true)?;
        session.insert("log", &Vec::<u64>::new())
    })
    .await;
    let told = Arc::new(Mutex::new(Told { cookies: vec![first.clone()], ..Told::default() }));
    is_on.store(true, Ordering::Relaxed);
    let clients: Vec<_> = (0..3_u64)
        .map(|client| {
            let (site, mut jar, dice, told) = (site.clone(), first.clone(), dice.clone(), Arc::clone(&told));
            tokio::spawn(async move {
                for turn in 0..3 {
                    if jar.value.is_none() {
                        break;
                    }
                    act(&site, &mut jar, &dice, client * 10 + turn, &told).await;
                    if dice.below(3) == 0 {
                        site.clock.advance(std::time::Duration::from_millis(dice.below(2)));
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await.map_err(|error| error.to_string())?;
    }
    is_on.store(false, Ordering::Relaxed);
    let told = std::mem::take(&mut *told.lock().unwrap());
    judge(&site, &told).await.map_err(|fault| format!("seed {seed}: {fault}\n{}", told.story.join("\n")))
}

/// Looks at what every token leads to that was ever handed out.
async fn judge(site: &Site, told: &Told) -> Result<(), String> {
    let mut holders = BTreeSet::new();
    let mut log = Vec::new();
    for jar in &told.cookies {
        let found = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&found);
        site.send(jar, async move |session: Session| {
            session.skip_touch();
            if session.get::<bool>("first").unwrap().is_some() {
                let log: Vec<u64> = session.get("log").unwrap().unwrap();
                *slot.lock().unwrap() = Some((session.id().unwrap(), log));
            }
        })
        .await;
        if let Some((id, entries)) = found.lock().unwrap().take() {
            holders.insert(id);
            log = entries;
        }
    }
    if holders.len() > 1 {
        return Err(format!("the session has forked: {holders:?}"));
    }
    let is_alive = !holders.is_empty();
    if is_alive && told.ended {
        return Err("what has ended is alive".to_owned());
    }
    let held: BTreeSet<u64> = log.iter().copied().collect();
    if held.len() != log.len() {
        return Err(format!("done twice: {log:?}"));
    }
    if is_alive && !told.added.is_subset(&held) {
        return Err(format!("acknowledged and lost: {:?} of {log:?}", told.added.difference(&held)));
    }
    if held.intersection(&told.refused).next().is_some() {
        return Err(format!("reported as failed and done: {:?}", held.intersection(&told.refused)));
    }
    Ok(())
}

fn run(name: &str, wrap: Wrap) {
    let count = std::env::var("SESSION_LAYER_SCHEDULES").ok().and_then(|count| count.parse().ok()).unwrap_or(500);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for seed in 0..count {
        if let Err(fault) = runtime.block_on(schedule(seed, wrap)) {
            panic!("{name}, {fault}");
        }
    }
}

#[test]
fn no_schedule_forks_or_loses_or_revives_with_the_stores_own_rename() {
    run("memory", |chance, _| DynStore::new(chance));
}

#[test]
fn no_schedule_forks_or_loses_or_revives_with_the_provided_rename() {
    run("provided", |chance, _| DynStore::new(Bare(chance)));
}

#[test]
fn no_schedule_forks_or_loses_or_revives_in_sealed_records() {
    run("sealed", |chance, _| DynStore::new(EncryptedStore::new(chance, ring())));
}

#[test]
fn no_schedule_forks_or_loses_or_revives_behind_a_cache() {
    run("cached", |chance, clock| {
        let remote = FaultStore::new(chance).posing_as("remote", false);
        DynStore::new(CachedStore::with_settings(remote, CacheSettings::new().clock(clock.clone())))
    });
}
