//! I1-I3: listing and counting sessions.

use std::collections::HashSet;

use super::super::{
    bench::Bench,
    probe::Probe,
    sample::{Sample, identity, tombstone},
    verdict::Verdict,
};
use crate::{
    id::SessionId,
    record::{Record, RecordKind},
    store::Cursor,
};

/// More pages than any walk here needs.
const PAGES: usize = 10_000;

/// Returns every id of a walk in pages.
pub(super) async fn walk(probe: &Probe, limit: usize) -> Verdict<Vec<SessionId>> {
    let (mut ids, mut from) = (Vec::new(), Cursor::START);
    for _ in 0..PAGES {
        let page = probe.ids(from, limit).await?;
        ids.extend(page.ids);
        match page.next {
            Some(next) => from = next,
            None => return Ok(ids),
        }
    }
    probe.broken(format!("a walk by `ids` with pages of {limit} has not ended after {PAGES} pages"))
}

pub(super) async fn several(probe: &Probe, number: usize) -> Verdict<Vec<Sample>> {
    let mut sessions = Vec::new();
    for _ in 0..number {
        sessions.push(probe.created().await?.0);
    }
    Ok(sessions)
}

/// Fails unless each of these sessions was named at least once.
fn all_of(probe: &Probe, expected: &[Sample], named: &[SessionId], when: &str) -> Verdict {
    let named: HashSet<_> = named.iter().collect();
    let missed = expected.iter().filter(|session| !named.contains(&session.id)).count();
    let of = expected.len();
    probe.holds(
        missed == 0,
        format_args!("{when}: `ids` never named {missed} of {of} sessions that lived all the while"),
    )
}

/// The number of pages after which no more sessions are created, so that the walk can end.
const BUSY_PAGES: usize = 100;

pub(super) async fn i1_a_walk_names_every_session(bench: Bench) -> Verdict {
    let i1 = bench.about("I1");
    i1.equal(0, walk(&i1, 10).await?.len(), "how many ids an empty store names")?;
    let sessions = several(&i1, 50).await?;
    for limit in [1, 3, 7, 50, 1_000] {
        let named = walk(&i1, limit).await?;
        all_of(&i1, &sessions, &named, &format!("a walk with pages of {limit}"))?;
        let different: HashSet<_> = named.iter().collect();
        let what = format!("how many different ids a walk with pages of {limit} names");
        i1.equal(sessions.len(), different.len(), what)?;
    }
    // Others are created and removed during the walk, between its pages and concurrently.
    for limit in [1, 4, 9] {
        let churn = i1.clone();
        let churn = tokio::spawn(async move {
            for _ in 0..100 {
                let passing = several(&churn, 3).await?;
                for session in passing {
                    churn.remove(&session.id).await?;
                }
            }
            Ok(())
        });
        let (mut named, mut from, mut pages) = (Vec::new(), Some(Cursor::START), 0);
        while let Some(cursor) = from {
            let passing = several(&i1, if pages < BUSY_PAGES { 2 } else { 0 }).await?;
            let page = i1.ids(cursor, limit).await?;
            named.extend(page.ids);
            from = page.next;
            for session in passing {
                i1.remove(&session.id).await?;
            }
            pages += 1;
            i1.holds(
                pages < PAGES,
                format_args!(
                    "a walk by `ids` has not ended after {PAGES} pages; nothing was created since page {BUSY_PAGES}"
                ),
            )?;
        }
        match churn.await {
            Ok(verdict) => verdict?,
            Err(error) => return i1.broken(format!("a call concurrent with `ids` panicked: {error}")),
        }
        all_of(&i1, &sessions, &named, &format!("a walk with pages of {limit} while others come and go"))?;
    }
    Ok(())
}

/// How many sessions are created at once, so that a hash table must grow, and then removed, so that it may shrink.
const CROWD: usize = 300;

pub(super) async fn i1_a_table_that_grows_and_shrinks(bench: Bench) -> Verdict {
    let i1 = bench.about("I1");
    i1.ids(Cursor::START, 1).await?;
    let kept = several(&i1, 40).await?;
    let limit = 4;
    // The pages before which the crowd is created and removed.
    for (comes, goes) in [(0, CROWD / limit / 2), (4, usize::MAX), (4, CROWD / limit / 2)] {
        let (mut named, mut from, mut crowd) = (Vec::new(), Some(Cursor::START), Vec::new());
        for page in 0.. {
            i1.holds(page < PAGES, format_args!("a walk by `ids` has not ended after {PAGES} pages"))?;
            if page == comes {
                crowd = several(&i1, CROWD).await?;
            }
            if page == goes {
                for session in crowd.drain(..) {
                    i1.remove(&session.id).await?;
                }
            }
            let Some(cursor) = from else { break };
            let page = i1.ids(cursor, limit).await?;
            named.extend(page.ids);
            from = page.next;
        }
        for session in crowd {
            i1.remove(&session.id).await?;
        }
        let when = format!("a walk during which {CROWD} other sessions were created and removed at once");
        all_of(&i1, &kept, &named, &when)?;
    }
    Ok(())
}

/// Creates live sessions among records that are none, and returns the live ones.
pub(super) async fn mixed(probe: &Probe) -> Verdict<Vec<Sample>> {
    let mut live = several(probe, 4).await?;
    let sealed = probe.sample();
    let record = (*sealed.record).clone().with_kind(RecordKind::Sealed);
    let sealed = Sample::of(sealed.id, record, probe.now());
    probe.create_sample(&sealed).await?;
    live.push(sealed);

    let (removed, _) = probe.created().await?;
    probe.remove(&removed.id).await?;
    let (id, check) = identity();
    probe.create_sample(&Sample::of(id, Record::plain_tombstone(check, probe.now()), probe.now())).await?;
    probe.ensure_epoch("somebody", probe.keep(1_000)).await?;
    let (from, version) = probe.created().await?;
    let to = probe.sample();
    probe.rename(&from.id, &version, &tombstone(to.usage.used_at), &to.id, &to.record, to.usage).await?;
    live.push(to);
    let expired = probe.sample().with_usage(probe.keep(2));
    probe.create_sample(&expired).await?;
    probe.past(expired.usage.expires_at).await;
    Ok(live)
}

pub(super) async fn i2_only_live_sessions_are_named(bench: Bench) -> Verdict {
    let i2 = bench.about("I2");
    i2.ids(Cursor::START, 1).await?;
    let live = mixed(&i2).await?;
    let named: HashSet<_> = walk(&i2, 3).await?.into_iter().collect();
    for id in &named {
        if live.iter().any(|session| session.id == *id) {
            continue;
        }
        let what = match i2.load(id).await? {
            Some(stored) => format!("a record of kind {:?}", stored.record.kind()),
            None => "an expired or removed one".to_owned(),
        };
        i2.broken(format!("`ids` names {what}"))?;
    }
    i2.equal(
        live.len(),
        named.len(),
        "the number of ids returned, with tombstones, epochs and expired records in the store",
    )
}

pub(super) async fn i3_the_count_is_the_number_of_ids(bench: Bench) -> Verdict {
    let i3 = bench.about("I3");
    i3.equal(0, i3.count().await?, "`count` of an empty store")?;
    let live = mixed(&i3).await?;
    let expected = u64::try_from(live.len()).unwrap_or(u64::MAX);
    i3.equal(expected, i3.count().await?, "`count`, with tombstones, epochs and expired records in the store")?;
    if let Some(named) = i3.optional(walk(&i3, 3).await)? {
        let different: HashSet<_> = named.into_iter().collect();
        i3.equal(different.len(), live.len(), "`count`, compared with the number of different ids that `ids` returns")?;
    }
    for session in &live {
        i3.remove(&session.id).await?;
    }
    i3.equal(0, i3.count().await?, "`count` after every session was removed")
}
