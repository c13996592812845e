//! Sessions with every codec, over one store whose calls are counted.

use session_layer::{
    Codec, ConflictPolicy, MemoryStore, Session, SessionId, SessionLayer, SessionStore,
    codec::{CodecError, CustomCodec, Visit},
    conformance::{Operation, fault::FaultStore},
    erased_serde,
    record::Record,
};

/// A codec that never borrows: it first decodes into its own buffer.
pub(crate) struct Reversed;

impl CustomCodec for Reversed {
    fn tag(&self) -> u8 {
        200
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, CodecError> {
        let mut bytes = serde_json::to_vec(value).map_err(|_| CodecError::new("it has no form in JSON"))?;
        bytes.reverse();
        Ok(bytes)
    }

    fn decode(&self, bytes: &[u8], visit: Visit<'_>) -> Result<(), CodecError> {
        let forward: Vec<u8> = bytes.iter().rev().copied().collect();
        let mut json = serde_json::Deserializer::from_slice(&forward);
        visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))?;
        json.end().map_err(|_| CodecError::new("something follows the value"))
    }
}

pub(crate) fn codecs() -> [Codec; 3] {
    [Codec::Json, Codec::MessagePack, Codec::custom(Reversed)]
}

pub(crate) struct Bench {
    pub(crate) store: FaultStore<MemoryStore>,
    pub(crate) layer: SessionLayer,
    pub(crate) id: SessionId,
}

impl Bench {
    /// Creates a session and lets `fill` fill it.
    pub(crate) async fn new(codec: Codec, fill: impl FnOnce(&Session)) -> Self {
        Self::with(codec, ConflictPolicy::Merge, fill).await
    }

    pub(crate) async fn with(codec: Codec, conflicts: ConflictPolicy, fill: impl FnOnce(&Session)) -> Self {
        let store = FaultStore::new(MemoryStore::new());
        let layer = SessionLayer::builder(store.clone()).codec(codec).conflict_policy(conflicts).build().unwrap();
        let session = layer.new_session();
        session.insert("other", 1).unwrap();
        fill(&session);
        session.save().await.unwrap();
        store.forget();
        Self { store, layer, id: session.id().unwrap() }
    }

    /// Loads the session, as another request would.
    pub(crate) async fn open(&self) -> Session {
        self.layer.open_session(self.id).await.unwrap().unwrap()
    }

    /// Returns the stored record.
    pub(crate) async fn record(&self) -> std::sync::Arc<Record> {
        self.store.inner().load(&self.id).await.unwrap().unwrap().record
    }

    pub(crate) async fn keys(&self) -> Vec<String> {
        self.record().await.entries().iter().map(|(key, _)| key.to_owned()).collect()
    }

    /// The number of updates to the record.
    pub(crate) fn updates(&self) -> usize {
        self.store.calls(Operation::Update)
    }
}
