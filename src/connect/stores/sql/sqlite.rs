//! `sqlite:PATH`.

use super::{super::observer::StoreObserver, settings::Settings};
use crate::{
    connect::{
        error::ConnectError,
        stores::local::{self, Form},
    },
    store::{Durability, DynStore, SqlStore},
    url::{self, StoreUrl},
};

const FORM: Form =
    Form { scheme: "sqlite", placeholder: "PATH", what: "file", of: "a file, which is created with `create=yes`" };

/// The parsed URL.
struct Parsed {
    /// `None` for an in-memory database, for tests.
    path: Option<String>,
    durability: Option<Durability>,
    settings: Settings,
}

pub(in super::super) async fn sqlite(url: &StoreUrl<'_>, observer: StoreObserver) -> Result<DynStore, ConnectError> {
    let Parsed { path, durability, settings } = parse(url)?;
    let mut builder = path.map_or_else(SqlStore::sqlite_in_memory, SqlStore::sqlite);
    if let Some(durability) = durability {
        builder = builder.durability(durability);
    }
    settings.open("SQLite", builder, observer).await
}

fn parse(url: &StoreUrl<'_>) -> Result<Parsed, ConnectError> {
    let options = url.options(&[&Settings::NAMES[..], &["durability"]].concat())?;
    let durabilities = [("none", Durability::None), ("data", Durability::Data), ("full", Durability::Full)];
    let durability = options.word("durability", &durabilities)?;
    let settings = Settings::parse(&options)?;
    let path = if url.target == ":memory:" { None } else { Some(file(url.target)?) };
    Ok(Parsed { path, durability, settings })
}

fn file(target: &str) -> Result<String, ConnectError> {
    let wrong = |what: &str| Err(ConnectError::new(format!("the store URL's path {what}")));
    let path = local::path(target, &FORM)?;
    if path.ends_with('/') {
        return wrong("names a directory: write `sqlite:PATH`, a file in it");
    }
    if path.starts_with("file:") {
        return wrong("begins with `file:`, a URI of SQLite: write `sqlite:PATH`");
    }
    if path.starts_with(':') {
        return wrong("begins with `:`: write `sqlite::memory:` for a database in memory, or `%3A` for the character");
    }
    Ok(url::path(path)?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Parsed {
        StoreUrl::parse(url)
            .map_err(ConnectError::from)
            .and_then(|url| parse(&url))
            .unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn each_part_arrives_where_it_belongs() {
        let Parsed { path, durability, settings } = parsed("sqlite:my%20demo.db?create=yes&durability=full&cache=9");
        assert_eq!((path.as_deref(), durability), (Some("my demo.db"), Some(Durability::Full)));
        assert_eq!((settings.create, settings.cache), (true, Some(9)));
        for url in ["sqlite:/var/lib/x.db", "SQLite:///var/lib/x.db", "sqlite://localhost/var/lib/x.db"] {
            assert_eq!(parsed(url).path.as_deref(), Some("/var/lib/x.db"), "{url}");
        }
        assert_eq!(parsed("sqlite::memory:").path, None);
    }
}
