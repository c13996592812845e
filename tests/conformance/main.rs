//! The kit over this crate's own stores, and over stores that are broken on purpose.

mod stores;
