//! The kinds of operations.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The store's load.
    Load,
    /// The commands of that load on a bare connection.
    BareLoad,
    /// A `GET` of the loaded value, on a bare connection.
    BareGet,
    /// The store's load of a session that has an owner.
    OwnedLoad,
    /// The commands of that load on a bare connection.
    BareOwnedLoad,
    /// The store's update.
    Update,
    /// The commands of that update on a bare connection, with the same bytes.
    BareUpdate,
}

use Kind::{BareGet, BareLoad, BareOwnedLoad, BareUpdate, Load, OwnedLoad, Update};

pub(crate) const ALL: [Kind; 7] = [Load, BareLoad, BareGet, OwnedLoad, BareOwnedLoad, Update, BareUpdate];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Load => "RedisStore, load",
            BareLoad => "bare connection, the commands of a load",
            BareGet => "bare connection, `GET`",
            OwnedLoad => "RedisStore, load with an owner",
            BareOwnedLoad => "bare connection, the commands of that load",
            Update => "RedisStore, update",
            BareUpdate => "bare connection, the commands of an update",
        }
    }

    /// The kinds that an operation of the store is compared with.
    pub(crate) fn compared(self) -> &'static [Kind] {
        match self {
            Load => &[BareLoad],
            OwnedLoad => &[BareOwnedLoad],
            Update => &[BareUpdate],
            _ => &[],
        }
    }
}
