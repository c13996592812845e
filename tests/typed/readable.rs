//! Values that could not be read back are refused at the write, and the old value stays.

use std::{collections::HashMap, error::Error as _, fmt::Debug, net::IpAddr};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use session_layer::{Codec, Error, ErrorKind, Key, Session, Typed};

use crate::support::{Bench, codecs};

fn json() -> Codec {
    Codec::Json
}

fn message_pack() -> Codec {
    Codec::MessagePack
}

/// Checks that the error names key and type, and that its source contains this reason.
fn check<T>(error: &Error, reason: &str) {
    assert_eq!((error.kind(), error.key()), (ErrorKind::Encode, Some("value")), "{error:?}");
    assert!(error.to_string().contains(std::any::type_name::<T>()), "{error}");
    let source = error.source().expect("a reason").to_string();
    assert!(source.contains(reason), "{source}");
}

/// Checks each way to write an entry: the value is refused, the old one is kept, and the session still works.
async fn refused<T>(
    codec: Codec,
    good: impl Fn() -> T + Copy + Send + Sync + 'static,
    bad: impl Fn() -> T + Copy + Send + Sync + 'static,
    reason: &str,
) where
    T: Serialize + DeserializeOwned + Debug + Default + 'static,
{
    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(bound(deserialize = "T: DeserializeOwned + Default"))]
    struct Fields<T> {
        #[serde(default)]
        value: T,
    }
    const fn key<T>() -> Key<T> {
        Key::new("value")
    }
    type Write = Box<dyn Fn(&Session) -> Result<(), Error>>;
    let bytes = |value: &T| format!("{value:?}");
    let ways: Vec<(&str, Write)> = vec![
        ("insert", Box::new(move |session| session.insert(key::<T>(), &bad()))),
        ("update", Box::new(move |session| session.update(key::<T>(), move |value| *value = bad()))),
        ("update by name", Box::new(move |session| session.update("value", move |value: &mut T| *value = bad()))),
        ("modify", Box::new(move |session| session.modify(key::<T>(), move |value| *value = Some(bad())))),
    ];
    let typed = |session: &Session| Typed::<Fields<T>>::new(session.clone()).update(move |fields| fields.value = bad());
    for is_there in [true, false] {
        let bench = Bench::new(codec.clone(), |session| {
            if is_there {
                session.insert(key::<T>(), &good()).unwrap();
            }
        })
        .await;
        let session = bench.open().await;
        for (way, write) in &ways {
            let error = write(&session).expect_err(way);
            check::<T>(&error, reason);
        }
        check::<Fields<T>>(&typed(&session).expect_err("typed"), reason);
        for session in [session.clone(), {
            session.save().await.unwrap();
            bench.open().await
        }] {
            let kept = session.get(key::<T>()).unwrap();
            assert_eq!(kept.as_ref().map(bytes), is_there.then(|| bytes(&good())), "{codec:?}");
        }
        assert_eq!(bench.updates(), 0, "{codec:?}");
    }
}

fn lists(levels: usize) -> serde_json::Value {
    (1..levels).fold(serde_json::json!([]), |value, _| serde_json::json!([value]))
}

#[tokio::test]
async fn json_refuses_numbers_that_are_not_finite() {
    let reason = "not finite";
    refused::<f64>(json(), || 1.0, || f64::NAN, reason).await;
    refused::<f32>(json(), || 1.0, || f32::INFINITY, reason).await;
    refused::<Vec<Option<f64>>>(json(), || vec![None], || vec![None, Some(f64::NEG_INFINITY)], reason).await;
}

#[tokio::test]
async fn values_nested_too_deep_are_refused() {
    refused(json(), || lists(127), || lists(128), "more than 127 lists and maps").await;
    refused(json(), || lists(1), || lists(200), "more than 127 lists and maps").await;
    refused(message_pack(), || lists(255), || lists(256), "more than 255 lists and maps").await;
}

#[tokio::test]
async fn json_says_that_the_key_of_an_object_is_a_string() {
    type Pairs = HashMap<(u8, u8), u8>;
    let reason = "in JSON, an object's key must be a string";
    refused::<Pairs>(json(), HashMap::new, || HashMap::from([((1, 2), 3)]), reason).await;
}

/// Detected only in builds with debug assertions, such as tests.
#[cfg(debug_assertions)]
mod found {
    use super::*;

    const REASON: &str = "the type can't read what it wrote";

    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Inner {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wide: Option<u128>,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Flattened {
        #[serde(flatten)]
        inner: Inner,
    }

    #[tokio::test]
    async fn a_wide_integer_behind_flatten() {
        let wide = |wide| Flattened { inner: Inner { wide } };
        refused(json(), move || wide(None), move || wide(Some(u128::MAX)), REASON).await;
        refused(message_pack(), move || wide(None), move || wide(Some(5)), REASON).await;
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Peer {
        Address(IpAddr),
        Number(u64),
    }

    impl Default for Peer {
        fn default() -> Self {
            Self::Number(0)
        }
    }

    #[tokio::test]
    async fn an_address_in_an_untagged_enum_under_message_pack() {
        let address = || Peer::Address("10.0.0.1".parse().unwrap());
        refused(message_pack(), || Peer::Number(1), address, REASON).await;
        let bench = Bench::new(Codec::Json, |session| session.insert("peer", address()).unwrap()).await;
        let peer = bench.open().await.get::<Peer>("peer").unwrap();
        assert!(matches!(peer, Some(Peer::Address(_))), "JSON has a text for it");
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Skipping {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tags: Vec<u8>,
    }

    impl Default for Skipping {
        fn default() -> Self {
            Self { tags: vec![7] }
        }
    }

    #[tokio::test]
    async fn a_field_that_is_skipped_and_has_no_default() {
        for codec in codecs() {
            refused(codec, || Skipping { tags: vec![1] }, || Skipping { tags: vec![] }, REASON).await;
        }
    }

    #[tokio::test]
    async fn a_typed_session_whose_own_field_is_skipped_and_has_no_default() {
        #[derive(Debug, Default, Serialize, Deserialize)]
        struct Shop {
            visits: u64,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            cart: Vec<u8>,
        }
        for codec in codecs() {
            let bench = Bench::new(codec.clone(), |_| ()).await;
            let typed = Typed::<Shop>::new(bench.open().await);
            let error = typed.update(|shop| shop.visits = 1).unwrap_err();
            assert_eq!((error.kind(), error.key()), (ErrorKind::Encode, Some("cart")), "{codec:?}");
            assert!(error.to_string().contains("Shop"), "{error}");
            let source = error.source().unwrap().to_string();
            assert!(source.starts_with(REASON) && source.contains("the entry is missing"), "{source}");
            assert!(typed.get().unwrap().cart.is_empty(), "{codec:?}");
            typed.update(|shop| (shop.visits, shop.cart) = (1, vec![1])).unwrap();
            assert_eq!(typed.update(|shop| shop.cart.clear()).unwrap_err().key(), Some("cart"), "{codec:?}");
            assert_eq!(typed.get().unwrap().cart, [1], "{codec:?}");
        }
    }

    /// The same holds when a closure runs again at the commit.
    #[tokio::test]
    async fn a_closure_that_runs_again() {
        let bench = Bench::new(Codec::Json, |session| session.insert("value", 1.0).unwrap()).await;
        let (first, second) = (bench.open().await, bench.open().await);
        first.update("value", |value: &mut f64| *value = 1.0 / *value).unwrap();
        second.insert("value", 0.0).unwrap();
        first.insert("first", 1).unwrap();
        second.save().await.unwrap();
        let error = first.save().await.unwrap_err();
        check::<f64>(&error, "not finite");
        assert_eq!(bench.open().await.get::<f64>("value").unwrap(), Some(0.0));
    }
}

/// If every field is skipped, there is no entry, and the type's default is read.
#[tokio::test]
async fn a_typed_session_of_nothing_but_skipped_fields_can_be_written() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Notes {
        #[serde(skip_serializing_if = "String::is_empty")]
        first: String,
    }
    for codec in codecs() {
        let bench = Bench::new(codec.clone(), |_| ()).await;
        let typed = Typed::<Notes>::new(bench.open().await);
        typed.update(|notes| notes.first.push('x')).unwrap();
        typed.update(|notes| notes.first.clear()).unwrap();
        assert_eq!(typed.get().unwrap().first, "", "{codec:?}");
    }
}

/// An entry named by a string gets its type only when it is read, which may be another type.
#[tokio::test]
async fn an_insert_by_a_string_key_does_not_check_that_the_type_reads_back() {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        name: &'a str,
    }
    #[derive(Deserialize)]
    struct Owned {
        name: String,
    }
    let bench = Bench::new(Codec::Json, |session| session.insert("user", &Borrowed { name: "bob" }).unwrap()).await;
    assert_eq!(bench.open().await.get::<Owned>("user").unwrap().unwrap().name, "bob");
}
