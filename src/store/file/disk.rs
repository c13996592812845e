//! The directory with its settings.

use super::{dirty::Dirty, layout::Layout};
use crate::{
    clock::{self, Clock},
    store::Durability,
};

/// The directory with its settings. `found` reads files in it, `writing` writes them.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) layout: Layout,
    pub(super) durability: Durability,
    pub(super) clock: Clock,
    pub(super) dirty: Dirty,
}

impl Disk {
    pub(super) fn now(&self) -> u64 {
        clock::to_millis(self.clock.now())
    }
}
