//! The names of the subjects.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Bare,
    Empty,
    Memory,
    Sealed,
    Cached,
    File,
    Memcached,
    TowerMemory,
    TowerMoka,
    AxumSession,
}

use Kind::{AxumSession, Bare, Cached, Empty, File, Memcached, Memory, Sealed, TowerMemory, TowerMoka};

pub(crate) const ALL: [Kind; 10] =
    [Bare, Empty, Memory, Sealed, Cached, File, Memcached, TowerMemory, TowerMoka, AxumSession];
/// The subjects with sessions.
pub(crate) const WITH_SESSIONS: [Kind; 8] =
    [Memory, Sealed, Cached, File, Memcached, TowerMemory, TowerMoka, AxumSession];
/// The subjects whose sessions are all in this process.
pub(crate) const IN_MEMORY: [Kind; 5] = [Memory, Sealed, TowerMemory, TowerMoka, AxumSession];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Bare => "bare router",
            Empty => "empty layer",
            Memory => "session-layer, memory",
            Sealed => "session-layer, sealed memory",
            Cached => "session-layer, cached file",
            File => "session-layer, file",
            Memcached => "session-layer, memcached",
            TowerMemory => "tower-sessions 0.15, memory",
            TowerMoka => "tower-sessions 0.14, moka",
            AxumSession => "axum_session 0.22, memory",
        }
    }

    pub(crate) fn has_sessions(self) -> bool {
        !matches!(self, Bare | Empty)
    }

    /// Returns the name on a command line.
    pub(crate) fn argument(self) -> String {
        self.to_possible_value().expect("no kind is hidden").get_name().to_owned()
    }
}
