//! Two browsers of one user.

use crate::{driver::Browser, process::Demo};

#[tokio::test]
async fn one_browser_logs_out_the_other() {
    let demo = Demo::start(&[]);
    let [laptop, phone] = Browser::open(&demo).await;
    laptop.log_in("ann").await;
    phone.log_in("ann").await;
    let (own, other) = (laptop.cookie().await, phone.cookie().await);
    assert_ne!(own["value"], other["value"]);

    laptop.follow("nav a[href='/devices']").await;
    assert_eq!(laptop.count(".device").await, 2);
    assert_eq!(laptop.count(".device .here").await, 1);
    let marked = laptop.text(".device:has(.here) h2").await.unwrap();
    assert!(marked.starts_with("Headless Chrome on ") && marked.ends_with("This device"), "{marked}");
    // Each browser marks its own session.
    phone.go("/devices").await;
    let id = "return document.querySelector('.device:has(.here)').dataset.session";
    let (of_laptop, of_phone) = (laptop.run(id).await, phone.run(id).await);
    assert_ne!(of_laptop, of_phone);

    laptop.follow(".device:not(:has(.here)) form button").await;
    assert_eq!(laptop.path().await, "/devices");
    assert_eq!(laptop.count(".device").await, 1);
    assert_eq!(laptop.run(id).await, of_laptop);
    assert_eq!(laptop.cookie().await, own, "the one that stays is not renewed");

    phone.go("/").await;
    assert_eq!(phone.text("#user").await, None);
    phone.go("/devices").await;
    assert_eq!(phone.count(".device").await, 0);
    assert_eq!(phone.count("form[action='/login']").await, 1);
    assert!(laptop.complaints().await.is_empty(), "{:?}", laptop.complaints().await);
    demo.stop();
}

/// First all others, and then itself.
#[tokio::test]
async fn one_browser_logs_out_all_others_and_then_itself() {
    let demo = Demo::start(&[]);
    let [laptop, phone, tablet] = Browser::open(&demo).await;
    for browser in [&laptop, &phone, &tablet] {
        browser.log_in("ann").await;
    }
    laptop.go("/devices").await;
    assert_eq!(laptop.count(".device").await, 3);
    laptop.follow("#end-others").await;
    assert_eq!((laptop.count(".device").await, laptop.count("#end-others").await), (1, 0));
    for browser in [&phone, &tablet] {
        browser.go("/").await;
        assert_eq!(browser.text("#user").await, None);
    }
    laptop.follow(".device form button").await;
    assert!(laptop.cookies().await.is_empty());
    assert_eq!(laptop.count("form[action='/login']").await, 1);
    demo.stop();
}
