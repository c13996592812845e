//! G6: a write takes effect at most once, even if its answer is lost.

use std::sync::Arc;

use super::{
    super::{
        Operation,
        bench::Bench,
        probe::Probe,
        sample::{Sample, tombstone},
        verdict::Verdict,
    },
    failing::answered,
};
use crate::{
    record::RecordKind,
    store::{
        Acquire, Create, End, Holder, Rename, SessionStore, StoreError, StoreErrorKind, Touch, Update, Usage, require,
    },
};

/// More requests than a single call needs.
const REQUESTS: u32 = 16;

/// How often the second party looks for the first party's write.
const LOOKS: usize = 50;

/// Makes a call and loses the answer to its n-th request. Returns `None` if it has fewer.
async fn unanswered<T>(
    g6: &Probe,
    operation: Operation,
    nth: u32,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Verdict<Option<Result<T, StoreError>>> {
    g6.lose_answer(Some(nth)).await?;
    let answer = g6.in_time(operation, call).await?;
    let lost = g6.lose_answer(None).await?;
    g6.holds(
        lost || nth > 1,
        format_args!(
            "no answer was lost, although `{operation}` was called after `lose_answers(Some(1))`. The hook of the \
             harness must lose the answer to the next request, and return true when it is called with None"
        ),
    )?;
    Ok(lost.then_some(answer))
}

fn when(operation: Operation, nth: u32) -> String {
    format!("`{operation}`, which the backend carried out and whose answer number {nth} was lost")
}

/// Fails if an error promises that nothing was changed, but something was.
fn honest(g6: &Probe, error: &StoreError, done: bool, when: &str) -> Verdict {
    g6.holds(
        !done || error.kind() == StoreErrorKind::OutcomeUnknown,
        format_args!(
            "{when}: the store answered the error {:?}, which promises that nothing was changed, and it was done. \
             Answer OutcomeUnknown if a request may have been carried out, or read back what came of it",
            error.kind()
        ),
    )
}

/// Fails because the store took its own write for another caller's.
fn mistaken<T>(g6: &Probe, expected: &str, answer: impl std::fmt::Debug, when: &str) -> Verdict<T> {
    g6.broken(format!(
        "{when}: expected {expected} or OutcomeUnknown, the store answered {answer:?}, although no other call was made. \
         A caller takes this for another's write, and applies its change a second time. Don't send a write again that \
         was not answered: read back whether it was stored (draw its version before it is sent), or answer \
         OutcomeUnknown"
    ))
}

pub(super) async fn g6_an_unanswered_create_happens_once(bench: Bench) -> Verdict {
    let g6 = bench.about("G6");
    for nth in 1..=REQUESTS {
        let session = g6.sample();
        let call = g6.store().create(&session.id, &session.record, session.usage);
        let Some(answer) = unanswered(&g6, Operation::Create, nth, call).await? else { break };
        let (when, stored) = (when(Operation::Create, nth), answered(&g6, &session.id).await?);
        match answer {
            Ok(Create::Created(version)) => g6.unchanged(&session.id, &session.record, &version, &when).await?,
            Ok(answer @ Create::Exists) => mistaken(&g6, "Created", answer, &when)?,
            Err(error) => honest(&g6, &error, stored.is_some(), &when)?,
        }
        if let Some(stored) = stored {
            g6.same_record(&session.record, &stored.record, &when)?;
        }
    }
    Ok(())
}

pub(super) async fn g6_an_unanswered_update_happens_once(bench: Bench) -> Verdict {
    let g6 = bench.about("G6");
    for nth in 1..=REQUESTS {
        let (session, version) = g6.created().await?;
        let record = session.variant(1);
        let call = g6.store().update(&session.id, &record, &version, session.usage);
        let Some(answer) = unanswered(&g6, Operation::Update, nth, call).await? else { break };
        let when = when(Operation::Update, nth);
        let Some(stored) = answered(&g6, &session.id).await? else {
            return g6.broken(format!("{when}: expected the session, `load` answered None"));
        };
        match answer {
            Ok(Update::Updated(version)) => g6.unchanged(&session.id, &record, &version, &when).await?,
            Ok(answer) => mistaken(&g6, "Updated", answer, &when)?,
            Err(error) if stored.version == version => {
                g6.same_record(&session.record, &stored.record, &format!("{when}, then answered {:?}", error.kind()))?;
            }
            Err(error) => {
                honest(&g6, &error, true, &when)?;
                g6.same_record(&record, &stored.record, &when)?;
            }
        }
    }
    Ok(())
}

pub(super) async fn g6_an_unanswered_update_never_comes_again(bench: Bench) -> Verdict {
    let g6 = bench.about("G6");
    for way in g6.ways() {
        let (session, version) = g6.created().await?;
        let (one, two) = (session.variant(1), session.variant(2));
        g6.lose_answer(Some(1)).await?;
        let (store, Sample { id, usage, .. }, record) = (g6.store().clone(), session.clone(), Arc::clone(&one));
        let first = async move { store.update(&id, &record, &version, usage).await.is_ok() };
        // Continues from what the first has written, as another request would.
        let (store, record) = (g6.other(way).store().clone(), Arc::clone(&two));
        let second = async move {
            for _ in 0..LOOKS {
                if let Ok(Some(stored)) = store.load(&id).await
                    && *stored.record == *one
                {
                    let updated = store.update(&id, &record, &stored.version, usage).await;
                    return matches!(updated, Ok(Update::Updated(_)));
                }
                tokio::task::yield_now().await;
            }
            false
        };
        let (_, acknowledged) = g6.in_time(Operation::Update, way.run(first, second)).await?;
        g6.lose_answer(None).await?;
        let stored = answered(&g6, &session.id).await?;
        if acknowledged && stored.is_none_or(|stored| *stored.record != *two) {
            return g6.broken(
                "an `update` whose answer was lost, concurrent with one that went on from what it had stored: the second was \
                 answered Updated, and is not what `load` answers afterwards. The first must not be sent again, in \
                 whatever version: it has happened",
            );
        }
    }
    Ok(())
}

pub(super) async fn g6_an_unanswered_touch_happens_once(bench: Bench) -> Verdict {
    let g6 = bench.about("G6");
    for nth in 1..=REQUESTS {
        let (session, version) = g6.created().await?;
        let later = Usage::keep_for(g6.now(), std::time::Duration::from_secs(7_200));
        let call = g6.store().touch(&session.id, later);
        let Some(answer) = unanswered(&g6, Operation::Touch, nth, call).await? else { break };
        let when = when(Operation::Touch, nth);
        let Some(stored) = answered(&g6, &session.id).await? else {
            return g6.broken(format!("{when}: expected the session, `load` answered None"));
        };
        let touched = g6.is_expiry(later.expires_at, stored.expires_at);
        match answer {
            Ok(Touch::Touched) => {
                g6.holds(touched, format_args!("{when}: answered Touched, and the expiry is the old one"))?
            }
            Ok(answer @ Touch::Gone) => mistaken(&g6, "Touched", answer, &when)?,
            Err(error) => honest(&g6, &error, touched, &when)?,
        }
        g6.unchanged(&session.id, &session.record, &version, &when).await?;
    }
    Ok(())
}

pub(super) async fn g6_an_unanswered_remove_happens_once(bench: Bench) -> Verdict {
    let g6 = bench.about("G6");
    for nth in 1..=REQUESTS {
        let (session, _) = g6.created().await?;
        let call = g6.store().remove(&session.id);
        let Some(answer) = unanswered(&g6, Operation::Remove, nth, call).await? else { break };
        let (when, stored) = (when(Operation::Remove, nth), answered(&g6, &session.id).await?);
        match answer {
            Ok(true) => g6.holds(stored.is_none(), format_args!("{when}: answered true, and the session is there"))?,
            Ok(false) => mistaken(&g6, "true", false, &when)?,
            Err(error) => honest(&g6, &error, stored.is_none(), &when)?,
        }
    }
    Ok(())
}

pub(super) async fn g6_an_unanswered_end_happens_once(bench: Bench) -> Verdict {
    let g6 = bench.about("G6");
    for nth in 1..=REQUESTS {
        let (session, version) = g6.created().await?;
        let call = g6.store().end(&session.id, &version, g6.now());
        let Some(answer) = unanswered(&g6, Operation::End, nth, call).await? else { break };
        let (when, stored) = (when(Operation::End, nth), answered(&g6, &session.id).await?);
        let over = stored.is_none_or(|stored| stored.record.is_grave());
        match answer {
            Ok(End::Ended) => g6.holds(over, format_args!("{when}: answered Ended, and the session is there"))?,
            Ok(answer) => mistaken(&g6, "Ended", answer, &when)?,
            Err(error) => honest(&g6, &error, over, &when)?,
        }
    }
    Ok(())
}

pub(super) async fn g6_an_unanswered_rename_happens_once(bench: Bench) -> Verdict {
    let g6 = bench.about("G6");
    for nth in 1..=REQUESTS {
        let (from, version) = g6.created().await?;
        let to = g6.sample();
        let left = tombstone(to.usage.used_at);
        let call = g6.store().rename(&from.id, &version, &left, &to.id, &to.record, to.usage);
        let Some(answer) = unanswered(&g6, Operation::Rename, nth, call).await? else { break };
        let when = when(Operation::Rename, nth);
        let Some(old) = answered(&g6, &from.id).await? else {
            return g6
                .broken(format!("{when}: expected the session or its tombstone, `load` of the old id answered None"));
        };
        let new = g6.load(&to.id).await?;
        let moved = old.record.kind() == RecordKind::Tombstone;
        g6.holds(
            !moved || new.is_some(),
            format_args!("{when}: the old id has a tombstone, and the new one is absent: the session is lost"),
        )?;
        match answer {
            Ok(Rename::Renamed(version)) => {
                g6.unchanged(&to.id, &to.record, &version, &format!("{when}, the new id")).await?;
                g6.same_record(&left, &old.record, &format!("{when}, the old id"))?;
            }
            Ok(answer) => mistaken(&g6, "Renamed", answer, &when)?,
            Err(error) => honest(&g6, &error, moved || new.is_some(), &when)?,
        }
    }
    Ok(())
}

pub(super) async fn g6_an_unanswered_lock_is_the_holders(bench: Bench) -> Verdict {
    let g6 = bench.about("G6");
    let holder = || Holder::generate().expect("the operating system gives random numbers");
    let (probe, _) = g6.created().await?;
    // Called first, so that a store without leases is skipped for that reason.
    g6.acquire(&probe.id, holder(), g6.units(1)).await?;
    for nth in 1..=REQUESTS {
        let (session, _) = g6.created().await?;
        let (first, second, long) = (holder(), holder(), g6.units(20));
        let call = async { require::leases(g6.store(), "acquire")?.acquire(&session.id, first, long).await };
        let Some(answer) = unanswered(&g6, Operation::Acquire, nth, call).await? else { break };
        let when = when(Operation::Acquire, nth);
        answered(&g6, &session.id).await?;
        match answer {
            Ok(Acquire::Acquired { .. }) => {
                let answer = g6.acquire(&session.id, second, long).await?;
                g6.equal(Acquire::Held, answer, format_args!("{when}, `acquire` by another"))?;
            }
            Ok(answer) => mistaken(&g6, "Acquired", answer, &when)?,
            // Whether this holder has the lease or not, it can take it.
            Err(_) => {
                let answer = g6.acquire(&session.id, first, long).await?;
                let acquired = matches!(answer, Acquire::Acquired { .. });
                g6.holds(acquired, format_args!("{when}, `acquire` by the same holder again answered {answer:?}"))?;
            }
        }
    }
    Ok(())
}
