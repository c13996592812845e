//! F1: a refresh says whether the held record is still the stored one.

use std::{sync::Arc, time::Duration};

use super::{
    super::{bench::Bench, sample::tombstone, verdict::Verdict},
    load::THROUGH_TWIN,
};
use crate::{
    record::{Record, RecordKind},
    store::{Refresh, Stored, Touch, Usage},
};

pub(super) async fn f1_refresh_tells_what_changed(bench: Bench) -> Verdict {
    let f1 = bench.about("F1");
    let twin = f1.other(THROUGH_TWIN);
    let (session, _) = f1.created().await?;
    let held = f1.present(&session.id, "after `create`").await?;
    match f1.refresh(&session.id, &held).await? {
        Refresh::Same { usage, .. } => {
            f1.expires(session.usage.expires_at, usage.expires_at, "`refresh` of what is held")?
        }
        other => f1.broken(format!("`refresh` of what is held answered {}", name(&other)))?,
    }
    let later = Usage::keep_for(f1.now(), Duration::from_secs(7_200));
    f1.equal(Touch::Touched, twin.touch(&session.id, later).await?, "`touch`")?;
    match f1.refresh(&session.id, &held).await? {
        Refresh::Same { usage, .. } => f1.expires(later.expires_at, usage.expires_at, "`refresh` after a `touch`")?,
        other => f1.broken(format!("`refresh` after a `touch` answered {}", name(&other)))?,
    }
    let version = twin.updated(&session, &session.variant(1), &held.version).await?;
    let is_new = |stored: &Stored, record: &Arc<Record>, when: &str| {
        f1.same_record(record, &stored.record, when)?;
        f1.holds(stored.version != held.version, format_args!("{when}: the version is the held one"))
    };
    match f1.refresh(&session.id, &held).await? {
        Refresh::Changed(stored) => {
            is_new(&stored, &session.variant(1), "`refresh` after an `update`")?;
            f1.equal(version, stored.version, "the version that `refresh` answers after an `update`")?;
        }
        other => f1.broken(format!("`refresh` after an `update` answered {}", name(&other)))?,
    }
    let to = f1.sample();
    twin.rename(&session.id, &version, &tombstone(to.usage.used_at), &to.id, &to.record, to.usage).await?;
    match f1.refresh(&session.id, &held).await? {
        Refresh::Changed(stored) => {
            f1.equal(RecordKind::Tombstone, stored.record.kind(), "what `refresh` answers after a `rename`")?;
        }
        other => f1.broken(format!("`refresh` after a `rename` answered {}", name(&other)))?,
    }
    let held = f1.present(&to.id, "after `rename`").await?;
    twin.remove(&to.id).await?;
    let answer = f1.refresh(&to.id, &held).await?;
    f1.holds(matches!(answer, Refresh::Gone), format_args!("`refresh` after a `remove` answered {}", name(&answer)))?;
    let short = f1.sample().with_usage(f1.keep(2));
    f1.create_sample(&short).await?;
    let held = f1.present(&short.id, "after `create`").await?;
    f1.past(short.usage.expires_at).await;
    let answer = f1.refresh(&short.id, &held).await?;
    f1.holds(matches!(answer, Refresh::Gone), format_args!("`refresh` after the expiry answered {}", name(&answer)))
}

fn name(refresh: &Refresh) -> &'static str {
    match refresh {
        Refresh::Same { .. } => "Same",
        Refresh::Changed(_) => "Changed",
        Refresh::Gone => "Gone",
    }
}
