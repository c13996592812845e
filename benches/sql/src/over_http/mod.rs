//! Through a real HTTP connection: a server in one process, and who loads it in another.

#[path = "../../../peers/src/over_http/client.rs"]
mod client;
mod compare;
#[path = "../../../peers/src/over_http/load.rs"]
mod load;
mod pages;
mod server;

pub(crate) use self::{
    compare::compare,
    load::{Settings, load},
    pages::Pages,
    server::serve,
};
