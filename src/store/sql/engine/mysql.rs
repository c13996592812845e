//! The driver for MySQL and MariaDB.

use sqlx::{
    AssertSqlSafe, Column as _, Executor as _, MySql, MySqlConnection, Row as _, TypeInfo as _,
    error::DatabaseError,
    mysql::{MySqlArguments, MySqlDatabaseError, MySqlRow},
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

/// MySQL and MariaDB through sqlx.
pub(in super::super) struct MySqlDriver;

impl Driver for MySqlDriver {
    type Db = MySql;

    const ROLLBACK: &'static str = "ROLLBACK";
    const TRANSACTION: (&'static str, &'static str) = ("START TRANSACTION;\n", "COMMIT");

    async fn run(connection: &mut MySqlConnection, call: &Call) -> Result<Done, sqlx::Error> {
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
        let number = error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
        let (meaning, advice) = match number {
            1062 => (Meaning::Duplicate, None),
            // 1213: a deadlock; the transaction was rolled back. 1020: a conflict under MariaDB's snapshot isolation,
            // which is like a serialization failure.
            1213 | 1020 => (Meaning::Beaten, None),
            // A lock timeout, a time limit of the server, or an administrator's `KILL QUERY`. A lock timeout undoes
            // only the statement; `tidy` rolls back the rest of the transaction.
            1205 | 3024 | 1969 | 1317 | 3572 => (Meaning::Refused(Timeout), None),
            // The server is read-only, by a setting or as a replica.
            1290 | 1792 | 1836 => (Meaning::Refused(Unavailable), Some(advice::READ_ONLY)),
            1021 | 1114 => (Meaning::Refused(Unavailable), Some(advice::FULL)),
            1040 | 1203 | 1226 => (Meaning::Refused(Unavailable), Some(advice::CONNECTIONS)),
            1153 | 1301 => (Meaning::Refused(TooLarge), Some(advice::PACKET)),
            1406 | 1118 => (Meaning::Refused(TooLarge), None),
            1054 | 1146 | 1046 | 1049 => (Meaning::Refused(Other), Some(advice::SCHEMA)),
            1044 | 1045 | 1142 | 1143 | 1227 | 1370 => (Meaning::Refused(Other), Some(advice::RIGHTS)),
            // Not ready: a cluster node without a quorum, or a server that is shutting down.
            1047 | 1053 | 1079 => (Meaning::Unanswered(Unavailable), None),
            // The connection was killed, the commit failed, or the disk failed.
            1927 | 1180 | 3 | 1026 | 1152 | 1158..=1161 => (Meaning::Unanswered(Unavailable), None),
            _ => (Meaning::Refused(Other), None),
        };
        SqlStoreError::new(meaning, format!("MySQL answered \"{}\" ({number})", error.message())).advise(advice)
    }
}

fn bound(text: AssertSqlSafe<std::sync::Arc<str>>, values: &[Value]) -> Query<'_, MySql, MySqlArguments> {
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

fn done(rows: Vec<MySqlRow>) -> Result<Done, sqlx::Error> {
    let rows = rows.iter().map(row).collect::<Result<_, _>>()?;
    Ok(Done { written: 0, rows })
}

fn row(row: &MySqlRow) -> Result<Row, sqlx::Error> {
    let value = |(at, column): (usize, &sqlx::mysql::MySqlColumn)| {
        let name = column.type_info().name();
        Ok(if name.contains("INT") {
            row.try_get_unchecked::<Option<i64>, _>(at)?.map_or(Value::NoInt, Value::Int)
        } else {
            row.try_get_unchecked::<Option<Vec<u8>>, _>(at)?.map_or(Value::NoBytes, Value::Bytes)
        })
    };
    Ok(Row(row.columns().iter().enumerate().map(value).collect::<Result<_, sqlx::Error>>()?))
}
