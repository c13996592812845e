//! Two requests that change one session at once.

use std::sync::Arc;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use session_layer::{Codec, ConflictPolicy, ErrorKind, Typed};
use tokio::sync::Barrier;

use crate::support::{Bench, codecs};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Shop {
    visits: u64,
    cart: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coupon: Option<u8>,
}

async fn two(bench: &Bench) -> [Typed<Shop>; 2] {
    [Typed::new(bench.open().await), Typed::new(bench.open().await)]
}

async fn stored(bench: &Bench) -> Shop {
    Typed::new(bench.open().await).get().unwrap()
}

fn filled(session: &session_layer::Session) {
    let typed = Typed::<Shop>::new(session.clone());
    typed.update(|shop| *shop = Shop { visits: 1, cart: vec![1], coupon: Some(1) }).unwrap();
}

#[tokio::test]
async fn two_requests_that_change_different_fields_both_succeed() {
    for codec in codecs() {
        for fill in [filled, |_: &session_layer::Session| {}] {
            let bench = Bench::new(codec.clone(), fill).await;
            let base = stored(&bench).await;
            let [a, b] = two(&bench).await;
            a.update(|shop| shop.visits += 1).unwrap();
            b.update(|shop| shop.cart.push(2)).unwrap();
            b.update(|shop| shop.coupon = None).unwrap();
            a.session().save().await.unwrap();
            b.session().save().await.unwrap();
            let mut cart = base.cart;
            cart.push(2);
            let expected = Shop { visits: base.visits + 1, cart, coupon: None };
            assert_eq!(stored(&bench).await, expected, "{codec:?}");
            assert_eq!(b.get().unwrap(), expected, "{codec:?}: later reads see merged values");
        }
    }
}

#[tokio::test]
async fn the_closure_runs_again_on_the_newer_value_as_a_whole() {
    for codec in codecs() {
        let bench = Bench::new(codec.clone(), filled).await;
        let [a, b] = two(&bench).await;
        a.update(|shop| (shop.visits, shop.coupon) = (40, None)).unwrap();
        let seen = b.update(|shop| {
            shop.visits += 1;
            shop.cart = vec![u8::try_from(shop.visits).unwrap(), shop.coupon.unwrap_or(0)];
            shop.visits
        });
        assert_eq!(seen.unwrap(), 2, "its first run");
        a.session().save().await.unwrap();
        b.session().save().await.unwrap();
        assert_eq!(stored(&bench).await, Shop { visits: 41, cart: vec![41, 0], coupon: None }, "{codec:?}");
    }
}

#[tokio::test]
async fn update_now_returns_the_result_of_the_final_run() {
    let bench = Bench::new(Codec::Json, filled).await;
    let [a, b] = two(&bench).await;
    a.update_now(|shop| shop.visits += 10).await.unwrap();
    let visits = b.update_now(|shop| {
        shop.visits += 1;
        shop.visits
    });
    assert_eq!(visits.await.unwrap(), 12);
    assert_eq!(stored(&bench).await.visits, 12);
}

#[tokio::test]
async fn a_key_and_a_field_merge_like_two_keys() {
    let bench = Bench::new(Codec::Json, filled).await;
    let [a, b] = two(&bench).await;
    a.session().insert("visits", 7).unwrap();
    a.session().insert("unknown", 7).unwrap();
    b.update(|shop| shop.cart.clear()).unwrap();
    a.session().save().await.unwrap();
    b.session().save().await.unwrap();
    assert_eq!(stored(&bench).await, Shop { visits: 7, cart: vec![], coupon: Some(1) });
    assert_eq!(bench.open().await.get::<u8>("unknown").unwrap(), Some(7));
}

#[tokio::test]
async fn after_another_requests_clear_the_closure_starts_from_the_default() {
    let bench = Bench::new(Codec::Json, filled).await;
    let [a, b] = two(&bench).await;
    a.session().clear().unwrap();
    b.update(|shop| shop.visits += 1).unwrap();
    a.session().save().await.unwrap();
    b.session().save().await.unwrap();
    assert_eq!(stored(&bench).await, Shop { visits: 1, cart: vec![], coupon: None });
    assert_eq!(bench.keys().await, ["cart", "visits"]);
}

#[tokio::test]
async fn a_field_that_another_release_wrote_is_an_error_of_the_save_and_stays() {
    let bench = Bench::new(Codec::Json, filled).await;
    let [a, b] = two(&bench).await;
    a.session().insert("cart", "hunter2").unwrap();
    b.update(|shop| shop.visits += 1).unwrap();
    a.session().save().await.unwrap();
    let error = b.session().save().await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Decode, Some("cart")));
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let session = bench.open().await;
    assert_eq!(session.get::<String>("cart").unwrap().as_deref(), Some("hunter2"));
    assert_eq!(session.get::<u64>("visits").unwrap(), Some(1));
}

#[tokio::test]
async fn a_policy_other_than_merging_holds_for_structs_too() {
    let bench = Bench::with(Codec::Json, ConflictPolicy::Reject, filled).await;
    let [a, b] = two(&bench).await;
    a.update_now(|shop| shop.visits = 5).await.unwrap();
    let error = b.update_now(|shop| shop.cart.clear()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(stored(&bench).await, Shop { visits: 5, cart: vec![1], coupon: Some(1) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_concurrent_updates_none_is_lost() {
    for codec in codecs() {
        let bench = Bench::new(codec.clone(), |_| {}).await;
        let barrier = Arc::new(Barrier::new(20));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20u8 {
            let (typed, barrier) = (Typed::<Shop>::new(bench.open().await), Arc::clone(&barrier));
            tasks.spawn(async move {
                barrier.wait().await;
                let add = move |shop: &mut Shop| {
                    shop.visits += 1;
                    shop.cart.push(number);
                };
                typed.update_now(add).await.unwrap();
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let mut shop = stored(&bench).await;
        shop.cart.sort_unstable();
        assert_eq!((shop.visits, shop.cart), (20, (0..20).collect()), "{codec:?}");
    }
}

/// One step of a closure.
#[derive(Debug, Clone, Copy)]
enum Step {
    Visits(u64),
    Visit,
    Push(u8),
    Pop,
    Coupon(Option<u8>),
    CouponFromVisits,
}

impl Step {
    fn apply(self, shop: &mut Shop) {
        match self {
            Self::Visits(n) => shop.visits = n,
            Self::Visit => shop.visits += 1,
            Self::Push(n) => shop.cart.push(n),
            Self::Pop => drop(shop.cart.pop()),
            Self::Coupon(coupon) => shop.coupon = coupon,
            Self::CouponFromVisits => shop.coupon = u8::try_from(shop.visits).ok().filter(|n| n % 2 == 0),
        }
    }
}

/// The closures of one request, each of some steps.
fn updates() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![
        (0u64..3).prop_map(Step::Visits),
        Just(Step::Visit),
        (0u8..3).prop_map(Step::Push),
        Just(Step::Pop),
        proptest::option::of(0u8..3).prop_map(Step::Coupon),
        Just(Step::CouponFromVisits),
    ];
    proptest::collection::vec(proptest::collection::vec(step, 0..4), 0..4)
}

fn base() -> impl Strategy<Value = Option<Shop>> {
    let shop = (0u64..3, proptest::collection::vec(0u8..3, 0..3), proptest::option::of(0u8..3));
    proptest::option::of(shop.prop_map(|(visits, cart, coupon)| Shop { visits, cart, coupon }))
}

fn applied(updates: &[Vec<Step>], mut shop: Shop) -> Shop {
    updates.iter().flatten().for_each(|step| step.apply(&mut shop));
    shop
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Two requests on one record, the second of which conflicts with the first one's write, have the result of running
    /// one after another. A request whose changes cancel out writes nothing.
    #[test]
    fn two_requests_have_the_result_of_running_one_after_another(
        base in base(),
        first in updates(),
        second in updates(),
        codec in 0usize..3,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let start = base.clone().unwrap_or_default();
            let bench = Bench::new(codecs()[codec].clone(), |session| {
                if let Some(base) = base.clone() {
                    Typed::<Shop>::new(session.clone()).update(move |shop| *shop = base.clone()).unwrap();
                }
            })
            .await;
            let requests = two(&bench).await;
            for (typed, updates) in requests.iter().zip([&first, &second]) {
                for steps in updates.clone() {
                    typed.update(move |shop| steps.iter().for_each(|step| step.apply(shop))).unwrap();
                }
                prop_assert_eq!(typed.get().unwrap(), applied(updates, start.clone()));
            }
            let mut expected = start.clone();
            for (typed, updates) in requests.iter().zip([&first, &second]) {
                let changes = applied(updates, start.clone()) != start;
                bench.store.forget();
                typed.session().save().await.unwrap();
                if changes {
                    expected = applied(updates, expected);
                } else {
                    prop_assert_eq!(bench.updates(), 0);
                }
                prop_assert_eq!(stored(&bench).await, expected.clone());
            }
            let has_coupon = bench.keys().await.iter().any(|key| key == "coupon");
            prop_assert_eq!(has_coupon, expected.coupon.is_some());
            Ok(())
        })?;
    }
}
