//! O1: the sessions of an owner.

use super::{
    super::{
        bench::Bench,
        sample::{Sample, owner, tombstone},
        verdict::Verdict,
    },
    listing::several,
};
use crate::{
    record::{MAX_OWNER_BYTES, RecordKind},
    store::ListedSession,
};

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
    o1.create_sample(&owned("bob")).await?;
    several(&o1, 3).await?;

    // One logs in from an anonymous session, one is handed to another owner, one is removed, one expires.
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
            Some(ListedSession { stored: Some(stored), .. }) => {
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

pub(super) async fn o1_owners_that_look_alike(bench: Bench) -> Verdict {
    let o1 = bench.about("O1");
    let long = "o".repeat(MAX_OWNER_BYTES - 1);
    let (one, two) = (format!("{long}1"), format!("{long}2"));
    // Upper and lower case, prefixes, spaces, patterns of SQL and Redis, composed and decomposed accents, a column's
    // length.
    let names = [
        "alice",
        "Alice",
        "ALICE",
        "alic",
        "alice2",
        "alice ",
        " alice",
        "alice\0",
        "al_ce",
        "alic%",
        "%",
        "*",
        "alice*",
        "[a]lice",
        "a:lice",
        "\u{e9}mile",
        "\u{c9}mile",
        "e\u{301}mile",
        "stra\u{df}e",
        "strasse",
        "1",
        "01",
        "1.0",
        &one,
        &two,
    ];
    o1.list_owner("alice").await?;
    for name in names {
        let session = o1.sample();
        let record = (*session.record).clone().with_owner(Some(owner(name)));
        o1.create_sample(&Sample::of(session.id, record, o1.now())).await?;
    }
    for name in names.into_iter().chain(["a%", "a*", "alice_", "al?ce", "(alice)"]) {
        let listed = o1.list_owner(name).await?;
        for stored in listed.iter().filter_map(|owned| owned.stored.as_ref()) {
            let theirs = stored.record.owner().map(|owner| owner.name());
            let theirs = theirs.map_or("nobody", |theirs| theirs);
            o1.holds(
                theirs == name,
                format_args!(
                    "`list_owner` of {name:?} listed a session of {theirs:?}. Compare owners byte for byte: no ignored case, \
                     no pattern, no shortened column"
                ),
            )?;
        }
        let expected = usize::from(names.contains(&name));
        o1.equal(expected, listed.len(), format_args!("how many sessions `list_owner` lists of {name:?}"))?;
    }
    Ok(())
}

/// The number of one owner's sessions: more than a page of the usual sizes holds.
const MANY: usize = 300;

pub(super) async fn o1_more_than_a_page(bench: Bench) -> Verdict {
    let o1 = bench.about("O1");
    o1.list_owner("alice").await?;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..MANY {
        let session = o1.sample();
        let record = (*session.record).clone().with_owner(Some(owner("alice")));
        o1.create_sample(&Sample::of(session.id, record, o1.now())).await?;
        ids.insert(session.id);
    }
    let listed = o1.list_owner("alice").await?;
    o1.equal(MANY, listed.len(), "how many sessions `list_owner` lists of an owner who has 300; read every page")?;
    ids.retain(|id| listed.iter().all(|named| named.id != *id));
    o1.equal(0, ids.len(), "how many of the owner's sessions `list_owner` leaves out")
}
