//! Writes of typed sessions: the fields that differ, and nothing if none does.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use session_layer::{Codec, ErrorKind, Key, Session, Typed};

use crate::support::{Bench, codecs};

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
struct Shop {
    visits: u64,
    prices: BTreeMap<String, u32>,
    seen: HashMap<String, u32>,
    #[serde(default)]
    theme: String,
    #[serde(alias = "user", alias = "login", default)]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coupon: Option<String>,
    #[serde(default, skip_serializing)]
    legacy: u8,
}

/// The same map in reverse order.
#[derive(Serialize)]
struct Backwards {
    pear: u32,
    apple: u32,
}

async fn shop(codec: Codec, seen: u32) -> Bench {
    Bench::new(codec, |session| {
        session.insert("visits", 1).unwrap();
        session.insert("prices", &Backwards { pear: 1, apple: 2 }).unwrap();
        session.insert("seen", (0..seen).map(|n| (n.to_string(), n)).collect::<HashMap<_, u32>>()).unwrap();
        session.insert("user", "bob").unwrap();
        session.insert("coupon", "SAVE").unwrap();
        session.insert("legacy", 9).unwrap();
    })
    .await
}

const STORED: [&str; 7] = ["coupon", "legacy", "other", "prices", "seen", "user", "visits"];

#[tokio::test]
async fn fields_that_the_closure_leaves_alone_are_not_written_however_they_are_stored() {
    for codec in codecs() {
        let bench = shop(codec.clone(), 20).await;
        let typed = Typed::<Shop>::new(bench.open().await);
        let value = typed.get().unwrap();
        assert_eq!((&*value.name, &*value.theme, value.prices["apple"], value.legacy), ("bob", "", 2, 9));
        typed.update(|_| ()).unwrap();
        typed.update(|shop| shop.visits = 1).unwrap();
        typed.update(|shop| shop.name = "bob".into()).unwrap();
        typed.session().save().await.unwrap();
        assert_eq!(bench.updates(), 0, "{codec:?}");
        assert_eq!(bench.keys().await, STORED, "{codec:?}");
    }
}

#[tokio::test]
async fn a_reverted_change_writes_nothing() {
    for codec in codecs() {
        // Two hash maps with equal content have different orders, which counts as a change.
        let bench = shop(codec.clone(), 1).await;
        let typed = Typed::<Shop>::new(bench.open().await);
        typed.update(|shop| (shop.visits, shop.coupon, shop.theme) = (2, None, "dark".into())).unwrap();
        typed.update(|shop| shop.legacy = 9).unwrap();
        typed.update(|shop| shop.prices.remove("pear")).unwrap();
        typed.update(|shop| (shop.visits, shop.coupon, shop.theme) = (1, Some("SAVE".into()), "".into())).unwrap();
        assert!(typed.session().contains("name"), "{codec:?}: a change is under way");
        typed.update(|shop| shop.prices.insert("pear".into(), 1)).unwrap();
        typed.session().save().await.unwrap();
        assert_eq!(bench.updates(), 0, "{codec:?}");
        assert_eq!(typed.session().keys(), STORED, "{codec:?}");
        let value = typed.get().unwrap();
        assert_eq!((value.visits, value.coupon.as_deref(), value.prices["pear"]), (1, Some("SAVE"), 1));

        let nobody = Typed::<Shop>::new(bench.layer.new_session());
        nobody.update(|shop| shop.visits = 1).unwrap();
        assert_eq!(nobody.session().len(), 5, "{codec:?}");
        nobody.update(|shop| shop.visits = 0).unwrap();
        nobody.session().save().await.unwrap();
        assert!(nobody.session().is_new() && nobody.session().is_empty(), "{codec:?}");
    }
}

#[tokio::test]
async fn a_change_writes_its_field_and_leaves_the_bytes_of_the_others() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Small {
        visits: u64,
        prices: BTreeMap<String, u32>,
        seen: HashMap<String, u32>,
        #[serde(default)]
        theme: String,
    }
    for codec in codecs() {
        let bench = shop(codec.clone(), 20).await;
        let before = bench.record().await;
        let typed = Typed::<Small>::new(bench.open().await);
        assert_eq!(
            typed
                .update(|shop| {
                    shop.visits += 1;
                    shop.visits
                })
                .unwrap(),
            2
        );
        typed.session().save().await.unwrap();
        assert_eq!(bench.updates(), 1, "{codec:?}");
        let after = bench.record().await;
        let changed: Vec<_> =
            after.entries().iter().filter(|(key, value)| before.entries().get(key) != Some(value)).collect();
        assert_eq!(changed.len(), 1, "{codec:?}");
        assert_eq!(changed[0].0, "visits", "{codec:?}");
        assert_eq!(bench.keys().await, STORED, "{codec:?}: no default was written");
    }
}

#[tokio::test]
async fn fields_no_longer_serialised_are_removed_at_the_next_write() {
    for codec in codecs() {
        let bench = shop(codec.clone(), 20).await;
        let typed = Typed::<Shop>::new(bench.open().await);
        typed.update(|shop| (shop.visits, shop.coupon) = (2, None)).unwrap();
        typed.session().save().await.unwrap();
        // `coupon` is skipped now and `legacy` always; `user` is back under its name.
        assert_eq!(bench.keys().await, ["name", "other", "prices", "seen", "theme", "visits"], "{codec:?}");
        let value = Typed::<Shop>::new(bench.open().await).get().unwrap();
        assert_eq!((value.visits, &*value.name, value.coupon, value.legacy), (2, "bob", None, 0), "{codec:?}");
    }
}

#[tokio::test]
async fn a_name_and_its_alias_side_by_side_are_an_error() {
    for codec in codecs() {
        let bench = shop(codec.clone(), 20).await;
        let session = bench.open().await;
        session.insert("name", "eve").unwrap();
        let error = Typed::<Shop>::new(session).get().unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::Decode, Some("name")), "{codec:?}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "several entries match this field, by its name or an alias", "{codec:?}");
    }
}

#[tokio::test]
async fn no_lock_is_held_while_a_closure_runs() {
    let bench = shop(Codec::Json, 20).await;
    let typed = Typed::<Shop>::new(bench.open().await);
    let inside = typed.clone();
    // A lock held here would deadlock. The closure sees its own change when it starts over.
    let visits = typed.update(move |shop| {
        if inside.session().get::<u64>("visits").unwrap() == Some(1) {
            inside.session().insert("visits", 10).unwrap();
        }
        shop.visits += 1;
        shop.visits
    });
    assert_eq!(visits.unwrap(), 11);
    assert_eq!(typed.get().unwrap().visits, 11);
    typed.session().save().await.unwrap();
    assert_eq!(bench.updates(), 1);
}

/// A map that keeps the order of its entries, as `IndexMap` does.
#[derive(Debug, Default, Clone, PartialEq)]
struct Ordered(Vec<(String, u32)>);

impl Ordered {
    fn of(entries: &[(&str, u32)]) -> Self {
        Self(entries.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect())
    }
}

impl Serialize for Ordered {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> serde::de::Visitor<'de> for Entries {
            type Value = Ordered;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Basket {
    cart: Ordered,
}

const CART: Key<Ordered> = Key::new("cart");

#[tokio::test]
async fn the_order_that_is_written_is_the_order_that_is_read() {
    type Change = fn(&Session);
    let changes: [(&str, Change); 5] = [
        ("insert", |session| session.insert(CART, &Ordered::of(&[("jam", 2), ("tea", 1)])).unwrap()),
        ("insert by name", |session| session.insert("cart", Ordered::of(&[("jam", 2), ("tea", 1)])).unwrap()),
        ("update", |session| session.update(CART, |cart| cart.0.reverse()).unwrap()),
        ("modify", |session| session.modify(CART, |cart| cart.as_mut().unwrap().0.reverse()).unwrap()),
        ("typed", |session| Typed::<Basket>::new(session.clone()).update(|basket| basket.cart.0.reverse()).unwrap()),
    ];
    for codec in codecs() {
        for (name, change) in changes {
            let fill = |session: &Session| session.insert(CART, &Ordered::of(&[("tea", 1), ("jam", 2)])).unwrap();
            let bench = Bench::new(codec.clone(), fill).await;
            let session = bench.open().await;
            change(&session);
            let swapped = Some(Ordered::of(&[("jam", 2), ("tea", 1)]));
            assert_eq!(session.get(CART).unwrap(), swapped, "{codec:?}: {name}, in the same request");
            session.save().await.unwrap();
            assert_eq!(bench.open().await.get(CART).unwrap(), swapped, "{codec:?}: {name}, in the next one");
            assert_eq!(bench.updates(), 1, "{codec:?}: {name}");
        }
    }
}

#[tokio::test]
async fn an_equal_value_by_bytes_is_no_change() {
    for codec in codecs() {
        let cart = Ordered::of(&[("tea", 1), ("jam", 2)]);
        let bench = Bench::new(codec.clone(), |session| session.insert(CART, &cart).unwrap()).await;
        let session = bench.open().await;
        session.insert(CART, &cart).unwrap();
        session.update(CART, |_| ()).unwrap();
        session.update(CART, |cart| cart.0.reverse()).unwrap();
        session.update(CART, |cart| cart.0.reverse()).unwrap();
        Typed::<Basket>::new(session.clone()).update(|_| ()).unwrap();
        session.save().await.unwrap();
        assert_eq!(bench.updates(), 0, "{codec:?}");
    }
}
