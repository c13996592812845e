//! M1: reading metadata is not a use.

use super::super::{bench::Bench, sample::identity, verdict::Verdict};
use crate::store::SessionStatus;

pub(super) async fn m1_looking_is_no_use(bench: Bench) -> Verdict {
    let m1 = bench.about("M1");
    let (session, version) = m1.created().await?;
    let before = m1.present(&session.id, "after `create`").await?;
    let Some(first) = m1.metadata(&session.id).await? else {
        return m1.broken("`metadata` of a live session answered None");
    };
    m1.equal(session.record.created_at(), first.created_at, "`created_at` in the metadata")?;
    m1.expires(session.usage.expires_at, first.expires_at, "in the metadata")?;
    m1.equal(SessionStatus::Active, first.status, "`status` in the metadata of a live session")?;

    m1.until(m1.now() + m1.units(1)).await;
    for _ in 0..3 {
        let Some(again) = m1.metadata(&session.id).await? else {
            return m1.broken("a second `metadata` of a live session answered None");
        };
        m1.expires(session.usage.expires_at, again.expires_at, "in the metadata, asked again")?;
        m1.equal(first.access_count, again.access_count, "`access_count` after `metadata`")?;
        if m1.harness().late.is_zero() {
            m1.equal(first.used_at, again.used_at, "`used_at` after `metadata`")?;
        }
    }
    let after = m1.present(&session.id, "after `metadata`").await?;
    m1.same_expiry(&before, &after, "after `metadata`")?;
    m1.equal(version, after.version, "the version after `metadata`")?;
    m1.equal(None, m1.metadata(&identity().0).await?, "`metadata` of an id that was never created")
}
