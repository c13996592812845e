//! The hash function for ids.

use std::hash::{BuildHasher, Hasher, RandomState};

#[cfg(any(feature = "memory", test))]
use crate::id::SessionId;

/// Hashes by one wide multiplication, seeded at random for each map.
///
/// Ids are SHA-256 output already, but those of owners come from names that visitors choose. Without a seed, a visitor
/// could search for names whose ids fall into one bucket.
#[derive(Debug, Clone)]
pub(super) struct IdHash {
    low: u64,
    high: u64,
}

impl IdHash {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self { low: random.hash_one(1u8), high: random.hash_one(2u8) }
    }

    #[cfg(any(feature = "memory", test))]
    pub(super) fn hash(&self, id: &SessionId) -> u64 {
        self.mix(u128::from_le_bytes(*id.as_bytes()))
    }

    fn mix(&self, id: u128) -> u64 {
        let (low, high) = halves(id);
        let (low, high) = halves(u128::from(low ^ self.low) * u128::from(high ^ self.high));
        low ^ high
    }
}

fn halves(number: u128) -> (u64, u64) {
    // Both halves fit by construction.
    ((number & u128::from(u64::MAX)) as u64, (number >> 64) as u64)
}

impl Default for IdHash {
    fn default() -> Self {
        Self::random()
    }
}

impl BuildHasher for IdHash {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher { id_hash: self.clone(), hash: 0 }
    }
}

/// Hashes the input of a `SessionId`: one piece of 16 bytes.
#[derive(Debug)]
pub(super) struct IdHasher {
    id_hash: IdHash,
    hash: u64,
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(16) {
            let mut whole = [0; 16];
            whole[..piece.len()].copy_from_slice(piece);
            self.hash = self.hash.rotate_left(5) ^ self.id_hash.mix(u128::from_le_bytes(whole));
        }
    }

    /// Ignores the length of the array, which is the same for every id.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_and_the_shards_hash_alike_and_stores_differ() {
        let id = SessionId::for_epoch("alice");
        let id_hash = IdHash::random();
        assert_eq!(id_hash.hash_one(id), id_hash.hash(&id));
        assert_ne!(id_hash.hash(&id), IdHash::random().hash(&id));
        assert_ne!(id_hash.hash(&id), id_hash.hash(&SessionId::for_epoch("bob")));
    }
}
