//! One router for each library, with the same routes, using the library's own means.
//!
//! | route | what its handler does |
//! |---|---|
//! | `/untouched` | nothing, and asks for no session |
//! | `/fill` | fills a session with all entries |
//! | `/read` | decodes `user` |
//! | `/write` | reads `n` and writes `n + 1` |
//! | `/create` | sets `n`; its visitor has no cookie |
//! | `/home` | adds one to `n`, decodes `user` and `cart`, and shows them as a page |
//! | `/cart` | adds one to the first item in `cart` |
//! | `/renew` | gives the session a new token, as after a login |
//! | `/key/{key}` | loads, waits for the other racers, sets the key |
//! | `/increment` | loads, waits for the other racers, adds one to `n` |
//! | `/slow` | loads, works, sets `late` |
//! | `/logout` | ends the session |
//! | `/keys`, `/n`, `/user` | how many of the racers' keys are present, the counter, and whether there is a user |

#[macro_use]
mod routes;

pub mod axum_session;
pub mod bare;
pub mod session_layer;
pub mod tower_sessions;
