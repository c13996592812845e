//! Keys of entries: where they are accepted, and which values they hold.
#![allow(clippy::needless_borrows_for_generic_args, reason = "that references are taken is what is tested")]

use std::borrow::Cow;

use session_layer::{ErrorKind, Key, MemoryStore, Session, Sessions};

const COUNT: Key<u64> = Key::new("count");
const NAME: Key<String> = Key::new("name");
const TAGS: Key<Vec<String>> = Key::new("tags");
const PLAN: Key<Option<u8>> = Key::new("plan");

#[tokio::test]
async fn a_typed_key_stands_wherever_a_key_does() {
    let session = Session::new(MemoryStore::new());
    session.insert(COUNT, 1).unwrap();
    assert!(session.contains(COUNT));
    assert_eq!(session.get(COUNT).unwrap(), Some(1));
    assert_eq!(session.update(COUNT, |n| *n += 1).and_then(|()| session.get_or_default(COUNT)).unwrap(), 2);
    assert!(session.remove(COUNT).unwrap());
    assert!(!session.contains(COUNT));
    assert_eq!(session.get_or_insert_with(COUNT, || 7).unwrap(), 7);
    assert_eq!(session.take(COUNT).unwrap(), Some(7));
    assert_eq!(session.update_now(COUNT, |n| *n += 1).await.and_then(|()| session.get(COUNT)).unwrap(), Some(1));
    assert_eq!(session.take_now(COUNT).await.unwrap(), Some(1));
}

#[test]
fn a_typed_key_takes_its_type_by_value_by_reference_and_as_what_it_borrows() {
    let session = Session::new(MemoryStore::new());
    // The literal is a `u64`, since the key says so.
    session.insert(COUNT, 1 << 40).unwrap();
    session.insert(COUNT, &(1 << 40)).unwrap();
    assert_eq!(session.get(COUNT).unwrap(), Some(1 << 40));
    let owned = String::from("ada");
    session.insert(NAME, "ada").unwrap();
    session.insert(NAME, &owned).unwrap();
    session.insert(NAME, owned.as_str()).unwrap();
    session.insert(NAME, owned.clone()).unwrap();
    assert_eq!(session.get(NAME).unwrap(), Some(owned.clone()));
    session.insert(TAGS, vec![owned.clone()]).unwrap();
    session.insert(TAGS, &vec![owned.clone()]).unwrap();
    session.insert(TAGS, &[owned.clone()][..]).unwrap();
    assert_eq!(session.get(TAGS).unwrap(), Some(vec![owned]));
    session.insert(PLAN, Some(3)).unwrap();
    session.insert(PLAN, &None).unwrap();
    assert_eq!(session.get(PLAN).unwrap(), Some(None));
    const TITLE: Key<Cow<'static, str>> = Key::new("title");
    session.insert(TITLE, "Dr").unwrap();
    assert_eq!(session.get(TITLE).unwrap().as_deref(), Some("Dr"));
}

#[test]
fn a_string_is_a_key_for_any_value() {
    let session = Session::new(MemoryStore::new());
    session.insert("count", 1).unwrap();
    session.insert("count", 1).unwrap();
    assert_eq!(session.get::<u32>("count").unwrap(), Some(1));
    session.insert("name", "ada").unwrap();
    session.insert(String::from("name"), String::from("ada")).unwrap();
    session.insert(&String::from("name"), &String::from("ada")).unwrap();
    assert_eq!(session.get::<String>(String::from("name")).unwrap().as_deref(), Some("ada"));
    session.insert("list", ["a", "b"]).unwrap();
    session.insert("list", &["a", "b"][..]).unwrap();
    session.insert("cart", vec![(1, "tea")]).unwrap();
    assert_eq!(session.get("list").unwrap(), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(session.keys(), ["cart", "count", "list", "name"]);
}

/// Whatever form the value has, the error names the key's type, or the value's type without its reference.
#[test]
fn an_error_names_the_type_and_not_how_the_value_was_given() {
    let session = Session::new(MemoryStore::new());
    let failed = |error: session_layer::Error| {
        assert_eq!(error.kind(), ErrorKind::Encode);
        error.to_string()
    };
    const NUMBER: Key<f64> = Key::new("number");
    for error in
        [session.insert(NUMBER, f64::NAN), session.insert(NUMBER, &f64::NAN), session.insert("number", &f64::NAN)]
    {
        assert_eq!(failed(error.unwrap_err()), "session entry \"number\" of type f64 could not be encoded");
    }
}

#[tokio::test]
async fn entries_of_a_stored_session_take_the_same_keys_and_values() {
    let store = MemoryStore::new();
    let session = Session::new(store.clone());
    session.insert(COUNT, 1).unwrap();
    session.save().await.unwrap();
    let (sessions, id) = (Sessions::new(store), session.id().unwrap());
    assert!(sessions.merge(&id, [(NAME, "ada")]).await.unwrap());
    assert!(sessions.merge(&id, [("language".to_owned(), "pt".to_owned())]).await.unwrap());
    assert_eq!(sessions.get(&id, NAME).await.unwrap().as_deref(), Some("ada"));
    assert_eq!(sessions.take::<String>(&id, "language").await.unwrap().as_deref(), Some("pt"));
}
