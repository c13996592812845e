//! A store that hides that it is in memory, so that a cache does not step aside.

use std::{sync::Arc, time::SystemTime};

use session_layer::{
    SessionId, SessionStore,
    record::{Epoch, Record},
    store::{
        Clearing, Create, End, Leases, Listing, Metadata, Owners, Refresh, Rename, StoreError, Stored, Touch, Update,
        Usage, Version,
    },
};

#[derive(Debug, Clone)]
pub(crate) struct Remote<S>(pub(crate) S);

macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        impl<S: SessionStore> SessionStore for Remote<S> {
            $(async fn $method(&self, $($argument: $type),*) -> $output {
                self.0.$method($($argument),*).await
            })*

            fn overwrites(&self) -> bool {
                self.0.overwrites()
            }

            fn name(&self) -> &'static str {
                self.0.name()
            }

            // None of them reveals that the store is in memory.
            fn listing(&self) -> Option<&dyn Listing> {
                self.0.listing()
            }

            fn clearing(&self) -> Option<&dyn Clearing> {
                self.0.clearing()
            }

            fn owners(&self) -> Option<&dyn Owners> {
                self.0.owners()
            }

            fn leases(&self) -> Option<&dyn Leases> {
                self.0.leases()
            }
        }
    };
}

type Answer<T> = Result<T, StoreError>;

forward! {
    load(id: &SessionId) -> Answer<Option<Stored>>;
    create(id: &SessionId, record: &Arc<Record>, usage: Usage) -> Answer<Create>;
    update(id: &SessionId, record: &Arc<Record>, expected: &Version, usage: Usage) -> Answer<Update>;
    touch(id: &SessionId, usage: Usage) -> Answer<Touch>;
    remove(id: &SessionId) -> Answer<bool>;
    end(id: &SessionId, expected: &Version, now: SystemTime) -> Answer<End>;
    rename(from: &SessionId, expected: &Version, tombstone: &Arc<Record>, to: &SessionId, record: &Arc<Record>, usage: Usage) -> Answer<Rename>;
    refresh(id: &SessionId, held: &Stored) -> Answer<Refresh>;
    owner_epoch(owner: &str) -> Answer<Option<Epoch>>;
    ensure_epoch(owner: &str, usage: Usage) -> Answer<Epoch>;
    renew_epoch(owner: &str, usage: Usage) -> Answer<()>;
    metadata(id: &SessionId) -> Answer<Option<Metadata>>;
    flush() -> Answer<()>;
    close() -> Answer<()>;
}
