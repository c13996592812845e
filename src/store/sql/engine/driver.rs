//! A driver of sqlx, and what its errors mean.

use std::sync::Arc;

use sqlx::Database;

use crate::store::{
    StoreErrorKind,
    sql::{
        error::{Meaning, SqlStoreError},
        row::Row,
        value::Value,
    },
};

/// The differences between the drivers of sqlx.
pub(in super::super) trait Driver: Send + Sync + 'static {
    type Db: Database;

    /// Ends a transaction that failed halfway; empty if the server does so itself.
    const ROLLBACK: &'static str;

    /// The text before and after the statements of a transaction.
    const TRANSACTION: (&'static str, &'static str);

    fn run(
        connection: &mut <Self::Db as Database>::Connection,
        call: &Call,
    ) -> impl Future<Output = Result<Done, sqlx::Error>> + Send;

    /// Translates an error of the server.
    fn refusal(error: &dyn sqlx::error::DatabaseError) -> SqlStoreError;
}

/// A request: one round trip.
#[derive(Debug, Clone)]
pub(in super::super) struct Call {
    pub(super) text: Text,
    /// Whether to return rows; otherwise, the number of written rows is returned.
    pub(super) rows: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Text {
    /// A statement that each connection prepares once, and its values.
    Prepared(Arc<str>, Arc<[Value]>),
    /// One or more statements with the values written into the text.
    Plain(Arc<str>),
}

#[derive(Debug, Default)]
pub(in super::super) struct Done {
    pub(super) written: u64,
    pub(super) rows: Vec<Row>,
}

/// Translates an error of acquiring a connection: no statement was sent.
pub(super) fn not_connected<D: Driver>(error: sqlx::Error) -> SqlStoreError {
    let kind = match &error {
        sqlx::Error::PoolTimedOut => StoreErrorKind::Timeout,
        _ => StoreErrorKind::Unavailable,
    };
    let advice = match &error {
        sqlx::Error::Database(error) => D::refusal(&**error).advice(),
        _ => None,
    };
    SqlStoreError::new(Meaning::NotSent(kind), format!("can't connect to the database: {error}"))
        .advise(advice)
        .because(error)
}

/// Translates an error of a statement that was handed to the driver.
pub(super) fn refused<D: Driver>(error: sqlx::Error) -> SqlStoreError {
    match &error {
        sqlx::Error::Database(refusal) => D::refusal(&**refusal).because(error),
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
            SqlStoreError::new(Meaning::NotSent(StoreErrorKind::Other), error.to_string()).because(error)
        }
        _ => {
            let meaning = Meaning::Unanswered(StoreErrorKind::Unavailable);
            SqlStoreError::new(meaning, format!("the database did not answer: {error}")).because(error)
        }
    }
}
