//! The settings of SQLite.

use std::{path::PathBuf, time::Duration};

use crate::store::durability::Durability;

/// The location of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::sql) enum Place {
    /// In this process's memory.
    Memory,
    /// In this file, which is created if it is missing and `create` is set.
    File { path: PathBuf, create: bool },
}

#[derive(Debug, Clone)]
pub(in crate::store::sql) struct SqliteSettings {
    pub(in crate::store::sql) place: Place,
    pub(in crate::store::sql) durability: Durability,
    pub(in crate::store::sql) readers: usize,
    /// The time limit of a request, including the wait for other processes.
    pub(in crate::store::sql) limit: Duration,
}
