//! The subjects: one router each, with the routes of [`bench_support::handlers`].

mod axum_session;
mod kind;
mod none;
mod session_layer;
mod subject;
mod tower_sessions;

pub(crate) use self::{
    kind::{ALL, IN_MEMORY, Kind, WITH_SESSIONS},
    subject::{Subject, fill},
};
