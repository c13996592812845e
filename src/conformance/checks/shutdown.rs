//! D1 and D2: flush and close.

use super::super::{Operation, bench::Bench, verdict::Verdict};
use crate::store::SessionStore;

pub(super) async fn d1_a_flush_changes_nothing(bench: Bench) -> Verdict {
    let d1 = bench.about("D1");
    d1.flush().await?;
    let (session, version) = d1.created().await?;
    let (removed, _) = d1.created().await?;
    let version = d1.updated(&session, &session.variant(1), &version).await?;
    d1.remove(&removed.id).await?;
    let before = d1.present(&session.id, "after `update`").await?;
    for _ in 0..2 {
        d1.flush().await?;
        d1.unchanged(&session.id, &session.variant(1), &version, "after `flush`").await?;
        let after = d1.present(&session.id, "after `flush`").await?;
        d1.same_expiry(&before, &after, "after `flush`")?;
        d1.absent(&removed.id, "after `flush`, a session that was removed before").await?;
    }
    d1.updated(&session, &session.variant(2), &version).await?;
    Ok(())
}

pub(super) async fn d2_closing_twice_is_fine(bench: Bench) -> Verdict {
    let d2 = bench.about("D2");
    let (session, _) = d2.created().await?;
    let (first, second) = (d2.clone(), d2.clone());
    let at_once = super::super::race::Way::Threads(0);
    let (a, b) = at_once.run(async move { first.close().await }, async move { second.close().await }).await;
    a?;
    b?;
    d2.close().await?;
    let answer = d2.in_time(Operation::Load, d2.store().load(&session.id)).await?;
    match answer {
        Ok(Some(stored)) => d2.same_record(&session.record, &stored.record, "`load` after `close`"),
        Ok(None) => d2.broken("`load` of a session after `close` answered None"),
        Err(_) => Ok(()),
    }
}
