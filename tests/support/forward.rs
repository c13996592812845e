//! Forwards methods of the contract to the store inside, for test stores that change only some of them.

macro_rules! forward {
    ($inner:tt: $($method:ident),*) => { $($crate::forward::forward!(@$method $inner);)* };
    (@load $inner:tt) => {
        async fn load(
            &self,
            id: &::session_layer::SessionId,
        ) -> Result<Option<::session_layer::store::Stored>, ::session_layer::store::StoreError> {
            ::session_layer::SessionStore::load(&self.$inner, id).await
        }
    };
    (@create $inner:tt) => {
        async fn create(
            &self,
            id: &::session_layer::SessionId,
            record: &::std::sync::Arc<::session_layer::record::Record>,
            usage: ::session_layer::store::Usage,
        ) -> Result<::session_layer::store::Create, ::session_layer::store::StoreError> {
            ::session_layer::SessionStore::create(&self.$inner, id, record, usage).await
        }
    };
    (@update $inner:tt) => {
        async fn update(
            &self,
            id: &::session_layer::SessionId,
            record: &::std::sync::Arc<::session_layer::record::Record>,
            expected: &::session_layer::store::Version,
            usage: ::session_layer::store::Usage,
        ) -> Result<::session_layer::store::Update, ::session_layer::store::StoreError> {
            ::session_layer::SessionStore::update(&self.$inner, id, record, expected, usage).await
        }
    };
    (@touch $inner:tt) => {
        async fn touch(
            &self,
            id: &::session_layer::SessionId,
            usage: ::session_layer::store::Usage,
        ) -> Result<::session_layer::store::Touch, ::session_layer::store::StoreError> {
            ::session_layer::SessionStore::touch(&self.$inner, id, usage).await
        }
    };
    (@remove $inner:tt) => {
        async fn remove(&self, id: &::session_layer::SessionId) -> Result<bool, ::session_layer::store::StoreError> {
            ::session_layer::SessionStore::remove(&self.$inner, id).await
        }
    };
}

pub(crate) use forward;
