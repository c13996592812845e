//! I1-I4 and O1: which sessions there are.

use std::collections::HashSet;

use super::super::{
    bench::{Bench, Probe, Verdict},
    sample::{Sample, identity, owner, tombstone},
};
use crate::{
    id::SessionId,
    record::{Record, RecordKind},
    store::{Cursor, Owned, Touch, Update},
};

/// More pages than any walk here can need.
const PAGES: usize = 10_000;

/// Every id, a page at a time.
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

async fn several(probe: &Probe, number: usize) -> Verdict<Vec<Sample>> {
    let mut sessions = Vec::new();
    for _ in 0..number {
        sessions.push(probe.created().await?.0);
    }
    Ok(sessions)
}

/// These sessions, each exactly once.
fn exactly(probe: &Probe, expected: &[Sample], named: &[SessionId], when: &str) -> Verdict {
    for session in expected {
        let times = named.iter().filter(|id| **id == session.id).count();
        probe.equal(1, times, format_args!("{when}: how often a session that lives all the while is named"))?;
    }
    Ok(())
}

pub(super) async fn i1_a_walk_names_each_once(bench: Bench) -> Verdict {
    let i1 = bench.about("I1");
    i1.equal(0, walk(&i1, 10).await?.len(), "how many ids an empty store names")?;
    let sessions = several(&i1, 50).await?;
    for limit in [1, 3, 7, 50, 1_000] {
        let named = walk(&i1, limit).await?;
        exactly(&i1, &sessions, &named, &format!("a walk with pages of {limit}"))?;
        i1.equal(sessions.len(), named.len(), format_args!("how many ids a walk with pages of {limit} names"))?;
    }
    // Others come and go during the walk, between its pages and beside them.
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
            let passing = several(&i1, 2).await?;
            let page = i1.ids(cursor, limit).await?;
            named.extend(page.ids);
            from = page.next;
            for session in passing {
                i1.remove(&session.id).await?;
            }
            pages += 1;
            i1.holds(pages < PAGES, "a walk by `ids` beside other calls does not end")?;
        }
        match churn.await {
            Ok(verdict) => verdict?,
            Err(error) => return i1.broken(format!("a call beside `ids` panicked: {error}")),
        }
        exactly(&i1, &sessions, &named, &format!("a walk with pages of {limit} while others come and go"))?;
        let once: HashSet<_> = named.iter().collect();
        i1.equal(once.len(), named.len(), "how many ids a walk names, beside how many different ones")?;
    }
    Ok(())
}

/// Live sessions among all that is none; gives the live ones.
async fn mixed(probe: &Probe) -> Verdict<Vec<Sample>> {
    let mut live = several(probe, 4).await?;
    let sealed = probe.sample();
    let record = (*sealed.record).clone().with_kind(RecordKind::Sealed);
    let sealed = Sample::of(sealed.id, record, probe.now());
    probe.create_sample(&sealed).await?;
    live.push(sealed);

    let (removed, _) = probe.created().await?;
    probe.remove(&removed.id).await?;
    let (id, check) = identity();
    probe.create_sample(&Sample::of(id, Record::tombstone(check, probe.now()), probe.now())).await?;
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
    i2.equal(live.len(), named.len(), "how many ids are named beside tombstones, epochs and expired ones")
}

pub(super) async fn i3_the_count_is_the_number_of_ids(bench: Bench) -> Verdict {
    let i3 = bench.about("I3");
    i3.equal(0, i3.count().await?, "`count` of an empty store")?;
    let live = mixed(&i3).await?;
    let expected = u64::try_from(live.len()).unwrap_or(u64::MAX);
    i3.equal(expected, i3.count().await?, "`count` beside tombstones, epochs and expired ones")?;
    if let Some(named) = i3.optional(walk(&i3, 3).await)? {
        i3.equal(named.len(), live.len(), "`count`, beside the number of ids")?;
    }
    for session in &live {
        i3.remove(&session.id).await?;
    }
    i3.equal(0, i3.count().await?, "`count` after every session was removed")
}

pub(super) async fn i4_clear_leaves_nothing(bench: Bench) -> Verdict {
    let i4 = bench.about("I4");
    // Asked first, so that a store without it is not filled in vain.
    i4.clear().await?;
    let live = mixed(&i4).await?;
    let (from, version) = i4.created().await?;
    let to = i4.sample();
    i4.rename(&from.id, &version, &tombstone(to.usage.used_at), &to.id, &to.record, to.usage).await?;
    i4.ensure_epoch("alice", i4.keep(100)).await?;
    let counted = i4.optional(i4.count().await)?;
    let cleared = i4.clear().await?;
    // A store that can't count can't tell.
    if let Some(counted) = counted {
        i4.equal(counted, cleared, "how many live sessions `clear` says there were, beside `count`")?;
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

pub(super) async fn o1_the_sessions_of_an_owner(bench: Bench) -> Verdict {
    let o1 = bench.about("O1");
    o1.equal(0, o1.list_owner("alice").await?.len(), "how many sessions are listed of an owner who has none")?;
    o1.ensure_epoch("alice", o1.keep(1_000)).await?;
    let owned = |name: &str| {
        let session = o1.sample();
        let record = (*session.record).clone().with_owner(Some(owner(name)));
        Sample::of(session.id, record, o1.now())
    };
    let mut alices = vec![owned("alice"), owned("alice"), owned("alice")];
    let sealed = owned("alice");
    alices.push(Sample { record: (*sealed.record).clone().with_kind(RecordKind::Sealed).into(), ..sealed });
    for session in &alices {
        o1.create_sample(session).await?;
    }
    for other in ["bob", "alic", "alice ", "Alice", "alice\0"] {
        o1.create_sample(&owned(other)).await?;
    }
    several(&o1, 3).await?;

    // One logs in from an anonymous session, one is handed to another owner, one goes, one expires.
    let (anonymous, version) = o1.created().await?;
    let login = Sample { record: (*anonymous.record).clone().with_owner(Some(owner("alice"))).into(), ..anonymous };
    o1.updated(&login, &login.record, &version).await?;
    alices.push(login);
    let handed = owned("alice");
    let version = o1.create_sample(&handed).await?;
    let record = (*handed.record).clone().with_owner(Some(owner("bob"))).into();
    o1.updated(&handed, &record, &version).await?;
    let (renamed, to) = (owned("alice"), owned("alice"));
    let version = o1.create_sample(&renamed).await?;
    o1.rename(&renamed.id, &version, &tombstone(to.usage.used_at), &to.id, &to.record, to.usage).await?;
    alices.push(to);
    let removed = owned("alice");
    o1.create_sample(&removed).await?;
    o1.remove(&removed.id).await?;
    let expired = owned("alice").with_usage(o1.keep(2));
    o1.create_sample(&expired).await?;
    o1.past(expired.usage.expires_at).await;

    let listed = o1.list_owner("alice").await?;
    for session in &alices {
        match listed.iter().find(|owned| owned.id == session.id) {
            Some(Owned { stored: Some(stored), .. }) => {
                o1.same_record(&session.record, &stored.record, "a session in `list_owner`")?;
            }
            Some(_) => {}
            None => o1.broken("`list_owner` leaves out a live session of the owner")?,
        }
    }
    for owned in &listed {
        let known = alices.iter().any(|session| session.id == owned.id);
        let kind = owned.stored.as_ref().map(|stored| stored.record.kind());
        o1.holds(
            known,
            format_args!("`list_owner` lists a record (of the kind {kind:?}) that is no live session of theirs"),
        )?;
    }
    o1.equal(alices.len(), listed.len(), "how many sessions `list_owner` lists")
}
