//! Records which entries the request has read, to detect when it overwrites another request's change.

use std::sync::Arc;

use super::{changes::Baseline, draft::Draft};
use crate::record::Record;

/// The entries that the request has read, each with the record in which it was read.
///
/// Reading must not allocate, so each of the first 64 entries of the draft's base is one bit. Entries that are absent,
/// beyond the first 64, or from an earlier record are kept by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    in_base: u64,
    others: Vec<(Arc<str>, Arc<Record>)>,
}

impl Seen {
    /// Notes that the request has read an entry. Skips an entry that the request has set or cleared itself, since it
    /// shows no other request's data.
    pub(crate) fn note(&mut self, draft: &Draft, key: &str) {
        let Some(base) = draft.base().filter(|_| draft.is_from_base(key)) else { return };
        if !self.others.is_empty() {
            self.others.retain(|(seen, _)| **seen != *key);
        }
        match bit(base, key) {
            Some(bit) => self.in_base |= bit,
            None => self.others.push((key.into(), Arc::clone(base))),
        }
    }

    /// Returns the record in which the request last read an entry, or `None` if it never did.
    pub(crate) fn baseline(&self, draft: &Draft, key: &str) -> Baseline {
        if self.in_base == 0 && self.others.is_empty() {
            return None;
        }
        if let Some((_, record)) = self.others.iter().find(|(seen, _)| **seen == *key) {
            return Some(Arc::clone(record));
        }
        let base = draft.base()?;
        bit(base, key).filter(|bit| self.in_base & bit != 0).map(|_| Arc::clone(base))
    }

    /// Carries the entries over after a commit. If the stored value is the one that the request saw, the entry counts
    /// as read from the new record. If another request has changed it, it keeps its earlier record.
    pub(crate) fn carry_over(&mut self, shown: &Draft, now: &Arc<Record>) {
        let before = std::mem::take(self);
        for (key, record) in before.others {
            self.carry_one(shown, now, &key, &record);
        }
        let Some(base) = shown.base().filter(|_| before.in_base != 0) else { return };
        let mut bits = before.in_base;
        while bits != 0 {
            let index = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            self.carry_one(shown, now, base.entries().key_at(index), base);
        }
    }

    fn carry_one(&mut self, shown: &Draft, now: &Arc<Record>, key: &str, seen_in: &Arc<Record>) {
        let found = now.entries().find(key);
        let is_as_shown = shown.get(key) == found.map(|(_, value)| value);
        match found.and_then(|(index, _)| bit_of(index)).filter(|_| is_as_shown) {
            Some(bit) => self.in_base |= bit,
            None => self.others.push((key.into(), Arc::clone(if is_as_shown { now } else { seen_in }))),
        }
    }
}

/// Returns the entry's bit if it is one of the first 64.
fn bit(base: &Record, key: &str) -> Option<u64> {
    bit_of(base.entries().find(key)?.0)
}

fn bit_of(index: usize) -> Option<u64> {
    1u64.checked_shl(u32::try_from(index).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::{id::TokenCheck, lifetime::Lifetime, record::Entries, session::changes::Change};

    fn record(pairs: &[(&str, &str)]) -> Arc<Record> {
        let entries = Entries::from_sorted(pairs.iter().map(|(key, value)| (*key, value.as_bytes()))).unwrap();
        Arc::new(
            Record::session(TokenCheck::from_bytes([0; 16]), UNIX_EPOCH, Lifetime::default()).with_entries(entries),
        )
    }

    fn draft(base: &Arc<Record>) -> Draft {
        Draft::new(Some(Arc::clone(base)))
    }

    fn is(baseline: &Baseline, record: &Arc<Record>) -> bool {
        baseline.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, record))
    }

    #[test]
    fn what_is_read_has_a_baseline_and_what_is_not_has_none() {
        let base = record(&[("a", "1"), ("b", "2")]);
        let (mut seen, draft) = (Seen::default(), draft(&base));
        assert!(seen.baseline(&draft, "a").is_none());
        seen.note(&draft, "a");
        seen.note(&draft, "absent");
        assert!(is(&seen.baseline(&draft, "a"), &base));
        assert!(is(&seen.baseline(&draft, "absent"), &base));
        assert!(seen.baseline(&draft, "b").is_none());
    }

    #[test]
    fn reading_what_one_has_set_oneself_is_no_reading() {
        let base = record(&[("a", "1")]);
        let (mut seen, mut draft) = (Seen::default(), draft(&base));
        Change::Set("a".into(), Arc::from(*b"9"), None).apply(&mut draft).unwrap();
        seen.note(&draft, "a");
        assert!(seen.baseline(&draft, "a").is_none());
    }

    #[test]
    fn the_sixty_fifth_entry_counts_like_the_first() {
        let keys: Vec<String> = (0..70).map(|number| format!("k{number:02}")).collect();
        let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), "1")).collect();
        let base = record(&pairs);
        let (mut seen, draft) = (Seen::default(), draft(&base));
        for key in ["k00", "k63", "k64", "k69"] {
            seen.note(&draft, key);
        }
        for (key, was_read) in
            [("k00", true), ("k01", false), ("k63", true), ("k64", true), ("k65", false), ("k69", true)]
        {
            assert_eq!(seen.baseline(&draft, key).is_some(), was_read, "{key}");
        }
    }

    #[test]
    fn a_commit_keeps_what_was_seen_of_entries_that_others_have_changed() {
        let base = record(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let (mut seen, shown) = (Seen::default(), draft(&base));
        for key in ["a", "b", "gone", "new"] {
            seen.note(&shown, key);
        }
        let now = record(&[("a", "1"), ("b", "9"), ("c", "3"), ("new", "1")]);
        seen.carry_over(&shown, &now);
        let after = draft(&now);
        assert!(is(&seen.baseline(&after, "a"), &now));
        assert!(is(&seen.baseline(&after, "b"), &base));
        assert!(is(&seen.baseline(&after, "gone"), &now));
        assert!(is(&seen.baseline(&after, "new"), &base));
        assert!(seen.baseline(&after, "c").is_none());
        // Once it is read again, it counts as read from the newer record.
        seen.note(&after, "b");
        assert!(is(&seen.baseline(&after, "b"), &now));
    }
}
