//! More application processes: this test's program, started again with a task.

#![allow(dead_code, reason = "each test uses some of the helpers")]

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use session_layer::{SessionId, SessionStore, store::Update};

use crate::{load, support::*};

const TASK: &str = "SESSION_LAYER_TEST_TASK";
const KEYS: usize = 100;
const INCREMENTS: u64 = 100;

/// Starts this program again, with this task on this store. The task is a word, followed by its arguments.
pub fn start(task: &str, url: &str, rest: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["worker::works", "--exact", "--nocapture"])
        .env(TASK, format!("{task} {url} {rest}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The ids as text, for another process.
pub fn list(ids: &[SessionId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The other process, which does the task in its environment. Without a task, checks that an unknown one fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works() {
    let Ok(text) = std::env::var(TASK) else {
        assert!(!start("none", "memory:", "").wait_with_output().unwrap().status.success());
        return;
    };
    let words: Vec<_> = text.split(' ').collect();
    let store = open(words[1]).await;
    let ids = || words[2..].iter().map(|id| id.parse::<SessionId>().expect("an id")).collect::<Vec<_>>();
    match words[0] {
        "increment" => {
            let ids = ids();
            for round in 0..INCREMENTS {
                for id in &ids {
                    assert!(increment(&store, id).await, "a session is gone in round {round}");
                }
            }
            // Until the other process logs out.
            for id in &ids {
                while increment(&store, id).await {}
                assert!(store.load(id).await.expect("it answers").is_none());
            }
        }
        "write" => loop {
            for id in &ids() {
                let held = loaded(&store, id).await;
                let next = numbered(number(&held) + 1);
                match store.update(id, &next, &held.version, usage(&next)).await.expect("it answers") {
                    Update::Updated(_) => println!("wrote {id} {}", number(&held) + 1),
                    other => panic!("nobody else writes: {other:?}"),
                }
            }
        },
        "load" => load::serve(store, &words[2..]).await,
        other => panic!("no task {other}"),
    }
}

/// Two processes increment a hundred sessions a hundred times each. Then one of them ends all sessions.
pub async fn increments_add_up_and_logouts_are_final(url: &str) {
    let store = open(url).await;
    let ids: Vec<_> = (0..KEYS).map(|_| id()).collect();
    for id in &ids {
        created(&store, id, &numbered(0)).await;
    }
    let child = start("increment", url, &list(&ids));
    for _ in 0..INCREMENTS {
        for id in &ids {
            assert!(increment(&store, id).await, "it is there");
        }
    }
    for id in &ids {
        // The other process does its part at its own pace. More increments do no harm.
        let held = loop {
            let held = loaded(&store, id).await;
            if number(&held) >= 2 * INCREMENTS {
                break held;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(store.remove(id).await.unwrap());
        let late = numbered(1);
        assert_eq!(store.update(id, &late, &held.version, usage(&late)).await.unwrap(), Update::Gone);
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the second process failed: {}", String::from_utf8_lossy(&output.stdout));
    for id in &ids {
        assert!(store.load(id).await.unwrap().is_none(), "it is back");
    }
}
