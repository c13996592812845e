//! The settings of SQLite.

use std::{path::PathBuf, time::Duration};

use crate::store::durability::Durability;

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::sql) enum Place {
    /// In this process's memory.
    Memory,
    /// In this file. Whether it is created if it is missing.
    File { path: PathBuf, create: bool },
}

#[derive(Debug, Clone)]
pub(in crate::store::sql) struct SqliteSettings {
    pub(in crate::store::sql) place: Place,
    pub(in crate::store::sql) durability: Durability,
    pub(in crate::store::sql) readers: usize,
    /// How long a request may take, with the wait for other processes.
    pub(in crate::store::sql) limit: Duration,
}
