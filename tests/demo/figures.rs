//! `/operator`, `/api/figures` and `/metrics`: the operator's view.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{browser::Browser, process::Demo, raw::Held};

async fn figures(browser: &Browser) -> Value {
    let mut figures = browser.get("/api/figures").await.expect(200).no_cookie().json();
    // Durations vary between runs.
    for percentile in ["p50", "p99"] {
        figures[percentile] = json!(figures[percentile].is_number());
    }
    figures
}

#[tokio::test]
async fn figures_count_sessions_and_store_calls() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let mut expected = json!({
        "live": 0, "loads": 0, "saves": 0, "merged": 0, "blocked": 0, "p50": false, "p99": false,
    });
    assert_eq!(figures(&browser).await, expected);
    // A session is created.
    let cookie = browser.log_in("ann").await.cookie();
    (expected["live"], expected["saves"]) = (json!(1), json!(1));
    (expected["p50"], expected["p99"]) = (json!(true), json!(true));
    assert_eq!(figures(&browser).await, expected);
    // Loaded and not changed.
    browser.session().await;
    expected["loads"] = json!(1);
    assert_eq!(figures(&browser).await, expected);
    // Two requests have loaded the same version, and both are saved. A third one commits after the logout.
    let both = [
        Held::put(&demo, &cookie, "/api/entries/a", "1").await,
        Held::put(&demo, &cookie, "/api/entries/b", "2").await,
    ];
    let late = Held::put(&demo, &cookie, "/api/entries/c", "3").await;
    for request in both {
        assert!(request.finish().await.starts_with("http/1.1 204"));
    }
    (expected["loads"], expected["saves"], expected["merged"]) = (json!(4), json!(3), json!(1));
    assert_eq!(figures(&browser).await, expected);
    browser.post("/logout").await.expect(303);
    late.finish().await;
    (expected["live"], expected["loads"], expected["blocked"]) = (json!(0), json!(5), json!(1));
    assert_eq!(figures(&browser).await, expected);
    demo.stop();
}

/// The operator's view keeps no session alive, and shows no session's data.
#[tokio::test]
async fn the_operators_requests_ask_for_no_session() {
    let demo = Demo::plain();
    let browser = Browser::with_cookie_of(&demo, &Browser::new(&demo).log_in("ann-the-visitor").await);
    let id = browser.session().await["id"].as_str().unwrap().to_owned();
    let asked = || demo.log().matches("session_layer::session").count();
    let before = asked();
    for path in ["/operator", "/api/figures", "/metrics"] {
        let answer = browser.get(path).await.expect(200).no_cookie();
        assert_eq!((answer.header("vary"), answer.header("cache-control")), (None, None), "{path}");
        assert!(!answer.body.contains("ann-the-visitor") && !answer.body.contains(&id), "{path}: {}", answer.body);
    }
    assert_eq!(asked(), before, "{}", demo.log());
    browser.session().await;
    assert!(asked() > before, "or the line above would prove nothing");
    // Requests that are polled do not fill the log either.
    let logged = demo.log();
    assert!(logged.contains("path=\"/operator\"") && logged.contains("path=\"/api/session\""), "{logged}");
    assert!(!logged.lines().any(|line| line.contains("INFO") && line.contains("/metrics")), "{logged}");
}

/// Returns the value of each series by its name and labels. Asserts that the text is in Prometheus' text format
/// (version 0.0.4).
fn series(text: &str) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let mut types = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<_> = comment.splitn(3, ' ').collect();
            assert!(words.len() == 3 && ["HELP", "TYPE"].contains(&words[0]), "{line}");
            if words[0] == "TYPE" {
                assert!(["counter", "gauge", "histogram"].contains(&words[2]), "{line}");
                assert_eq!(types.insert(words[1].to_owned(), words[2].to_owned()), None, "{line}");
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let bare = name.split('{').next().unwrap();
        assert!(bare.chars().all(|char| char.is_ascii_alphanumeric() || char == '_'), "{line}");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| bare.strip_suffix(end));
        let kind = types.get(bare).or_else(|| types.get(family?)).unwrap_or_else(|| panic!("no type: {line}"));
        assert_eq!(kind == "counter", bare.ends_with("_total"), "{line}");
        assert_eq!(series.insert(name.to_owned(), value.parse().unwrap()), None, "{line}");
    }
    assert!(text.ends_with('\n'));
    series
}

#[tokio::test]
async fn metrics_are_in_prometheus_form() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    for user in ["ann", "bob"] {
        browser.log_in(user).await;
        browser.put("/api/entries/k", "1").await.expect(204);
    }
    browser.get("/api/session").await.expect(200);
    let answer = browser.get("/metrics").await.expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let series = series(&answer.body);
    let value = |name: &str| series.get(name).copied().unwrap_or_else(|| panic!("{name}: {}", answer.body));
    assert_eq!(value(r#"session_layer_session_count{db_system_name="memory"}"#), 1.0);
    assert_eq!(value(r#"session_layer_session_saved_total{db_system_name="memory"}"#), 2.0);
    assert_eq!(value(r#"session_layer_session_loaded_total{db_system_name="memory"}"#), 4.0);
    // A histogram with its buckets, the last of which contains all values.
    let load = r#"db_system_name="memory",db_operation_name="load",session_layer_outcome="done""#;
    let name = "db_client_operation_duration_seconds";
    let count = value(&format!("{name}_count{{{load}}}"));
    assert!(count >= 4.0);
    assert_eq!(value(&format!("{name}_bucket{{{load},le=\"+Inf\"}}")), count);
    assert!(value(&format!("{name}_bucket{{{load},le=\"0.000001\"}}")) <= count);
    assert!(value(&format!("{name}_sum{{{load}}}")) > 0.0);
    demo.stop();
}
