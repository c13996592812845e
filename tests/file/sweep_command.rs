//! `examples/sweep`: its command line, and its effect on a store that another process uses.

use std::time::SystemTime;

use session_layer::{
    Clock, SessionStore,
    store::{Swept, Usage},
};

use crate::support::*;

#[path = "../../examples/sweep.rs"]
#[allow(dead_code, reason = "its main is for the command line")]
mod command;

#[test]
fn the_command_line_is_checked() {
    let options = |idle| Ok(command::Options { url: "file:/a/b".to_owned(), idle });
    assert_eq!(command::parse(&["file:/a/b"]), options(None));
    assert_eq!(command::parse(&["file:/a/b", "--idle", "30d"]), options(Some((DAY * 30).into())));
    assert_eq!(command::parse(&["--idle", "90m", "file:/a/b"]), options(Some((HOUR * 3 / 2).into())));
    let half = session_layer::store::Idle::new(DAY).touch_fraction(0.5);
    assert_eq!(command::parse(&["file:/a/b", "--idle", "1d", "--touch-fraction", "0.5"]), options(Some(half)));
    for wrong in [
        &[][..],
        &["file:/a", "--idle"],
        &["file:/a", "--idle", "d"],
        &["file:/a", "x"],
        &["file:/a", "--touch-fraction", "0.5"],
        &["file:/a", "--idle", "1d", "--touch-fraction", "1.5"],
        &["file:/a", "--idle", "1d", "--touch-fraction", "NaN"],
        &["file:/a", "--idle", "1d", "--idle", "2d"],
        &["file:/a", "--x"],
    ] {
        assert!(command::parse(wrong).is_err(), "{wrong:?}");
    }
    for wrong in ["", "30", "d", "-1d", "1.5h", "99999999999999999d", "3é"] {
        assert!(command::parse_time(wrong).is_err(), "{wrong:?}");
    }
}

/// By the system's clock: one session expired, one unused for two days, one just used.
#[tokio::test]
async fn it_removes_expired_and_unused_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let store = open(dir.path(), &Clock::manual(now - DAY * 3)).await;
    let month = session_layer::Lifetime::new(DAY * 5, DAY * 30).unwrap();
    let long = std::sync::Arc::new(record_at(now - DAY * 3, 1).as_ref().clone().with_lifetime(month));
    for (number, used) in [(1, 3), (2, 2), (3, 0)] {
        let record = if number == 1 { record_at(now - DAY * 3, 1) } else { long.clone() };
        store.create(&id(1, number), &record, Usage::at(&record, now - DAY * used)).await.unwrap();
    }
    let mut options = command::Options { url: format!("file:{}", dir.path().display()), idle: None };
    assert_eq!(command::sweep(&options).await.unwrap(), Swept { deleted: 1, remaining: 2 });
    options.idle = Some(DAY.into());
    assert_eq!(command::sweep(&options).await.unwrap(), Swept { deleted: 1, remaining: 1 });
    assert!(store.load(&id(1, 3)).await.unwrap().is_some());

    options.url += "/none";
    let error = command::sweep(&options).await.unwrap_err();
    assert!(command::explain(&*error).contains("/none"));
    options.url = "file".to_owned();
    assert!(command::explain(&*command::sweep(&options).await.unwrap_err()).contains("has no scheme"));
}
