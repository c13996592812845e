//! The pages: their scripts run under their policy, and they fit a telephone.

use crate::{driver::Browser, process::Demo};

/// The button of the home page counts all its requests.
#[tokio::test]
async fn the_parallel_requests_on_the_home_page_lose_no_count() {
    let demo = Demo::start(&[]);
    let [browser] = Browser::open(&demo).await;
    // As a visitor without a session, and as a user.
    for user in [None, Some("ann")] {
        browser.go("/").await;
        if let Some(user) = user {
            browser.log_in(user).await;
        }
        browser.click("#fire").await;
        let outcome = browser
            .until("return document.getElementById('outcome').textContent", |text| text.as_str() != Some(""))
            .await;
        let outcome = outcome.as_str().unwrap();
        assert!(outcome.starts_with("50 requests in ") && outcome.ends_with("Nothing was lost."), "{outcome}");
        assert!(outcome.contains("The counter says 50."), "{outcome}");
    }
    assert!(browser.complaints().await.is_empty(), "{:?}", browser.complaints().await);
    demo.stop();
}

/// No page is wider than the window.
#[tokio::test]
async fn the_pages_fit_a_telephone() {
    let demo = Demo::start(&[]);
    let [browser] = Browser::open(&demo).await;
    browser.log_in(&"WWWWW".repeat(10)).await;
    for path in ["/", "/devices", "/operator"] {
        for width in [390, 1280] {
            browser.resize(width).await;
            browser.go(path).await;
            let over = browser.run("return document.documentElement.scrollWidth - window.innerWidth").await;
            assert!(over.as_i64().unwrap() <= 0, "{path} at {width}: {over} too wide");
        }
        assert!(browser.complaints().await.is_empty(), "{path}: {:?}", browser.complaints().await);
    }
    demo.stop();
}
