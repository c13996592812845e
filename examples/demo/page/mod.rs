//! The page. It works without scripts, but for the parallel requests.

mod account;
mod cart;
mod facts;
mod goods;
mod home;
mod parallel;
mod policy;

pub(crate) use self::home::home;
