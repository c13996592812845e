//! The session as one request sees it: the loaded record with the request's changes on top.

use std::{collections::BTreeMap, fmt, iter::Peekable, sync::Arc, time::SystemTime};

use super::settings::Settings;
use crate::{
    error::{Error, ErrorKind, Result},
    id::TokenCheck,
    lifetime::Lifetime,
    record::{Entries, HEAD_BYTES, OWNER_HEAD_BYTES, Owner, RENEWED, Record, RecordError, is_reserved},
};

/// A reference to one entry, so that it can be read with no lock held.
pub(crate) enum EntryRef {
    Value(Arc<[u8]>),
    InRecord(Arc<Record>),
    Absent,
}

impl EntryRef {
    /// Returns the bytes of the entry. The key must be the one that it was returned for.
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
    /// A closure computed it from the stored value, so reading it also reads what others have written.
    is_computed: bool,
}

/// The changed entries. Most requests change one, which needs no allocation. Clones of a draft share several, until one of
/// them changes an entry.
#[derive(Clone, Default)]
enum Over {
    #[default]
    Nothing,
    One(Arc<str>, Changed),
    Several(Arc<BTreeMap<Arc<str>, Changed>>),
}

impl Over {
    fn get(&self, key: &str) -> Option<&Changed> {
        match self {
            Self::Nothing => None,
            Self::One(one, changed) => (**one == *key).then_some(changed),
            Self::Several(entries) => entries.get(key),
        }
    }

    fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn insert(&mut self, key: Arc<str>, changed: Changed) {
        *self = match std::mem::take(self) {
            Self::Nothing => Self::One(key, changed),
            Self::One(one, _) if one == key => Self::One(key, changed),
            Self::One(one, before) => Self::Several(Arc::new(BTreeMap::from([(one, before), (key, changed)]))),
            Self::Several(mut entries) => {
                Arc::make_mut(&mut entries).insert(key, changed);
                Self::Several(entries)
            }
        };
    }

    fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> + Clone {
        let (one, several) = match self {
            Self::Nothing => (None, None),
            Self::One(key, changed) => (Some((key, changed)), None),
            Self::Several(entries) => (None, Some(entries.iter())),
        };
        let all = one.into_iter().chain(several.into_iter().flatten());
        all.map(|(key, changed)| (&**key, changed.value.as_deref()))
    }
}

/// The session as the request sees it: the loaded record with the request's changes on top.
///
/// Clones are cheap: they share keys, values and the record.
#[derive(Clone, Default)]
pub(crate) struct Draft {
    base: Option<Arc<Record>>,
    /// The base's entries were cleared.
    hidden: bool,
    over: Over,
    owner: Option<Option<Arc<str>>>,
    lifetime: Option<Lifetime>,
    count: usize,
    bytes: usize,
}

impl Draft {
    /// Creates a draft without changes, on this record or on none.
    pub(crate) fn new(base: Option<Arc<Record>>) -> Self {
        let (count, bytes) = base.as_ref().map_or((0, 0), |record| {
            let entries = record.entries();
            let overhead = Entries::encoded_len(entries.len(), 0);
            let (count, bytes) = (entries.len(), entries.as_bytes().len() - overhead);
            match entries.reserved(RENEWED) {
                Some(value) => (count - 1, bytes - RENEWED.len() - value.len()),
                None => (count, bytes),
            }
        });
        Self { base, count, bytes, ..Self::default() }
    }

    /// Returns a reference to one entry, so that it can be decoded with no lock held. Nothing is copied.
    pub(crate) fn entry(&self, key: &str) -> EntryRef {
        match (self.over.get(key), &self.base) {
            (Some(Changed { value: Some(value), .. }), _) => EntryRef::Value(Arc::clone(value)),
            (None, Some(record)) if !self.hidden && !is_reserved(key) => EntryRef::InRecord(Arc::clone(record)),
            _ => EntryRef::Absent,
        }
    }

    /// Whether setting this owner would take the session from its current owner.
    pub(crate) fn changes_owner_to(&self, owner: Option<&Arc<str>>) -> bool {
        self.owner().is_some_and(|present| Some(present) != owner)
    }

    /// Returns the record below the changes.
    pub(crate) fn base(&self) -> Option<&Arc<Record>> {
        self.base.as_ref()
    }

    /// Whether reading this entry shows the stored value or a closure's result, not a value that the request has set or
    /// cleared itself.
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

    /// Sets or removes an entry for a closure, which has seen the previous value.
    pub(crate) fn put(&mut self, key: &Arc<str>, value: Option<&Arc<[u8]>>) {
        self.replace(key, value, true);
    }

    /// Sets or removes an entry. `is_computed` says whether a closure computed the value.
    pub(super) fn replace(&mut self, key: &Arc<str>, value: Option<&Arc<[u8]>>, is_computed: bool) {
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

    /// Returns the session as it was loaded.
    pub(crate) fn loaded(&self) -> Self {
        Self::new(self.base.clone())
    }

    /// Resets an entry to its loaded value.
    pub(crate) fn restore(&mut self, key: &Arc<str>) {
        let loaded: Option<Arc<[u8]>> = self.base.as_ref().and_then(|base| base.entries().get(key)).map(Arc::from);
        self.put(key, loaded.as_ref());
    }

    /// Hides all entries.
    pub(super) fn clear(&mut self) {
        self.hidden = true;
        self.over = Over::default();
        (self.count, self.bytes) = (0, 0);
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Returns all entries, in the order of their keys.
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

    pub(super) fn set_owner(&mut self, owner: Option<Arc<str>>) {
        self.owner = Some(owner);
    }

    pub(super) fn set_lifetime(&mut self, lifetime: Lifetime) {
        self.lifetime = Some(lifetime);
    }

    /// Whether this request has set an owner or taken it away, even if the record's owner is the same.
    pub(crate) fn sets_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// Returns the owner that this request has set, if it has set one, whether or not it is the record's owner already.
    pub(crate) fn chosen_owner(&self) -> Option<&Arc<str>> {
        self.owner.as_ref()?.as_ref()
    }

    pub(crate) fn lifetime(&self) -> Option<Lifetime> {
        self.lifetime.or_else(|| self.base.as_ref().map(|record| record.lifetime()))
    }

    /// Whether the changes, taken together, make a record that differs from the base.
    pub(crate) fn is_dirty(&self) -> bool {
        let Some(base) = &self.base else { return self.count > 0 || self.owner().is_some() };
        if matches!(self.over, Over::Nothing) && !self.hidden && self.owner.is_none() && self.lifetime.is_none() {
            return false;
        }
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

    /// Returns the encoded size of the entries, in bytes.
    pub(crate) fn entries_len(&self) -> usize {
        Entries::encoded_len(self.count, self.bytes)
    }

    /// Returns the encoded size of the record, in bytes, with the owner that this request has set.
    pub(crate) fn encoded_len(&self) -> usize {
        let owner = self.owner().map_or(0, |name| OWNER_HEAD_BYTES + name.len());
        HEAD_BYTES + owner + self.entries_len()
    }

    /// Like [`encoded_len`](Self::encoded_len), but with a value of this length under this key.
    pub(crate) fn encoded_len_with(&self, key: &str, value: usize) -> usize {
        match self.get(key) {
            Some(before) => self.encoded_len() - before.len() + value,
            None => {
                let entries = Entries::encoded_len(self.count, self.bytes);
                self.encoded_len() - entries + Entries::encoded_len(self.count + 1, self.bytes + key.len() + value)
            }
        }
    }

    /// Encodes the entries with all changes applied. `renewed` is the time of the session's last renewal.
    pub(crate) fn entries(&self, renewed: Option<[u8; 8]>) -> Result<Entries> {
        let renewed = renewed.as_ref().map(<[u8; 8]>::as_slice);
        if matches!(self.over, Over::Nothing)
            && let Some(entries) = self.base_entries()
            && entries.reserved(RENEWED) == renewed
        {
            return Ok(entries.clone());
        }
        if let Over::One(key, changed) = &self.over
            && let Some(entries) = self.base_entries()
            && entries.reserved(RENEWED) == renewed
        {
            return entries.with(key, changed.value.as_deref()).map_err(too_large);
        }
        // Keys were checked when they were set, and `iter` yields them in order, all after the reserved key.
        let (count, bytes) = match renewed {
            Some(value) => (self.count + 1, self.bytes + RENEWED.len() + value.len()),
            None => (self.count, self.bytes),
        };
        let entries = match renewed {
            None if self.base_entries().is_none() => {
                let set = self.over.iter().filter_map(|(key, value)| Some((key, value?)));
                Entries::from_counted(set, count, bytes)
            }
            _ => Entries::from_counted(
                renewed.map(|value| (RENEWED, value)).into_iter().chain(self.iter()),
                count,
                bytes,
            ),
        };
        entries.map_err(too_large)
    }

    /// Builds the record to be stored, without an owner.
    pub(super) fn record(
        &self,
        settings: &Settings,
        check: TokenCheck,
        created_at: SystemTime,
        renewed: Option<[u8; 8]>,
    ) -> Result<Record> {
        let lifetime = self.lifetime().unwrap_or(settings.lifetime);
        Ok(Record::session(check, created_at, lifetime).with_entries(self.entries(renewed)?))
    }

    /// Fails if the record is too large and has grown since `before`.
    ///
    /// As in `insert`, a record that is already too large may shrink. Nobody is kept from logging in: the owner's name is
    /// not counted as growth, nor is the time of a renewal, which is not the application's.
    pub(super) fn check_growth(&self, settings: &Settings, before: Option<&Arc<Record>>) -> Result<()> {
        let (length, most) = (self.encoded_len(), settings.max_record_bytes);
        if length <= most {
            return Ok(());
        }
        let before = before.map_or(0, |before| Self::new(Some(Arc::clone(before))).entries_len());
        if self.entries_len() > before { Err(Error::too_large(None, length, most)) } else { Ok(()) }
    }

    fn base_entries(&self) -> Option<&Entries> {
        if self.hidden { None } else { self.base.as_ref().map(|record| record.entries()) }
    }
}

/// Shows the keys, but none of the values.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(key, _)| key)).finish()
    }
}

fn too_large(error: RecordError) -> Error {
    Error::request(ErrorKind::TooLarge).because(error)
}

/// Returns the application's entries, without the crate's own.
fn of_the_application(entries: &Entries) -> impl Iterator<Item = (&str, &[u8])> + Clone {
    entries.iter().filter(|(key, _)| !is_reserved(key))
}

/// Merges two sorted sequences. If both have a key, the changed entry hides the base's.
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
