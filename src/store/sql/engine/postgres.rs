//! The driver for PostgreSQL.

use sqlx::{
    AssertSqlSafe, Column as _, Executor as _, PgConnection, Postgres, Row as _, TypeInfo as _,
    error::DatabaseError,
    postgres::{PgArguments, PgDatabaseError, PgRow},
    query::Query,
};

use super::driver::{Call, Done, Driver, Text};
use crate::store::{
    StoreErrorKind,
    sql::{
        error::{Meaning, SqlStoreError, advice},
        row::Row,
        value::Value,
    },
};

/// PostgreSQL through sqlx.
pub(in super::super) struct PostgresDriver;

impl Driver for PostgresDriver {
    type Db = Postgres;

    // The statements of one request are one transaction, which the server rolls back on an error.
    const ROLLBACK: &'static str = "";
    const TRANSACTION: (&'static str, &'static str) = ("", "");

    async fn run(connection: &mut PgConnection, call: &Call) -> Result<Done, sqlx::Error> {
        match (&call.text, call.rows) {
            (Text::Prepared(text, values), true) => {
                let rows = bound(AssertSqlSafe(text.clone()), values).fetch_all(connection).await?;
                done(rows)
            }
            (Text::Prepared(text, values), false) => {
                let done = bound(AssertSqlSafe(text.clone()), values).execute(connection).await?;
                Ok(Done { written: done.rows_affected(), rows: Vec::new() })
            }
            (Text::Plain(text), true) => {
                let rows = sqlx::raw_sql(AssertSqlSafe(text.clone())).fetch_all(connection).await?;
                done(rows)
            }
            (Text::Plain(text), false) => {
                let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(text.clone()))).await?;
                Ok(Done { written: done.rows_affected(), rows: Vec::new() })
            }
        }
    }

    fn refusal(error: &dyn DatabaseError) -> SqlStoreError {
        use StoreErrorKind::{Other, Timeout, TooLarge, Unavailable};
        let code = error.code().unwrap_or_default();
        let fatal = error
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|error| !matches!(error.severity(), sqlx::postgres::PgSeverity::Error));
        let (meaning, advice) = match &*code {
            "23505" => (Meaning::Duplicate, None),
            // A serialization failure or a deadlock.
            "40001" | "40P01" => (Meaning::Beaten, None),
            // The server itself can't tell whether it committed.
            "40003" => (Meaning::Unanswered(Unavailable), None),
            // A lock timeout; a statement timeout or a cancel request.
            "55P03" | "57014" => (Meaning::Refused(Timeout), None),
            "25006" => (Meaning::Refused(Unavailable), Some(advice::READ_ONLY)),
            "53100" => (Meaning::Refused(Unavailable), Some(advice::FULL)),
            "53300" => (Meaning::Refused(Unavailable), Some(advice::CONNECTIONS)),
            "57P03" => (Meaning::Refused(Unavailable), None),
            "26000" | "42P05" => (Meaning::Refused(Other), Some(advice::PREPARED)),
            "08P01" => (Meaning::Unanswered(Unavailable), Some(advice::PREPARED)),
            "42P01" | "42703" | "3F000" | "42804" => (Meaning::Refused(Other), Some(advice::SCHEMA)),
            "42501" => (Meaning::Refused(Other), Some(advice::RIGHTS)),
            code if code.starts_with("54") || code == "22001" => (Meaning::Refused(TooLarge), None),
            // The connection has ended: an administrator closed it, another server process crashed, or the network
            // failed.
            code if code.starts_with("57P") || code.starts_with("08") || fatal => {
                (Meaning::Unanswered(Unavailable), None)
            }
            code if code.starts_with("53") || code.starts_with("58") => (Meaning::Refused(Unavailable), None),
            _ => (Meaning::Refused(Other), None),
        };
        SqlStoreError::new(meaning, format!("PostgreSQL answered \"{}\" ({code})", error.message())).advise(advice)
    }
}

fn bound(text: AssertSqlSafe<std::sync::Arc<str>>, values: &[Value]) -> Query<'_, Postgres, PgArguments> {
    let mut query = sqlx::query(text);
    for value in values {
        query = match value {
            Value::Int(number) => query.bind(*number),
            Value::Bytes(bytes) => query.bind(&bytes[..]),
            Value::NoInt => query.bind(None::<i64>),
            Value::NoBytes => query.bind(None::<&[u8]>),
        };
    }
    query
}

fn done(rows: Vec<PgRow>) -> Result<Done, sqlx::Error> {
    let rows = rows.iter().map(row).collect::<Result<_, _>>()?;
    Ok(Done { written: 0, rows })
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let value = |(at, column): (usize, &sqlx::postgres::PgColumn)| {
        Ok(match column.type_info().name() {
            "INT8" | "INT4" | "INT2" => row.try_get_unchecked::<Option<i64>, _>(at)?.map_or(Value::NoInt, Value::Int),
            "BYTEA" => row.try_get::<Option<Vec<u8>>, _>(at)?.map_or(Value::NoBytes, Value::Bytes),
            _ => {
                let text = row.try_get_unchecked::<Option<String>, _>(at)?;
                text.map_or(Value::NoBytes, |text| Value::Bytes(text.into_bytes()))
            }
        })
    };
    Ok(Row(row.columns().iter().enumerate().map(value).collect::<Result<_, sqlx::Error>>()?))
}
