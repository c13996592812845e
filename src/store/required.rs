//! A capability that an operation needs, or the error that says what is missing.

use super::{Clearing, Leases, Listing, Owners, SessionStore, StoreError};

/// The capability of a store, or the error of an operation that needs it.
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

/// The accessors of a wrapper: it has the capabilities of the store inside, and answers each from itself.
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
