//! Requests through a real HTTP connection: a server in one process, and who loads it in another.

mod client;
mod load;
mod pages;
mod server;

pub use self::{
    load::{Answered, Settings, Summary, ask, load},
    pages::{ALL as ALL_PAGES, Pages},
    server::{Server, serve},
};
