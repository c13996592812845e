//! Random schedules over every kind of store.

use crate::{
    schedule::{Schedule, Successes},
    stores::{Base, Below, Kind},
};

/// The number of schedules over each kind of store, unless `SCHEDULES` is set.
const MEMORY: u64 = 100;
const FILE: u64 = 15;
const MEMCACHED: u64 = 25;
#[cfg(feature = "redis")]
const REDIS: u64 = 50;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, and not {value:?}")))
}

pub(crate) fn runtime(base: Base) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    match base {
        // Tasks wait only for the schedule, so time is paused.
        Base::Memory => builder.enable_time().start_paused(true),
        Base::File | Base::Memcached | Base::Redis => builder.enable_all(),
    };
    builder.build().unwrap()
}

/// Runs `each` schedules over this kind of store. If a seed is set, runs only that one.
fn run(kind: Kind, each: u64) -> Successes {
    let mut successes = Successes::new();
    let alone = setting("SCHEDULE_SEED");
    let seeds = match alone {
        Some(seed) => seed..seed + 1,
        None => 0..setting("SCHEDULES").unwrap_or(each),
    };
    runtime(kind.base).block_on(async {
        let mut below = Below::open(kind).await;
        for seed in seeds {
            match Schedule::run(&below, seed, &mut successes).await {
                Ok(trace) if alone.is_some() => eprintln!("{kind}:\n{}", trace.join("\n")),
                Ok(_) => {}
                Err(wrong) => panic!("{kind}, SCHEDULE_SEED={seed}:\n{wrong}"),
            }
            below.clear().await;
            if kind.base == Base::Memory && seed % 64 == 63 {
                below = Below::open(kind).await;
            }
        }
    });
    successes
}

/// Runs them over all kinds with one base.
fn run_all(base: Base, each: u64) {
    let mut successes = Successes::new();
    let kinds: Vec<_> = Kind::all(base).collect();
    for kind in kinds {
        for (operation, times) in run(kind, each) {
            *successes.entry(operation).or_default() += times;
        }
    }
    if setting("SCHEDULE_SEED").is_none() && successes.values().sum::<u64>() > 2_000 {
        assert_eq!(successes.len(), 19, "each operation succeeds now and then: {successes:?}");
    }
    if setting("SCHEDULES").is_some() {
        eprintln!("{base:?}: answered with 200: {successes:?}");
    }
}

#[test]
fn random_schedules_over_memory_neither_fork_nor_lose_nor_double() {
    run_all(Base::Memory, MEMORY);
}

#[test]
fn random_schedules_over_files_neither_fork_nor_lose_nor_double() {
    run_all(Base::File, FILE);
}

#[test]
fn random_schedules_over_memcached_neither_fork_nor_lose_nor_double() {
    run_all(Base::Memcached, MEMCACHED);
}

#[cfg(feature = "redis")]
#[test]
fn random_schedules_over_redis_neither_fork_nor_lose_nor_double() {
    run_all(Base::Redis, REDIS);
}

#[test]
fn a_seed_repeats_its_schedule() {
    let kind = Kind::all(Base::Memory).last().unwrap();
    let trace = |seed| {
        runtime(kind.base).block_on(async {
            let below = Below::open(kind).await;
            Schedule::run(&below, seed, &mut Successes::new()).await.unwrap()
        })
    };
    for seed in [3, 1_000_003] {
        let first = trace(seed);
        assert!(first.len() > 50, "{first:?}");
        assert_eq!(first, trace(seed));
    }
}
