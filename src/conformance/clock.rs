//! Finds out whether the store reads the harness's clock.

use super::{probe::Probe, verdict::Verdict};

/// The lifetime of the test session, in units.
const LIFE: u32 = 2;

/// If the store doesn't read the harness's clock, returns an explanation and the remedy.
pub(super) async fn mismatch(g4: &Probe) -> Verdict<Option<String>> {
    let session = g4.sample().with_usage(g4.keep(LIFE));
    let (life, late) = (g4.units(LIFE), g4.harness().late);
    g4.create_sample(&session).await?;
    if g4.load(&session.id).await?.is_none() {
        return Ok(Some(format!(
            "a session was created to live for {life:?}, and `load` answered None a moment later. The store's clock seems \
             to be ahead of the harness's by more than that, or the harness's `unit` is too short for it. Give the store \
             the clock that the harness has. If its backend has its own clock, call `Harness::new(store, \
             Clock::system())` and see that both machines' clocks agree"
        )));
    }
    g4.past(session.usage.expires_at).await;
    if g4.load(&session.id).await?.is_none() {
        return Ok(None);
    }
    g4.remove(&session.id).await?;
    Ok(Some(if g4.exact() {
        format!(
            "a session was created to live for {life:?} and the harness's manual clock was moved past that; expected \
             None, `load` still answered the session. The store does not read this clock. Give it the clock that the \
             harness has, as in `let clock = conformance::manual_clock(); Harness::new(MyStore::new(clock.clone()), \
             clock)`. If its backend has its own clock, which nobody can move, call `Harness::new(store, \
             Clock::system())`: then the kit really waits (see `Harness::unit` and `Harness::late_by`)"
        )
    } else {
        format!(
            "a session was created to live for {life:?}; {late:?} after its expiry `load` still answered it. If the store \
             may be later than that, because it counts whole seconds, say how late by `Harness::late_by`, which is \
             {late:?} now. If it reads a manual clock, give the harness the same one"
        )
    }))
}
