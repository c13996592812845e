//! Access to the capability that an operation needs, with an error if the store lacks it.

use super::{Clearing, Leases, Listing, Owners, SessionStore, StoreError};

/// Defines functions that return a store's capability, or an error for the operation that needs it.
macro_rules! required {
    ($($accessor:ident: $capability:ident;)*) => {
        $(pub(crate) fn $accessor<'a, S: SessionStore>(
            store: &'a S,
            operation: &'static str,
        ) -> Result<&'a dyn $capability, StoreError> {
            store.$accessor().ok_or_else(|| {
                let why = format!(
                    "the store `{}` has no `{}` as it is configured; see its documentation",
                    store.name(),
                    stringify!($accessor)
                );
                StoreError::unsupported(operation).because(why)
            })
        })*
    };
}

required! {
    listing: Listing;
    clearing: Clearing;
    owners: Owners;
    leases: Leases;
}

/// The accessors of a wrapper. It has the capabilities of the inner store, and returns itself for each of them.
macro_rules! own_capabilities {
    ($inner:ident) => {
        fn listing(&self) -> Option<&dyn crate::store::Listing> {
            self.$inner.listing().map(|_| self as _)
        }

        fn clearing(&self) -> Option<&dyn crate::store::Clearing> {
            self.$inner.clearing().map(|_| self as _)
        }

        fn owners(&self) -> Option<&dyn crate::store::Owners> {
            self.$inner.owners().map(|_| self as _)
        }

        fn leases(&self) -> Option<&dyn crate::store::Leases> {
            self.$inner.leases().map(|_| self as _)
        }
    };
}

pub(crate) use own_capabilities;
