//! Fields are entries, and only those are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use session_layer::{ErrorKind, MemoryStore, Session, Typed};

use crate::support::{Bench, codecs};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    visit_count: u64,
    #[serde(rename = "who")]
    name: Option<String>,
    address: Address,
    theme: Theme,
    scores: BTreeMap<u8, Vec<f64>>,
    unit: (),
    wrapped: Wrapped,
    #[serde(skip)]
    cached: u8,
    #[serde(with = "hex")]
    colour: u32,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Address {
    street: String,
    geo: Option<(i32, i32)>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
enum Theme {
    #[default]
    Light,
    Dark {
        contrast: u8,
    },
    Named(String),
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Wrapped(char);

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{value:x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        u32::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(Error::custom)
    }
}

fn profile() -> Profile {
    Profile {
        visit_count: 3,
        name: Some("bob".into()),
        address: Address { street: "Elm".into(), geo: Some((-1, 2)) },
        theme: Theme::Dark { contrast: 7 },
        scores: [(1, vec![0.5]), (2, vec![])].into(),
        unit: (),
        wrapped: Wrapped('x'),
        cached: 0,
        colour: 0xff_00_7f,
    }
}

#[tokio::test]
async fn fields_are_entries_under_their_serialised_names() {
    for codec in codecs() {
        let bench = Bench::new(codec.clone(), |_| {}).await;
        let typed = Typed::<Profile>::new(bench.open().await);
        typed.update(|value| *value = profile()).unwrap();
        assert_eq!(typed.get().unwrap(), profile(), "{codec:?}: before it is saved");
        typed.session().save().await.unwrap();

        let session = bench.open().await;
        let keys = ["address", "colour", "other", "scores", "theme", "unit", "visitCount", "who", "wrapped"];
        assert_eq!(session.keys(), keys, "{codec:?}");
        assert_eq!(session.get("visitCount").unwrap(), Some(3), "{codec:?}");
        assert_eq!(session.get("who").unwrap(), Some("bob".to_owned()), "{codec:?}");
        assert_eq!(session.get("address").unwrap(), Some(profile().address), "{codec:?}");
        assert_eq!(session.get("colour").unwrap(), Some("ff007f".to_owned()), "{codec:?}");
        let typed = Typed::<Profile>::new(session);
        assert_eq!(typed.get().unwrap(), profile(), "{codec:?}: loaded");
        typed.update(|value| value.theme = Theme::Named("sea".into())).unwrap();
        assert_eq!(typed.session().get("theme").unwrap(), Some(Theme::Named("sea".into())), "{codec:?}");
    }
}

#[tokio::test]
async fn views_keys_and_clones_of_one_session_agree() {
    let typed = Typed::<Profile>::new(Session::new(MemoryStore::new()));
    typed.update(|value| *value = profile()).unwrap();
    let clone = typed.clone();
    clone.update(|value| value.visit_count += 1).unwrap();
    typed.session().insert("who", "eve").unwrap();
    assert_eq!(clone.get().unwrap(), Profile { visit_count: 4, name: Some("eve".into()), ..profile() });
    typed.session().clear().unwrap();
    assert_eq!(clone.get().unwrap(), Profile::default());
}

#[tokio::test]
async fn a_new_visitor_has_the_default_and_stores_nothing_before_a_change() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Settings {
        volume: u8,
        language: String,
    }
    impl Default for Settings {
        fn default() -> Self {
            Self { volume: 11, language: "en".into() }
        }
    }
    for codec in codecs() {
        let bench = Bench::new(codec.clone(), |_| {}).await;
        let typed = Typed::<Settings>::new(bench.open().await);
        assert_eq!(typed.get().unwrap(), Settings::default());
        typed.update(|settings| settings.volume = 11).unwrap();
        typed.session().save().await.unwrap();
        assert_eq!(bench.updates(), 0, "{codec:?}: no change");
        assert_eq!(bench.keys().await, ["other"]);

        typed.update(|settings| settings.volume = 5).unwrap();
        typed.session().save().await.unwrap();
        // `language` has no serde default, so without it the struct could not be read again.
        assert_eq!(bench.keys().await, ["language", "other", "volume"], "{codec:?}");
        let again = Typed::<Settings>::new(bench.open().await).get().unwrap();
        assert_eq!(again, Settings { volume: 5, language: "en".into() }, "{codec:?}");
    }
    let nobody = Typed::<Settings>::new(Session::new(MemoryStore::new()));
    nobody.update(|_| ()).unwrap();
    nobody.session().save().await.unwrap();
    assert!(nobody.session().is_new(), "nothing is written for a visitor who stores nothing");
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Two {
    first: u8,
    #[serde(default = "seven")]
    second: u8,
    third: Option<u8>,
}

fn seven() -> u8 {
    7
}

#[tokio::test]
async fn only_its_own_fields_are_read() {
    for codec in codecs() {
        let bench = Bench::new(codec.clone(), |session| {
            session.insert("first", 1).unwrap();
            session.insert("firs", "not its own").unwrap();
            session.insert("zebra", vec!["not", "its", "own"]).unwrap();
        })
        .await;
        let typed = Typed::<Two>::new(bench.open().await);
        assert_eq!(typed.get().unwrap(), Two { first: 1, second: 7, third: None }, "{codec:?}");
        typed.update(|two| two.first = 2).unwrap();
        typed.session().save().await.unwrap();
        assert_eq!(bench.keys().await, ["firs", "first", "other", "zebra"], "{codec:?}");
    }
}

#[tokio::test]
async fn a_field_that_is_missing_or_of_another_type_is_an_error_that_names_key_and_type() {
    for codec in codecs() {
        let bench = Bench::new(codec.clone(), |session| session.insert("second", 1).unwrap()).await;
        let error = Typed::<Two>::new(bench.open().await).get().unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::Decode, Some("first")), "{codec:?}");
        assert_eq!(
            error.to_string(),
            "session entry \"first\", a field of typed::fields::Two, could not be decoded",
            "{codec:?}"
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "the entry is missing, and the field has no default", "{codec:?}");

        let bench = Bench::new(codec.clone(), |session| session.insert("first", "hunter2").unwrap()).await;
        let before = bench.record().await;
        let typed = Typed::<Two>::new(bench.open().await);
        for error in [typed.get().unwrap_err(), typed.update(|two| two.first = 1).unwrap_err()] {
            assert_eq!((error.kind(), error.key()), (ErrorKind::Decode, Some("first")), "{codec:?}");
            assert!(error.to_string().contains("typed::fields::Two"), "{error}");
            let cause = std::error::Error::source(&error).unwrap();
            assert!(!format!("{error} {error:?} {cause} {cause:?}").contains("hunter2"), "{codec:?}: {error:?}");
        }
        typed.session().save().await.unwrap();
        assert_eq!(bench.record().await, before, "{codec:?}: the entry stays as it is");
    }
}
