//! The operator's page: its figures move while the button is pressed.

use serde_json::Value;

use crate::{driver::Browser, process::Demo};

/// Reads a figure from the page.
async fn reading(browser: &Browser, figure: &str) -> u64 {
    let text = browser.text(&format!("[data-figure={figure}] .value")).await.unwrap();
    text.replace(',', "").parse().unwrap()
}

/// The heights of a chart's line. They grow downwards.
const HEIGHTS: &str = "return Object.fromEntries([...document.querySelectorAll('.chart .line')].map((line) => [
    line.closest('.figure').dataset.figure + ' ' + line.classList[1],
    (line.getAttribute('d').match(/ ([\\d.]+)/g) ?? []).map(Number),
]))";

/// Whether a line rises anywhere.
fn rises(line: &Value) -> bool {
    let heights = line.as_array().unwrap();
    let ground = heights.iter().map(|height| height.as_f64().unwrap()).fold(0.0, f64::max);
    ground > 0.0 && heights.iter().any(|height| height.as_f64().unwrap() < ground)
}

#[tokio::test]
async fn the_figures_move_while_the_button_is_pressed() {
    let demo = Demo::start(&[]);
    let [operator, visitor] = Browser::open(&demo).await;
    operator.go("/operator").await;
    assert_eq!(operator.text("[data-figure=live] .value").await.as_deref(), Some("0"));
    assert_eq!(operator.text(".p50 .value").await.as_deref(), Some("–"));
    // Waits for two samples, so that there is a rate before it rises.
    let samples = "return document.querySelector('[data-figure=loads] .line').getAttribute('d').split('L').length";
    operator.until(samples, |samples| samples.as_u64() >= Some(2)).await;
    assert!(!rises(&operator.run(HEIGHTS).await["loads now"]));

    visitor.log_in("ann").await;
    visitor.click("#fire").await;
    let heights = operator
        .until(HEIGHTS, |lines| {
            ["live now", "loads now", "saves now", "merged now"].iter().all(|line| rises(&lines[*line]))
        })
        .await;
    assert!(heights["latency p50"].as_array().is_some_and(|line| !line.is_empty()), "{heights}");
    assert!(heights["latency p99"].as_array().is_some_and(|line| !line.is_empty()), "{heights}");
    let done = "return document.querySelector('[data-figure=saves] .value').textContent";
    operator
        .until(done, |saves| saves.as_str().is_some_and(|saves| saves.parse().is_ok_and(|saves: u64| saves > 50)))
        .await;
    assert_eq!(reading(&operator, "live").await, 1);
    assert!(reading(&operator, "loads").await > 50);
    assert!(reading(&operator, "merged").await > 0);
    assert_eq!(reading(&operator, "blocked").await, 0);
    let latency = operator.text(".p99 .value").await.unwrap();
    assert!(latency.ends_with("µs") || latency.ends_with("ms"), "{latency}");
    // The operator's page itself uses no session.
    assert!(operator.cookies().await.is_empty());
    assert!(operator.complaints().await.is_empty(), "{:?}", operator.complaints().await);
    demo.stop();
}

/// The same button on the operator's page, and a logout during the requests.
#[tokio::test]
async fn the_operators_page_runs_the_parallel_requests() {
    let demo = Demo::start(&[]);
    let [browser] = Browser::open(&demo).await;
    browser.log_in("ann").await;
    browser.follow("nav a[href='/operator']").await;
    browser.click("#fire").await;
    let outcome = "return document.getElementById('outcome').textContent";
    let said = browser.until(outcome, |text| text != "").await;
    assert!(said.as_str().unwrap().ends_with("The counter says 50. Nothing was lost."), "{said}");
    browser.click("#overtake").await;
    let outcome = "return document.getElementById('overtaken').textContent";
    let said = browser.until(outcome, |text| text != "").await;
    assert_eq!(said, "The write came too late, and the session stayed ended.");
    let blocked = "return document.querySelector('[data-figure=blocked] .value').textContent";
    browser.until(blocked, |blocked| blocked == "1").await;
    assert!(browser.cookies().await.is_empty());
    assert!(browser.complaints().await.is_empty(), "{:?}", browser.complaints().await);
    demo.stop();
}
