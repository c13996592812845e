//! The names of the subjects.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Own,
    OwnOverAPool,
    Tower,
    Axum,
    AxumInMemory,
    Bare,
    OwnSqlite,
    TowerSqlite,
    AxumSqlite,
    BareSqlite,
}

use Kind::{Axum, AxumInMemory, AxumSqlite, Bare, BareSqlite, Own, OwnOverAPool, OwnSqlite, Tower, TowerSqlite};

pub(crate) const ALL: [Kind; 10] =
    [Own, OwnOverAPool, Tower, Axum, AxumInMemory, Bare, OwnSqlite, TowerSqlite, AxumSqlite, BareSqlite];
pub(crate) const OWN: [Kind; 2] = [Own, OwnSqlite];
/// The peers that read sessions from the database, as is necessary with several processes.
pub(crate) const PEERS: [Kind; 4] = [Tower, Axum, TowerSqlite, AxumSqlite];
pub(crate) const BARE: [Kind; 2] = [Bare, BareSqlite];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Own => "session-layer, PostgreSQL",
            OwnOverAPool => "session-layer, PostgreSQL, pool as it comes",
            Tower => "tower-sessions 0.14, PostgreSQL",
            Axum => "axum_session 0.22, PostgreSQL",
            AxumInMemory => "axum_session 0.22, memory over PostgreSQL",
            Bare => "bare statements, PostgreSQL",
            OwnSqlite => "session-layer, SQLite",
            TowerSqlite => "tower-sessions 0.14, SQLite",
            AxumSqlite => "axum_session 0.22, SQLite",
            BareSqlite => "bare statements, SQLite",
        }
    }

    pub(crate) fn is_sqlite(self) -> bool {
        matches!(self, OwnSqlite | TowerSqlite | AxumSqlite | BareSqlite)
    }

    /// The name on the command line.
    pub(crate) fn argument(self) -> String {
        self.to_possible_value().expect("no kind is hidden").get_name().to_owned()
    }
}
