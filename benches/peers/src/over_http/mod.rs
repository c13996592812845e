//! The same over a real HTTP connection, with the server in one process and the load in another.

mod client;
mod load;
mod pages;
mod round;
mod server;

pub(crate) use self::{
    load::{Settings, load},
    pages::{ALL as ALL_PAGES, Pages},
    round::{Loaded, all},
    server::serve,
};
