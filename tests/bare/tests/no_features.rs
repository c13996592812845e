//! The layer with no features: without axum, and with only a custom store.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderValue, Request, Response, header};
use session_layer::{
    Error, SessionHandle, SessionId, SessionLayer, SessionStore,
    record::Record,
    store::{Create, StoreError, Stored, Touch, Update, Usage, Version},
};
use tower::{Layer, ServiceExt, service_fn};

#[derive(Default, Clone)]
struct MapStore(Arc<Mutex<HashMap<SessionId, Stored>>>);

impl MapStore {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<SessionId, Stored>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SessionStore for MapStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        Ok(self.with(|map| map.get(id).cloned()))
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let version = Version::from_u64(1);
        self.with(|map| map.insert(*id, Stored::new(Arc::clone(record), version, usage)));
        Ok(Create::Created(version))
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        held: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        self.with(|map| {
            let Some(stored) = map.get_mut(id) else { return Ok(Update::Gone) };
            if stored.version != *held {
                return Ok(Update::Conflict(None));
            }
            let version = Version::from_u64(held.to_u64().unwrap_or_default() + 1);
            *stored = Stored::new(Arc::clone(record), version, usage);
            Ok(Update::Updated(version))
        })
    }

    async fn touch(&self, id: &SessionId, _: Usage) -> Result<Touch, StoreError> {
        Ok(self.with(|map| if map.contains_key(id) { Touch::Touched } else { Touch::Gone }))
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.with(|map| map.remove(id).is_some()))
    }
}

/// A body with `Default` and nothing else.
#[derive(Default)]
struct Body(u64);

async fn visit(request: Request<()>) -> Result<Response<Body>, Infallible> {
    let session = async {
        let session = SessionHandle::of(request.extensions()).expect("the layer").session(request.headers()).await;
        session.expect("a store that is up").update("n", |n: &mut u64| {
            *n += 1;
            *n
        })
    };
    let visits: Result<u64, Error> = session.await;
    Ok(Response::new(Body(visits.expect("a number"))))
}

#[tokio::test]
async fn a_session_lasts_over_requests() {
    let service = SessionLayer::new(MapStore::default()).layer(service_fn(visit));
    let first = service.clone().oneshot(Request::new(())).await.expect("infallible");
    assert_eq!(first.body().0, 1);
    let cookie = first.headers()[header::SET_COOKIE].to_str().expect("ASCII");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    for visits in 2..5 {
        let mut request = Request::new(());
        request.headers_mut().insert(header::COOKIE, HeaderValue::from_str(&cookie).expect("ASCII"));
        let response = service.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.body().0, visits);
    }
}
