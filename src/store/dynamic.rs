//! A boxed store.

use std::{any::Any, fmt, sync::Arc, time::SystemTime};

use self::erased::Erased;
use super::{
    Clearing, Create, End, Leases, Listing, Metadata, Owners, Refresh, Rename, SessionStore, StoreError, Stored, Touch,
    Tracked, Update, Usage, Version,
};
use crate::{
    id::SessionId,
    record::{Epoch, Record},
};

/// Any store, boxed and cheap to clone. The layer needs no type parameter for it, and a store can be chosen at run
/// time.
///
/// It implements [`SessionStore`] itself. Boxing a `DynStore` returns the same one, without a second box.
#[derive(Clone)]
pub struct DynStore(Arc<dyn Erased>);

impl DynStore {
    /// Boxes a store.
    #[must_use]
    pub fn new(store: impl SessionStore) -> Self {
        let mut store = Some(store);
        if let Some(boxed) = (&mut store as &mut dyn Any).downcast_mut::<Option<Self>>()
            && let Some(boxed) = boxed.take()
        {
            return boxed;
        }
        match store {
            Some(store) => Self(Arc::new(store)),
            None => unreachable!("only a DynStore is taken out above"),
        }
    }
}

impl fmt::Debug for DynStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynStore").field(&self.0.dyn_name()).finish()
    }
}

/// Generates the boxed counterpart of each method: in the erased trait, its implementation for every store, and the one
/// for `DynStore`.
macro_rules! forward {
    (awaited { $($method:ident as $erased:ident($($argument:ident: $type:ty),*) -> $output:ty;)* }
     at_once { $($at_once:ident as $erased_at_once:ident($($given:ident: $of:ty),*) -> $answer:ty;)* }) => {
        /// In a separate module, since the erased methods would clash with the contract's.
        mod erased {
            use super::*;

            #[async_trait::async_trait]
            pub(super) trait Erased: Send + Sync + 'static {
                $(async fn $erased(&self, $($argument: $type),*) -> $output;)*
                fn dyn_tracked(&self, id: &SessionId, version: &Version) -> Option<Tracked>;
                $(fn $erased_at_once(&self, $($given: $of),*) -> Option<$answer>;)*
                fn dyn_answers_at_once(&self) -> bool;
                fn dyn_in_memory(&self) -> bool;
                fn dyn_overwrites(&self) -> bool;
                fn dyn_name(&self) -> &'static str;
                fn dyn_listing(&self) -> Option<&dyn Listing>;
                fn dyn_clearing(&self) -> Option<&dyn Clearing>;
                fn dyn_owners(&self) -> Option<&dyn Owners>;
                fn dyn_leases(&self) -> Option<&dyn Leases>;
            }

            #[async_trait::async_trait]
            impl<S: SessionStore> Erased for S {
                $(async fn $erased(&self, $($argument: $type),*) -> $output {
                    self.$method($($argument),*).await
                })*

                fn dyn_tracked(&self, id: &SessionId, version: &Version) -> Option<Tracked> {
                    self.tracked(id, version)
                }

                $(fn $erased_at_once(&self, $($given: $of),*) -> Option<$answer> {
                    self.$at_once($($given),*)
                })*

                fn dyn_answers_at_once(&self) -> bool {
                    self.answers_at_once()
                }

                fn dyn_in_memory(&self) -> bool {
                    self.in_memory()
                }

                fn dyn_overwrites(&self) -> bool {
                    self.overwrites()
                }

                fn dyn_name(&self) -> &'static str {
                    self.name()
                }

                fn dyn_listing(&self) -> Option<&dyn Listing> {
                    self.listing()
                }

                fn dyn_clearing(&self) -> Option<&dyn Clearing> {
                    self.clearing()
                }

                fn dyn_owners(&self) -> Option<&dyn Owners> {
                    self.owners()
                }

                fn dyn_leases(&self) -> Option<&dyn Leases> {
                    self.leases()
                }
            }
        }

        // `(*self.0)` calls the boxed store. `DynStore` implements `Erased`, too, so without it each method would call
        // itself.
        impl SessionStore for DynStore {
            $(async fn $method(&self, $($argument: $type),*) -> $output {
                (*self.0).$erased($($argument),*).await
            })*

            fn tracked(&self, id: &SessionId, version: &Version) -> Option<Tracked> {
                (*self.0).dyn_tracked(id, version)
            }

            // Without a box, since there is no future.
            $(fn $at_once(&self, $($given: $of),*) -> Option<$answer> {
                (*self.0).$erased_at_once($($given),*)
            })*

            fn answers_at_once(&self) -> bool {
                (*self.0).dyn_answers_at_once()
            }

            fn in_memory(&self) -> bool {
                (*self.0).dyn_in_memory()
            }

            fn overwrites(&self) -> bool {
                (*self.0).dyn_overwrites()
            }

            fn name(&self) -> &'static str {
                (*self.0).dyn_name()
            }

            fn listing(&self) -> Option<&dyn Listing> {
                (*self.0).dyn_listing()
            }

            fn clearing(&self) -> Option<&dyn Clearing> {
                (*self.0).dyn_clearing()
            }

            fn owners(&self) -> Option<&dyn Owners> {
                (*self.0).dyn_owners()
            }

            fn leases(&self) -> Option<&dyn Leases> {
                (*self.0).dyn_leases()
            }
        }
    };
}

forward! {
    awaited {
        load as dyn_load(id: &SessionId) -> Result<Option<Stored>, StoreError>;
        create as dyn_create(id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError>;
        update as dyn_update(id: &SessionId, record: &Arc<Record>, expected: &Version, usage: Usage) -> Result<Update, StoreError>;
        touch as dyn_touch(id: &SessionId, usage: Usage) -> Result<Touch, StoreError>;
        remove as dyn_remove(id: &SessionId) -> Result<bool, StoreError>;
        end as dyn_end(id: &SessionId, expected: &Version, now: SystemTime) -> Result<End, StoreError>;
        rename as dyn_rename(from: &SessionId, expected: &Version, tombstone: &Arc<Record>, to: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Rename, StoreError>;
        refresh as dyn_refresh(id: &SessionId, held: &Stored) -> Result<Refresh, StoreError>;
        owner_epoch as dyn_owner_epoch(owner: &str) -> Result<Option<Epoch>, StoreError>;
        ensure_epoch as dyn_ensure_epoch(owner: &str, usage: Usage) -> Result<Epoch, StoreError>;
        renew_epoch as dyn_renew_epoch(owner: &str, usage: Usage) -> Result<(), StoreError>;
        metadata as dyn_metadata(id: &SessionId) -> Result<Option<Metadata>, StoreError>;
        flush as dyn_flush() -> Result<(), StoreError>;
        close as dyn_close() -> Result<(), StoreError>;
    }
    at_once {
        try_load as dyn_try_load(id: &SessionId) -> Result<Option<Stored>, StoreError>;
        try_create as dyn_try_create(id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError>;
        try_update as dyn_try_update(id: &SessionId, record: &Arc<Record>, expected: &Version, usage: Usage) -> Result<Update, StoreError>;
    }
}
