//! The changes that a request makes, in a form that can be replayed on a newer record.

use std::{fmt, sync::Arc};

use super::draft::Draft;
use crate::{
    error::{Error, ErrorKind, Result},
    lifetime::Lifetime,
    record::{Owner, Record},
};

/// One change made by the request. Clones share their contents.
#[derive(Clone)]
pub(crate) enum Change {
    Set(Arc<str>, Arc<[u8]>, Baseline),
    Remove(Arc<str>, Baseline),
    Clear,
    /// Logs the owner in. If the session belongs to another owner, its data is dropped. The session gets this lifetime.
    Login(Arc<str>, Lifetime),
    /// Sets the owner. If that takes the session from its owner, its data is dropped and it gets this lifetime.
    Owner(Option<Arc<str>>, Lifetime),
    Lifetime(Lifetime),
    /// Runs a closure of the application on the entries as they are at that time.
    Run(Replay),
    /// Like `Run`, but for a closure that gives a value to one request only. It is replayed under every conflict
    /// policy.
    Exactly(Replay),
}

/// A change, with its number in the order of all changes of this request.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) number: u64,
    pub(crate) change: Change,
}

/// Whether, and why, the commit gives the session a new token. Ordered by strength: of two that a request asks for, the
/// stronger one is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum TokenChange {
    #[default]
    Keep,
    /// The same session under a new token.
    Renew,
    /// The session is taken from its owner and continues as a new, empty one.
    Handover,
    /// The session gets this owner and a new absolute clock, and no older token leads to it.
    Login,
}

/// The record in which the request read the entry that it changes, or `None` if it has not read the entry.
pub(crate) type Baseline = Option<Arc<Record>>;

/// A closure that can run again on a newer record.
pub(crate) type Replay = Arc<dyn Fn(&mut Draft) -> Result<()> + Send + Sync>;

impl Change {
    /// Whether the result is the same if the change is applied twice, or on top of an equal change by another request.
    pub(crate) fn is_blind(&self) -> bool {
        !self.is_run() && !matches!(self, Self::Set(_, _, Some(_)) | Self::Remove(_, Some(_)))
    }

    pub(crate) fn is_run(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Exactly(_))
    }

    /// Applies the change to a draft.
    pub(crate) fn apply(&self, draft: &mut Draft) -> Result<()> {
        match self {
            Self::Set(key, value, _) => draft.replace(key, Some(value), false),
            Self::Remove(key, _) => draft.replace(key, None, false),
            Self::Clear => draft.clear(),
            Self::Login(owner, lifetime) => {
                if draft.changes_owner_to(Some(owner)) {
                    draft.clear();
                }
                draft.set_lifetime(*lifetime);
                draft.set_owner(Some(Arc::clone(owner)));
            }
            Self::Owner(owner, lifetime) => {
                if draft.changes_owner_to(owner.as_ref()) {
                    draft.clear();
                    draft.set_lifetime(*lifetime);
                }
                draft.set_owner(owner.clone());
            }
            Self::Lifetime(lifetime) => draft.set_lifetime(*lifetime),
            Self::Run(replay) | Self::Exactly(replay) => replay(draft)?,
        }
        Ok(())
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(key, ..) => write!(f, "Set({key:?})"),
            Self::Remove(key, _) => write!(f, "Remove({key:?})"),
            Self::Clear => f.write_str("Clear"),
            Self::Login(..) => f.write_str("Login"),
            Self::Owner(..) => f.write_str("Owner"),
            Self::Lifetime(_) => f.write_str("Lifetime"),
            Self::Run(_) | Self::Exactly(_) => f.write_str("Run"),
        }
    }
}

/// Replays the changes on a record.
///
/// # Errors
///
/// Those of closures, and [`Conflict`](ErrorKind::Conflict) if another request has changed an entry that this one has
/// read and changes.
pub(crate) fn replay(base: Option<Arc<Record>>, changes: &[Change]) -> Result<Draft> {
    if let Some(key) = conflict(base.as_ref(), changes.iter()) {
        return Err(Error::entry(ErrorKind::Conflict, key, None));
    }
    let mut draft = Draft::new(base);
    for change in changes {
        change.apply(&mut draft)?;
    }
    Ok(draft)
}

/// Returns the key of an entry that this request has read and now sets or removes, if the record holds another value.
///
/// Removing an entry that is already gone is not a conflict. Entries that are removed anyway, by a clear or by another
/// owner's login, are not checked.
pub(crate) fn conflict<'a>(
    base: Option<&Arc<Record>>,
    mut log: impl Iterator<Item = &'a Change> + Clone,
) -> Option<&'a str> {
    let base = base?;
    let differs =
        |seen: &Arc<Record>, key: &str| !Arc::ptr_eq(seen, base) && seen.entries().get(key) != base.entries().get(key);
    let all = log.clone();
    let key = log.find_map(|change| match change {
        Change::Set(key, _, Some(seen)) if differs(seen, key) => Some(&**key),
        Change::Remove(key, Some(seen)) if base.entries().get(key).is_some() && differs(seen, key) => Some(&**key),
        _ => None,
    })?;
    let mut owner = base.owner().map(Owner::name);
    let empties = { all }.any(|change| match change {
        Change::Clear => true,
        Change::Login(name, _) => owner.replace(name).is_some_and(|before| before != name),
        Change::Owner(name, _) => {
            std::mem::replace(&mut owner, name.as_ref()).is_some_and(|b| Some(b) != name.as_ref())
        }
        _ => false,
    });
    (!empties).then_some(key)
}

/// Whether the changes take the session of this record from its owner, other than by a login.
pub(crate) fn changes_owner(base: &Record, log: &[Change]) -> bool {
    let mut owner = base.owner().map(Owner::name);
    log.iter().any(|change| match change {
        Change::Login(name, _) => {
            owner = Some(name);
            false
        }
        Change::Owner(name, _) => {
            std::mem::replace(&mut owner, name.as_ref()).is_some_and(|before| Some(before) != name.as_ref())
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        id::TokenCheck,
        record::{Entries, Epoch},
    };

    fn record(pairs: &BTreeMap<String, Vec<u8>>, owner: Option<&str>) -> Arc<Record> {
        let entries = Entries::from_sorted(pairs.iter().map(|(key, value)| (key.as_str(), value.as_slice()))).unwrap();
        let owner = owner.map(|name| Owner::new(name, Epoch::from_u64(1)).unwrap());
        let record = Record::session(TokenCheck::from_bytes([0; 16]), UNIX_EPOCH, Lifetime::default());
        Arc::new(record.with_entries(entries).with_owner(owner))
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(u8, u8),
        Remove(u8),
        Clear,
        Append(u8, u8),
        Login(bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u8..6, any::<u8>()).prop_map(|(key, value)| Step::Set(key, value)),
            2 => (0u8..6).prop_map(Step::Remove),
            1 => Just(Step::Clear),
            3 => (0u8..6, any::<u8>()).prop_map(|(key, value)| Step::Append(key, value)),
            1 => any::<bool>().prop_map(Step::Login),
        ];
        proptest::collection::vec(step, 0..12)
    }

    fn key(number: u8) -> Arc<str> {
        format!("k{number}").into()
    }

    fn change(step: &Step) -> Change {
        match *step {
            Step::Set(number, value) => Change::Set(key(number), Arc::from([1, value]), None),
            Step::Remove(number) => Change::Remove(key(number), None),
            Step::Clear => Change::Clear,
            Step::Append(number, value) => Change::Run(Arc::new(move |draft| {
                let mut bytes = draft.get(&key(number)).unwrap_or(&[1]).to_vec();
                bytes.push(value);
                draft.put(&key(number), Some(&bytes.into()));
                Ok(())
            })),
            Step::Login(a) => Change::Login(if a { "a" } else { "b" }.into(), Lifetime::default()),
        }
    }

    /// Applies the step to a plain map.
    fn model(map: &mut BTreeMap<String, Vec<u8>>, owner: &mut Option<&'static str>, step: &Step) {
        match *step {
            Step::Set(number, value) => drop(map.insert(key(number).to_string(), vec![1, value])),
            Step::Remove(number) => drop(map.remove(&*key(number))),
            Step::Clear => map.clear(),
            Step::Append(number, value) => map.entry(key(number).to_string()).or_insert_with(|| vec![1]).push(value),
            Step::Login(a) => {
                let next = if a { "a" } else { "b" };
                if owner.is_some_and(|present| present != next) {
                    map.clear();
                }
                *owner = Some(next);
            }
        }
    }

    fn start() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
        proptest::collection::btree_map(
            (0u8..6).prop_map(|number| format!("k{number}")),
            any::<u8>().prop_map(|value| vec![1, value]),
            0..5,
        )
    }

    proptest! {
        /// A draft has the entries, size, dirtiness and record of a plain map that took the same steps. This holds on
        /// the record that the steps were first made on, and on any newer one that they are replayed on.
        #[test]
        fn a_draft_behaves_like_a_map(base in start(), newer in start(), owned in any::<bool>(), steps in steps()) {
            let changes: Vec<_> = steps.iter().map(change).collect();
            for start in [base, newer] {
                let mut owner = owned.then_some("a");
                let base = record(&start, owner);
                let draft = replay(Some(Arc::clone(&base)), &changes).unwrap();
                let mut map = start.clone();
                for step in &steps {
                    model(&mut map, &mut owner, step);
                }
                let folded: BTreeMap<_, _> =
                    draft.iter().map(|(key, value)| (key.to_owned(), value.to_vec())).collect();
                prop_assert_eq!(&folded, &map);
                prop_assert_eq!(draft.len(), map.len());
                prop_assert_eq!(draft.owner().map(|name| &**name), owner);
                prop_assert_eq!(draft.is_dirty(), map != start || owner != owned.then_some("a"));
                prop_assert!(draft.entries(None).unwrap().iter().eq(draft.iter()));
                let end = record(&map, owner);
                prop_assert_eq!(draft.encoded_len(), end.encoded_len());
                let mut restored = draft.clone();
                for number in 0..6 {
                    prop_assert_eq!(draft.get(&key(number)), map.get(&*key(number)).map(Vec::as_slice));
                    restored.restore(&key(number));
                }
                prop_assert!(restored.iter().eq(draft.loaded().iter()));
                prop_assert_eq!(restored.is_dirty(), owner != owned.then_some("a"));
            }
        }
    }
}
