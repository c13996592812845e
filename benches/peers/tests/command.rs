//! Tests the command as users run it: its JSON output, its plots, and its message if memcached is missing.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

use serde_json::Value;

const SUBJECTS: usize = 10;
const OURS: [&str; 5] = ["memory", "sealed", "cached", "file", "memcached"];

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench-peers")).args(arguments).output().unwrap()
}

/// Runs a quick measurement and returns its JSON, and the texts of its plot.
fn quick(command: &[&str]) -> (Value, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let plot = directory.path().join("plot.svg");
    let plot = plot.to_str().unwrap();
    let output = bench(&[command, &["--quick", "--json", "--plot", plot]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let svg = std::fs::read_to_string(plot).unwrap();
    let svg = roxmltree::Document::parse(&svg).unwrap();
    let texts = svg.descendants().filter_map(|node| node.text()).map(str::to_owned).collect();
    (serde_json::from_slice(&output.stdout).unwrap(), texts)
}

fn rows<'a>(json: &'a Value, part: &str) -> &'a [Value] {
    json[part].as_array().unwrap_or_else(|| panic!("no {part} in {json}"))
}

#[test]
fn the_table_has_every_scenario_of_every_subject_and_their_races() {
    let (json, texts) = quick(&[]);
    let costs = rows(&json, "costs");
    assert_eq!(costs.len(), SUBJECTS * 5);
    for cost in costs {
        assert!(cost["microseconds"].as_f64().unwrap() > 0.0 && cost["allocations"].as_i64().unwrap() > 0, "{cost}");
        let has_sessions = !["bare", "empty"].contains(&cost["subject"].as_str().unwrap());
        assert_eq!(cost["overhead_to_tower_sessions"].is_f64(), has_sessions, "{cost}");
    }
    for races in rows(&json, "races") {
        if OURS.contains(&races["subject"].as_str().unwrap()) {
            let kept = ["keys_kept", "increments_kept", "back_after_logout"].map(|race| races[race].as_u64().unwrap());
            assert_eq!(kept, [100, 100, 0], "{races}");
        }
    }
    assert_eq!(rows(&json, "races").len(), SUBJECTS - 2);
    assert!(!rows(&json, "budgets").is_empty() && !rows(&json, "memory").is_empty());
    assert!(texts.iter().any(|text| text == "What sessions add to a request"), "{texts:?}");
}

#[test]
fn growth_has_every_size_and_number_of_sessions() {
    let (json, texts) = quick(&["grow", "--most", "1000"]);
    assert_eq!(rows(&json, "costs").len(), SUBJECTS * 6 * 5);
    assert_eq!(rows(&json, "threads").len(), (SUBJECTS - 2) * 5);
    assert!(texts.iter().any(|text| text == "Read, by size"), "{texts:?}");
}

#[test]
fn over_http_every_subject_answers_all_pages() {
    let (json, texts) = quick(&["http", "--seconds", "0.05", "--connections", "4"]);
    let loaded = rows(&json, "loaded");
    assert_eq!(loaded.len(), SUBJECTS * 5);
    for row in loaded {
        assert!(row["requests_per_second"].as_f64().unwrap() > 0.0, "{row}");
        let [p50, p99, p99_9] = ["p50", "p99", "p99_9"].map(|part| row[part].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p99 && p99 <= p99_9, "{row}");
    }
    assert!(texts.iter().any(|text| text == "Through HTTP/1.1"), "{texts:?}");
}

#[test]
fn memory_is_measured_at_two_numbers_of_sessions() {
    let (json, texts) = quick(&["memory"]);
    let numbers: Vec<_> = rows(&json, "memory").iter().map(|row| row["sessions"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [[1_000; 5], [2_000; 5]].concat());
    assert!(texts.iter().any(|text| text == "2,000 sessions"), "{texts:?}");
}

#[test]
fn without_memcached_it_says_what_installs_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-peers")).env("PATH", "").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("apt-get install -y memcached"), "{text}");
}
