//! Sealed records and the write-through cache: the conformance kit over both in every order, and what they promise
//! beyond it.

mod conformance;
mod remote;
mod rotation;
mod sealed;
