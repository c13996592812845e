//! The pages. They work without scripts, but for the parallel requests.

mod account;
mod agent;
mod cart;
mod devices;
mod facts;
mod frame;
mod goods;
mod home;
mod parallel;
mod policy;

pub(crate) use self::{
    devices::{devices, end_device, end_others},
    home::home,
};
