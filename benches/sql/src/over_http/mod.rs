//! Measures over real HTTP connections: the server and the load generator are separate processes.

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
