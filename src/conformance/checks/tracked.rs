//! L7: a tracked record stops being current when it changes.

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
    store::{Tracked, Usage, Version},
};

/// How long the kit waits until one handle reports another's change. A store may take longer while its backend can't be
/// reached, but here it can be reached.
const SOON: Duration = Duration::from_secs(10);

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
        l7.holds(Instant::now() < limit, format_args!("what was loaded before is current {SOON:?} {when}"))?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
