//! I4: `clear` leaves nothing.

use super::{
    super::{
        bench::Bench,
        sample::{Sample, tombstone},
        verdict::Verdict,
    },
    listing::{mixed, several},
};
use crate::store::{Touch, Update};

pub(super) async fn i4_clear_leaves_nothing(bench: Bench) -> Verdict {
    let i4 = bench.about("I4");
    // Called first, so that a store without `clear` isn't filled in vain.
    i4.clear().await?;
    let live = mixed(&i4).await?;
    let (from, version) = i4.created().await?;
    let to = i4.sample();
    i4.rename(&from.id, &version, &tombstone(to.usage.used_at), &to.id, &to.record, to.usage).await?;
    i4.ensure_epoch("alice", i4.keep(100)).await?;
    let counted = i4.optional(i4.count().await)?;
    let cleared = i4.clear().await?;
    // A store that can't count can't be compared.
    if let Some(counted) = counted {
        i4.equal(counted, cleared, "the live sessions that `clear` returns, compared with `count`")?;
    }
    for session in live.iter().chain([&from, &to]) {
        i4.absent(&session.id, "after `clear`").await?;
        let answer = i4.update(&session.id, &session.record, &version, session.usage).await?;
        i4.equal(Update::Gone, answer, "`update` after `clear`")?;
        i4.equal(Touch::Gone, i4.touch(&session.id, session.usage).await?, "`touch` after `clear`")?;
        i4.absent(&session.id, "after `clear`, `update` and `touch`").await?;
    }
    i4.equal(None, i4.owner_epoch("alice").await?, "`owner_epoch` after `clear`")?;
    i4.clear().await?;
    let (session, version) = i4.created().await?;
    i4.unchanged(&session.id, &session.record, &version, "a session that was created after `clear`").await?;
    Ok(())
}

pub(super) async fn i4_a_clear_beats_an_update(bench: Bench) -> Verdict {
    let i4 = bench.about("I4");
    i4.clear().await?;
    for way in i4.ways() {
        let (session, version) = i4.created().await?;
        let (first, second) = (i4.clone(), i4.other(way));
        let (Sample { id, usage, .. }, record) = (session.clone(), session.variant(1));
        let update = async move { first.update(&id, &record, &version, usage).await };
        let (updated, cleared) = way.run(update, async move { second.clear().await }).await;
        let (updated, cleared) = (updated?, cleared?);
        i4.absent(&id, &format!("after `update` ({updated:?}) and `clear` ({cleared}) at once")).await?;
    }
    Ok(())
}

pub(super) async fn i4_a_clear_beats_a_rename(bench: Bench) -> Verdict {
    let i4 = bench.about("I4");
    i4.clear().await?;
    for way in i4.ways() {
        // A `clear` that goes through the sessions one by one takes longer over several.
        several(&i4, 4).await?;
        let (from, version) = i4.created().await?;
        let to = i4.sample();
        let (first, second) = (i4.clone(), i4.other(way));
        let (old, new) = (from.id, to.clone());
        let rename = async move {
            first.rename(&old, &version, &tombstone(new.usage.used_at), &new.id, &new.record, new.usage).await
        };
        let (renamed, cleared) = way.run(rename, async move { second.clear().await }).await;
        let (renamed, cleared) = (renamed?, cleared?);
        for (id, which) in [(&to.id, "new"), (&from.id, "old")] {
            let left = i4.load(id).await?;
            i4.holds(
                left.is_none(),
                format_args!(
                    "after `rename` ({renamed:?}) and `clear` ({cleared}) at once, `load` of the {which} id: expected None, the \
                     store answered a record. A `clear` that removes one part after the other misses what a rename moves into \
                     a part that is already done: remove everything in one step, or go through it again until nothing is left"
                ),
            )?;
        }
    }
    Ok(())
}
