//! The pages. They work without scripts, except for the parallel requests and the charts.

mod account;
mod agent;
mod cart;
mod devices;
mod facts;
mod frame;
mod goods;
mod home;
mod operator;
mod overtake;
mod parallel;
mod policy;

pub(crate) use self::{
    devices::{devices, end_device, end_others},
    home::home,
    operator::operator,
};
