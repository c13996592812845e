//! The subjects: one router each, with the same routes, written as each library intends.
//!
//! | route | what its handler does |
//! |---|---|
//! | `/untouched` | nothing, and uses no session |
//! | `/fill` | fills a session with all entries |
//! | `/read` | decodes `user` |
//! | `/write` | reads `n` and writes `n + 1` |
//! | `/create` | sets `n`; its visitor has no cookie |
//! | `/home` | adds one to `n`, decodes `user` and `cart`, and shows them as a page |
//! | `/cart` | adds one to the first item in `cart` |
//! | `/renew` | gives the session a new name, as after a login |
//! | `/key/{key}` | loads, waits for the other racers, sets the key |
//! | `/increment` | loads, waits for the other racers, adds one to `n` |
//! | `/slow` | loads, works, sets `late` |
//! | `/logout` | ends the session |
//! | `/keys`, `/n`, `/user` | how many of the racers' keys are there, the counter, and whether there is a user |

#[macro_use]
mod routes;

mod axum_session;
mod kind;
mod none;
mod session_layer;
mod subject;
mod tower_sessions;

pub(crate) use self::{
    kind::{ALL, IN_MEMORY, Kind, WITH_SESSIONS},
    subject::{Subject, fill},
};
