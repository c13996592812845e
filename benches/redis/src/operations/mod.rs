//! Operations per second without HTTP: the store compared with a bare connection.

mod bare;
mod clients;
mod kind;
mod round;
mod tap;

pub(crate) use self::{
    kind::{ALL, Kind},
    round::{Rates, measure, repeat},
};
