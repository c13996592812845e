//! Requests over real HTTP connections: a server in one process, and the load in another.

mod client;
mod load;
mod pages;
mod server;

pub use self::{
    load::{Answered, Settings, Summary, ask, load},
    pages::{ALL as ALL_PAGES, Pages},
    server::{Server, serve},
};
