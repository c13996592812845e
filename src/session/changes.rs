//! What a request did to its session: a draft that lies over the loaded record, and the log that can be replayed.

use std::{collections::BTreeMap, fmt, iter::Peekable, sync::Arc};

use crate::{
    error::{Error, ErrorKind, Result},
    lifetime::Lifetime,
    record::{Entries, Owner, RENEWED, Record, is_reserved},
};

/// One change that the request made. Clones share their contents.
#[derive(Clone)]
pub(crate) enum Change {
    Set(Arc<str>, Arc<[u8]>, Baseline),
    Remove(Arc<str>, Baseline),
    Clear,
    /// Logs in. Another owner's data is dropped. The session gets this lifetime.
    Login(Arc<str>, Lifetime),
    /// Sets the owner. If that takes the session from its owner, it has the effects of a login.
    Owner(Option<Arc<str>>, Lifetime),
    Lifetime(Lifetime),
    /// A closure of the application over the entries as they are when it runs.
    Run(Replay),
    /// As `Run`, for a closure that gives a value to one request only: no conflict policy overwrites the newer value.
    Exactly(Replay),
}

/// The record in which the request saw the entry that it changes; `None` if it has not read the entry.
pub(crate) type Baseline = Option<Arc<Record>>;

/// A closure that can run again, on a newer record.
pub(crate) type Replay = Arc<dyn Fn(&mut Draft) -> Result<()> + Send + Sync>;

impl Change {
    /// Whether the result is the same if the change is applied twice, or over another request's equal change.
    pub(crate) fn is_blind(&self) -> bool {
        !self.is_run() && !matches!(self, Self::Set(_, _, Some(_)) | Self::Remove(_, Some(_)))
    }

    pub(crate) fn is_run(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Exactly(_))
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

/// Returns the key of an entry that this request has read and wants to set or take, if the record now holds another
/// value.
///
/// Removing an entry that is already gone is no conflict. Entries that a clear or another owner's login removes anyway
/// are not checked.
pub(crate) fn conflict<'a>(base: Option<&Arc<Record>>, log: &'a [Change]) -> Option<&'a str> {
    let base = base?;
    let differs =
        |seen: &Arc<Record>, key: &str| !Arc::ptr_eq(seen, base) && seen.entries().get(key) != base.entries().get(key);
    let key = log.iter().find_map(|change| match change {
        Change::Set(key, _, Some(seen)) if differs(seen, key) => Some(&**key),
        Change::Remove(key, Some(seen)) if base.entries().get(key).is_some() && differs(seen, key) => Some(&**key),
        _ => None,
    })?;
    let mut owner = base.owner().map(Owner::name);
    let empties = log.iter().any(|change| match change {
        Change::Clear => true,
        Change::Login(name, _) => owner.replace(name).is_some_and(|before| before != name),
        Change::Owner(name, _) => {
            std::mem::replace(&mut owner, name.as_ref()).is_some_and(|b| Some(b) != name.as_ref())
        }
        _ => false,
    });
    (!empties).then_some(key)
}

/// Whether the changes take the session of this record from its owner.
pub(crate) fn take_away(base: &Record, log: &[Change]) -> bool {
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

/// One entry, or where it would be.
pub(crate) enum Held {
    Value(Arc<[u8]>),
    InRecord(Arc<Record>),
    Absent,
}

impl Held {
    /// The bytes of the entry that was held.
    pub(crate) fn bytes(&self, key: &str) -> Option<&[u8]> {
        match self {
            Self::Value(bytes) => Some(bytes),
            Self::InRecord(record) => record.entries().get(key),
            Self::Absent => None,
        }
    }
}

/// An entry that the request has changed.
#[derive(Clone)]
struct Changed {
    /// The encoded value; `None` if the entry was removed.
    value: Option<Arc<[u8]>>,
    /// A closure computed it from the stored value. Reading it therefore reads what others have written.
    is_computed: bool,
}

/// The entries that are changed. Shared by a draft's clones until one of them changes it.
#[derive(Clone, Default)]
struct Over(Option<Arc<BTreeMap<Arc<str>, Changed>>>);

impl Over {
    fn get(&self, key: &str) -> Option<&Changed> {
        self.0.as_ref()?.get(key)
    }

    fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn insert(&mut self, key: Arc<str>, changed: Changed) {
        Arc::make_mut(self.0.get_or_insert_default()).insert(key, changed);
    }

    fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> + Clone {
        self.0.iter().flat_map(|over| over.iter()).map(|(key, changed)| (&**key, changed.value.as_deref()))
    }
}

/// The session as the request sees it: the loaded record with the changes over it.
///
/// Its clones are cheap: keys, values and the record are shared.
#[derive(Clone, Default)]
pub(crate) struct Draft {
    base: Option<Arc<Record>>,
    /// The base's entries are cleared away.
    hidden: bool,
    over: Over,
    owner: Option<Option<Arc<str>>>,
    lifetime: Option<Lifetime>,
    count: usize,
    bytes: usize,
}

impl Draft {
    /// The record as it is, or nothing.
    pub(crate) fn new(base: Option<Arc<Record>>) -> Self {
        let (count, bytes) = base.as_ref().map_or((0, 0), |record| {
            let entries = record.entries();
            let overhead = Entries::encoded_len(entries.len(), 0);
            let (count, bytes) = (entries.len(), entries.as_bytes().len() - overhead);
            match entries.get(RENEWED) {
                Some(value) => (count - 1, bytes - RENEWED.len() - value.len()),
                None => (count, bytes),
            }
        });
        Self { base, count, bytes, ..Self::default() }
    }

    /// The record with the changes replayed on it.
    ///
    /// # Errors
    ///
    /// Those of closures, and [`Conflict`](ErrorKind::Conflict) if another request has changed an entry that this one
    /// has read.
    pub(crate) fn replayed(base: Option<Arc<Record>>, changes: &[Change]) -> Result<Self> {
        if let Some(key) = conflict(base.as_ref(), changes) {
            return Err(Error::entry(ErrorKind::Conflict, key, None));
        }
        let mut draft = Self::new(base);
        for change in changes {
            draft.apply(change)?;
        }
        Ok(draft)
    }

    pub(crate) fn apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Set(key, value, _) => self.replace(key, Some(value), false),
            Change::Remove(key, _) => self.replace(key, None, false),
            Change::Clear => self.clear(),
            Change::Login(owner, lifetime) => {
                if self.leaves(Some(owner)) {
                    self.clear();
                }
                self.lifetime = Some(*lifetime);
                self.owner = Some(Some(Arc::clone(owner)));
            }
            Change::Owner(owner, lifetime) => {
                if self.leaves(owner.as_ref()) {
                    self.clear();
                    self.lifetime = Some(*lifetime);
                }
                self.owner = Some(owner.clone());
            }
            Change::Lifetime(lifetime) => self.lifetime = Some(*lifetime),
            Change::Run(replay) | Change::Exactly(replay) => replay(self)?,
        }
        Ok(())
    }

    /// A hold on one entry, so that it can be decoded with no lock held. Nothing is copied.
    pub(crate) fn held(&self, key: &str) -> Held {
        match (self.over.get(key), &self.base) {
            (Some(Changed { value: Some(value), .. }), _) => Held::Value(Arc::clone(value)),
            (None, Some(record)) if !self.hidden && !is_reserved(key) => Held::InRecord(Arc::clone(record)),
            _ => Held::Absent,
        }
    }

    /// Whether setting this owner would take the session from its current owner.
    pub(crate) fn leaves(&self, owner: Option<&Arc<str>>) -> bool {
        self.owner().is_some_and(|present| Some(present) != owner)
    }

    /// The record that the changes lie over.
    pub(crate) fn base(&self) -> Option<&Arc<Record>> {
        self.base.as_ref()
    }

    /// Whether reading this entry shows the stored value or a closure's result, and not what the request has set or
    /// cleared.
    pub(crate) fn is_from_base(&self, key: &str) -> bool {
        !self.hidden && self.over.get(key).is_none_or(|changed| changed.is_computed)
    }

    /// Whether this request has set or removed the entry.
    pub(crate) fn is_changed(&self, key: &str) -> bool {
        self.over.contains_key(key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        match self.over.get(key) {
            Some(changed) => changed.value.as_deref(),
            None if is_reserved(key) => None,
            None => self.base_entries()?.get(key),
        }
    }

    /// Sets or removes an entry on behalf of a closure, which has seen the previous value.
    pub(crate) fn put(&mut self, key: &Arc<str>, value: Option<&Arc<[u8]>>) {
        self.replace(key, value, true);
    }

    fn replace(&mut self, key: &Arc<str>, value: Option<&Arc<[u8]>>, is_computed: bool) {
        if let Some(before) = self.get(key).map(<[u8]>::len) {
            self.count -= 1;
            self.bytes -= key.len() + before;
        }
        if let Some(value) = value {
            self.count += 1;
            self.bytes += key.len() + value.len();
        }
        self.over.insert(Arc::clone(key), Changed { value: value.cloned(), is_computed });
    }

    /// The session as it was loaded.
    pub(crate) fn loaded(&self) -> Self {
        Self::new(self.base.clone())
    }

    /// Puts an entry back as it was loaded.
    pub(crate) fn restore(&mut self, key: &Arc<str>) {
        let loaded: Option<Arc<[u8]>> = self.base.as_ref().and_then(|base| base.entries().get(key)).map(Arc::from);
        self.put(key, loaded.as_ref());
    }

    fn clear(&mut self) {
        self.hidden = true;
        self.over = Over::default();
        (self.count, self.bytes) = (0, 0);
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// All entries, in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        Merged {
            base: self.base_entries().map(of_the_application).into_iter().flatten().peekable(),
            over: self.over.iter().peekable(),
        }
    }

    pub(crate) fn owner(&self) -> Option<&Arc<str>> {
        match &self.owner {
            Some(owner) => owner.as_ref(),
            None => self.base.as_ref()?.owner().map(Owner::name),
        }
    }

    /// The owner's name, if this request set one that the record's owner, with its epoch, is not.
    pub(crate) fn new_owner(&self) -> Option<&Arc<str>> {
        self.owner.as_ref()?.as_ref()
    }

    pub(crate) fn lifetime(&self) -> Option<Lifetime> {
        self.lifetime.or_else(|| self.base.as_ref().map(|record| record.lifetime()))
    }

    /// Whether the folded changes make another record than the base.
    pub(crate) fn is_dirty(&self) -> bool {
        let Some(base) = &self.base else { return self.count > 0 || self.owner().is_some() };
        if self.lifetime.is_some_and(|lifetime| lifetime != base.lifetime()) {
            return true;
        }
        if let Some(owner) = &self.owner
            && owner.as_ref() != base.owner().map(Owner::name)
        {
            return true;
        }
        if self.hidden && of_the_application(base.entries()).any(|(key, _)| !self.over.contains_key(key)) {
            return true;
        }
        self.over.iter().any(|(key, value)| match (value, base.entries().get(key)) {
            (Some(value), Some(before)) => value != before,
            (None, None) => false,
            _ => true,
        })
    }

    /// What the entries would take as bytes.
    pub(crate) fn entries_len(&self) -> usize {
        Entries::encoded_len(self.count, self.bytes)
    }

    /// What the record would take as bytes, without an owner that it does not have yet.
    pub(crate) fn encoded_len(&self) -> usize {
        const HEAD: usize = 43;
        let owner = self.owner().map_or(0, |name| 10 + name.len());
        HEAD + owner + self.entries_len()
    }

    /// The same with a value of this length under this key.
    pub(crate) fn encoded_len_with(&self, key: &str, value: usize) -> usize {
        match self.get(key) {
            Some(before) => self.encoded_len() - before.len() + value,
            None => {
                let entries = Entries::encoded_len(self.count, self.bytes);
                self.encoded_len() - entries + Entries::encoded_len(self.count + 1, self.bytes + key.len() + value)
            }
        }
    }

    /// The entries with all changes applied, in a record's form, with the time of the session's last renewal.
    pub(crate) fn entries(&self, renewed: Option<[u8; 8]>) -> Result<Entries> {
        let renewed = renewed.as_ref().map(<[u8; 8]>::as_slice);
        if self.over.0.is_none()
            && let Some(entries) = self.base_entries()
            && entries.get(RENEWED) == renewed
        {
            return Ok(entries.clone());
        }
        // Keys were checked when they were set, and `iter` yields them in order, all after the reserved key. Merged
        // into a vector since the entries are iterated several times.
        let pairs: Vec<_> = renewed.map(|value| (RENEWED, value)).into_iter().chain(self.iter()).collect();
        Entries::from_sorted(pairs.iter().copied()).map_err(|error| Error::request(ErrorKind::TooLarge).because(error))
    }

    fn base_entries(&self) -> Option<&Entries> {
        if self.hidden { None } else { self.base.as_ref().map(|record| record.entries()) }
    }
}

/// The entries that the application has set, without the crate's own.
fn of_the_application(entries: &Entries) -> impl Iterator<Item = (&str, &[u8])> + Clone {
    entries.iter().filter(|(key, _)| !is_reserved(key))
}

/// Two sorted sequences as one; where both have a key, the changes hide the base.
#[derive(Clone)]
struct Merged<B, O> {
    base: B,
    over: O,
}

impl<'a, B, O> Iterator for Merged<Peekable<B>, Peekable<O>>
where
    B: Iterator<Item = (&'a str, &'a [u8])>,
    O: Iterator<Item = (&'a str, Option<&'a [u8]>)>,
{
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(&(over, _)) = self.over.peek() else { return self.base.next() };
            if let Some(before) = self.base.next_if(|&(base, _)| base < over) {
                return Some(before);
            }
            self.base.next_if(|&(base, _)| base == over);
            if let Some((key, Some(value))) = self.over.next() {
                return Some((key, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        id::Check,
        record::{Epoch, Owner},
    };

    fn record(pairs: &BTreeMap<String, Vec<u8>>, owner: Option<&str>) -> Arc<Record> {
        let entries = Entries::from_sorted(pairs.iter().map(|(key, value)| (key.as_str(), value.as_slice()))).unwrap();
        let owner = owner.map(|name| Owner::new(name, Epoch::from_u64(1)).unwrap());
        let record = Record::session(Check::from_bytes([0; 16]), UNIX_EPOCH, Lifetime::default());
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

    /// The same steps on a plain map.
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
        /// The draft, its size, its dirtiness and its record are those of a plain map, on the record that the steps were
        /// first made on and on any newer one that they are replayed on.
        #[test]
        fn a_draft_behaves_like_a_map(base in start(), newer in start(), owned in any::<bool>(), steps in steps()) {
            let changes: Vec<_> = steps.iter().map(change).collect();
            for start in [base, newer] {
                let mut owner = owned.then_some("a");
                let base = record(&start, owner);
                let draft = Draft::replayed(Some(Arc::clone(&base)), &changes).unwrap();
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
