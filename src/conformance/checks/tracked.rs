//! L7 and F2: a tracked record stops being current when it changes.

use std::time::{Duration, Instant};

use super::{
    super::{
        bench::Bench,
        probe::Probe,
        sample::{Sample, tombstone},
        verdict::Verdict,
    },
    load::THROUGH_TWIN,
};
use crate::{
    clock,
    store::{Rename, SessionStore, Tracked, Update, Usage, Version},
};

/// How long the kit waits until one handle reports another's change. A store may take longer while its backend can't be
/// reached, but here it can be reached.
const SOON: Duration = Duration::from_secs(10);

/// The operations that store a version.
const WRITES: [&str; 3] = ["create", "update", "rename"];

/// The operations that change a record.
const CHANGES: [&str; 5] = ["update", "touch", "remove", "end", "rename"];

pub(super) async fn l7_what_is_tracked_stops_being_current(bench: Bench) -> Verdict {
    let l7 = bench.about("L7");
    for change in CHANGES {
        for (probe, is_other) in [(&l7, false), (&l7.other(THROUGH_TWIN), true)] {
            let (session, version) = l7.created().await?;
            let stored = l7.present(&session.id, "a new session").await?;
            // L7 only concerns stores that track.
            let Some(tracked) = stored.tracked else { return Ok(()) };
            make(probe, change, &session, &version).await?;
            if is_other {
                ends(&l7, &tracked, &format!("after `{change}` through another handle")).await?;
            } else {
                l7.holds(!tracked.is_current(), format_args!("what was loaded before `{change}` is current after it"))?;
            }
        }
    }
    Ok(())
}

pub(super) async fn l7_a_load_beside_a_change_does_not_miss_it(bench: Bench) -> Verdict {
    let l7 = bench.about("L7");
    for change in CHANGES {
        for way in l7.ways() {
            let (session, version) = l7.created().await?;
            let (first, second, of) = (l7.clone(), l7.other(way), session.clone());
            let changed = async move { make(&second, change, &of, &version).await };
            let id = session.id;
            let (changed, loaded) = way.run(changed, async move { first.load(&id).await }).await;
            changed?;
            let Some(stored) = loaded? else { continue };
            let Some(tracked) = stored.tracked else { continue };
            // A touch doesn't change the version.
            if stored.version == version && change != "touch" {
                ends(&l7, &tracked, &format!("after `{change}` beside the load")).await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn f2_what_was_written_stops_being_current(bench: Bench) -> Verdict {
    let f2 = bench.about("F2");
    for written in WRITES {
        for change in CHANGES {
            for (probe, is_other) in [(&f2, false), (&f2.other(THROUGH_TWIN), true)] {
                let (session, version) = self::written(&f2, written).await?;
                // F2 only concerns stores that track.
                let Some(tracked) = f2.store().tracked(&session.id, &version) else { continue };
                make(probe, change, &session, &version).await?;
                if is_other {
                    ends(&f2, &tracked, &format!("after `{change}` through another handle")).await?;
                } else {
                    f2.holds(
                        !tracked.is_current(),
                        format_args!("what `{written}` has stored is current after `{change}`"),
                    )?;
                }
            }
        }
    }
    Ok(())
}

pub(super) async fn f2_a_write_beside_a_change_does_not_miss_it(bench: Bench) -> Verdict {
    let f2 = bench.about("F2");
    for change in CHANGES.into_iter().filter(|change| *change != "touch") {
        for way in f2.ways() {
            let (session, version) = f2.created().await?;
            let (first, second, of) = (f2.clone(), f2.other(way), session.clone());
            let next = session.variant(2);
            let writing = async move { first.update(&of.id, &next, &version, of.usage).await };
            let of = session.clone();
            let changing = async move {
                let Some(stored) = second.load(&of.id).await? else { return Ok(()) };
                make(&second, change, &of, &stored.version).await
            };
            let (wrote, changed) = way.run(writing, changing).await;
            changed?;
            let Update::Updated(version) = wrote? else { continue };
            let Some(tracked) = f2.store().tracked(&session.id, &version) else { continue };
            // What was changed before the write is replaced by it.
            if f2.load(&session.id).await?.is_none_or(|stored| stored.version != version) {
                ends(&f2, &tracked, &format!("after `{change}` beside the write")).await?;
            }
        }
    }
    Ok(())
}

/// A session that this operation has stored, and its version.
async fn written(probe: &Probe, operation: &str) -> Verdict<(Sample, Version)> {
    let (session, version) = probe.created().await?;
    match operation {
        "update" => {
            let version = probe.updated(&session, &session.variant(2), &version).await?;
            Ok((session, version))
        }
        "rename" => {
            let (to, tombstone) = (probe.sample(), tombstone(session.usage.used_at));
            match probe.rename(&session.id, &version, &tombstone, &to.id, &to.record, to.usage).await? {
                Rename::Renamed(version) => Ok((to, version)),
                other => probe.broken(format!("`rename` of a session in the expected version answered {other:?}")),
            }
        }
        _ => Ok((session, version)),
    }
}

async fn make(probe: &Probe, change: &str, session: &Sample, version: &Version) -> Verdict {
    // Later than the stored time, since a touch to an earlier time changes nothing.
    let used_at = clock::later(session.usage.used_at, probe.units(1));
    let (id, usage) = (&session.id, Usage { used_at, ..session.usage });
    match change {
        "update" => drop(probe.update(id, &session.variant(1), version, usage).await?),
        "touch" => drop(probe.touch(id, usage).await?),
        "remove" => drop(probe.remove(id).await?),
        "end" => drop(probe.end(id, version, usage.used_at).await?),
        _ => {
            let to = probe.sample();
            let tombstone = tombstone(usage.used_at);
            drop(probe.rename(id, version, &tombstone, &to.id, &to.record, to.usage).await?);
        }
    }
    Ok(())
}

/// Waits until the record is no longer current.
async fn ends(l7: &Probe, tracked: &Tracked, when: &str) -> Verdict {
    let limit = Instant::now() + SOON;
    while tracked.is_current() {
        l7.holds(Instant::now() < limit, format_args!("what was tracked before is current {SOON:?} {when}"))?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
