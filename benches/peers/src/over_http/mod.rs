//! The same through a real HTTP connection: a server in one process, and who loads it in another.

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
