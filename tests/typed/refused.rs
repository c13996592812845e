//! Types that can't be a typed session, and values that can't be written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned, ser::SerializeStruct};
use session_layer::{Codec, ErrorKind, MemoryStore, Session, SessionLayer, Typed};

use crate::support::{Bench, codecs};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Inner {
    a: u8,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Flattened {
    b: u8,
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Debug, Default, Serialize, Deserialize)]
enum Choice {
    #[default]
    A,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    #[default]
    A,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    #[default]
    A,
    Inner(Inner),
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Newtype(Inner);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Pair(u8, u8);

async fn refused<T: Serialize + DeserializeOwned + Default + 'static>() {
    for codec in codecs() {
        let bench = Bench::new(codec.clone(), |session| session.insert("a", 1).unwrap()).await;
        for session in [bench.open().await, bench.layer.new_session()] {
            let typed = Typed::<T>::new(session);
            for error in [typed.get().err().unwrap(), typed.update(|value| *value = T::default()).unwrap_err()] {
                assert_eq!(error.kind(), ErrorKind::Decode, "{codec:?}");
                let name = std::any::type_name::<T>();
                assert_eq!(error.to_string(), format!("typed session {name} could not be decoded"));
                let cause = std::error::Error::source(&error).unwrap().to_string();
                assert_eq!(cause, "a typed session must be a struct with named fields and without `flatten`");
            }
        }
    }
}

#[tokio::test]
async fn types_without_own_fields_are_refused_at_first_use() {
    refused::<Flattened>().await;
    refused::<Choice>().await;
    refused::<Tagged>().await;
    refused::<Untagged>().await;
    refused::<Unit>().await;
    refused::<Newtype>().await;
    refused::<Pair>().await;
    refused::<BTreeMap<String, u8>>().await;
    refused::<Option<Inner>>().await;
    refused::<Vec<u8>>().await;
    refused::<(u8, u8)>().await;
    refused::<String>().await;
    refused::<u64>().await;
}

#[tokio::test]
async fn a_type_read_as_a_struct_and_written_otherwise_is_refused() {
    macro_rules! written_as {
        ($($name:ident: $into:ty = $value:expr;)*) => {$({
            #[derive(Debug, Clone, Default, Serialize, Deserialize)]
            #[serde(into = "With")]
            struct $name {
                #[allow(dead_code, reason = "only there to be read")]
                a: u8,
            }
            #[derive(Serialize)]
            #[serde(transparent)]
            struct With($into);
            impl From<$name> for With {
                fn from(_: $name) -> Self {
                    Self($value)
                }
            }
            let typed = Typed::<$name>::new(Session::new(MemoryStore::new()));
            assert!(typed.get().is_ok());
            let error = typed.update(|value| value.a = 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Encode, stringify!($name));
            assert!(error.to_string().contains(stringify!($name)), "{error}");
            assert!(typed.session().is_empty());
        })*};
    }
    written_as! {
        Flat: Flattened = Flattened::default();
        Number: f64 = 1.0;
        Text: &'static str = "secret";
        List: Vec<u8> = vec![1];
        Tuple: (u8, u8) = (1, 2);
        Absent: Option<Inner> = None;
        Present: Option<Inner> = Some(Inner::default());
        Wrapped: Newtype = Newtype::default();
        Enumerated: Choice = Choice::A;
        Map: BTreeMap<u8, u8> = BTreeMap::new();
        Nothing: () = ();
    }
}

#[tokio::test]
async fn types_that_serde_treats_as_a_struct_are_accepted() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Transparent(Box<Inner>);

    let typed = Typed::<Transparent>::new(Session::new(MemoryStore::new()));
    typed.update(|value| value.0.a = 9).unwrap();
    assert_eq!(typed.get().unwrap().0.a, 9);
    assert_eq!(typed.session().get::<u8>("a").unwrap(), Some(9));
}

#[tokio::test]
async fn a_field_that_can_not_be_encoded_is_an_error_and_changes_nothing() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Odd {
        fine: u8,
        pairs: BTreeMap<(u8, String), u8>,
    }
    let bench = Bench::new(Codec::Json, |_| {}).await;
    let typed = Typed::<Odd>::new(bench.open().await);
    let change = |odd: &mut Odd| {
        odd.fine = 1;
        odd.pairs.insert((1, "hunter2".into()), 1);
    };
    let error = typed.update(change).unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Encode, Some("pairs")));
    assert_eq!(
        error.to_string(),
        format!("session entry \"pairs\", a field of {}, could not be encoded", std::any::type_name::<Odd>())
    );
    assert!(!format!("{error:?}").contains("hunter2"));
    typed.session().save().await.unwrap();
    assert_eq!(bench.keys().await, ["other"]);
    assert_eq!(bench.updates(), 0);
}

#[tokio::test]
async fn an_error_of_the_types_own_is_not_repeated_in_the_message() {
    #[derive(Debug, Clone, Default, Serialize, Deserialize)]
    #[serde(try_from = "Inner")]
    struct Even {
        a: u8,
    }
    impl TryFrom<Inner> for Even {
        type Error = String;
        fn try_from(inner: Inner) -> Result<Self, String> {
            if inner.a.is_multiple_of(2) { Ok(Self { a: inner.a }) } else { Err(format!("{} of hunter2", inner.a)) }
        }
    }
    let session = Session::new(MemoryStore::new());
    session.insert("a", 3).unwrap();
    let typed = Typed::<Even>::new(session);
    let error = typed.get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    typed.session().insert("a", 4).unwrap();
    assert_eq!(typed.get().unwrap().a, 4);
}

#[tokio::test]
async fn two_fields_of_one_name_are_refused() {
    #[derive(Debug, Clone, Default, Deserialize)]
    struct Twice {
        a: u8,
    }
    impl Serialize for Twice {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut fields = serializer.serialize_struct("Twice", 2)?;
            fields.serialize_field("a", &self.a)?;
            fields.serialize_field("a", &self.a)?;
            fields.end()
        }
    }
    let typed = Typed::<Twice>::new(Session::new(MemoryStore::new()));
    let error = typed.update(|value| value.a = 1).unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Encode, Some("a")));
    assert!(typed.session().is_empty());
}

#[tokio::test]
async fn a_field_name_that_is_not_a_valid_key_is_refused() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Unnamed {
        #[serde(rename = "")]
        a: u8,
    }
    let typed = Typed::<Unnamed>::new(Session::new(MemoryStore::new()));
    assert_eq!(typed.update(|value| value.a = 1).unwrap_err().kind(), ErrorKind::InvalidKey);
    assert!(typed.session().is_empty());
}

#[tokio::test]
async fn a_change_that_makes_the_record_too_large_is_refused_and_one_that_shrinks_it_is_not() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Notes {
        first: String,
        second: String,
    }
    let store = MemoryStore::new();
    let narrow = SessionLayer::builder(store.clone()).max_record_bytes(4_096).build().unwrap();
    let typed = Typed::<Notes>::new(narrow.new_session());
    let error = typed.update(|notes| notes.second = "x".repeat(4_096)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(typed.session().is_empty(), "nothing is changed");
    let exchange = |notes: &mut Notes| *notes = Notes { second: "x".repeat(3_500), ..Notes::default() };
    typed.update(|notes| notes.first = "x".repeat(3_500)).unwrap();
    typed.update(exchange).unwrap();

    let wide = SessionLayer::new(store).new_session();
    Typed::<Notes>::new(wide.clone()).update(|notes| notes.first = "x".repeat(9_000)).unwrap();
    wide.save().await.unwrap();
    let typed = Typed::<Notes>::new(narrow.open_session(wide.id().unwrap()).await.unwrap().unwrap());
    assert_eq!(typed.update(|notes| notes.first.push('x')).unwrap_err().kind(), ErrorKind::TooLarge);
    typed.update(|notes| notes.first.truncate(8_000)).unwrap();
    typed.update(|notes| notes.first.truncate(10)).unwrap();
    typed.session().save().await.unwrap();
}
