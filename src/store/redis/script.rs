//! Lua scripts, each of which the server runs in one step.

use std::sync::LazyLock;

/// A Lua script. It is sent by its hash, and in full only to a server that doesn't have it.
///
/// A script that creates or updates a session gets the nonce of the new value. If it finds that nonce stored, it
/// replies as if it had just written it. [`sent`](super::operations::sent) says which scripts may be sent twice.
#[derive(Debug)]
pub(super) struct Script {
    source: &'static str,
    hash: LazyLock<String>,
    writes: bool,
}

impl Script {
    pub(super) const fn new(source: &'static str, hash: fn() -> String, writes: bool) -> Self {
        Self { source, hash: LazyLock::new(hash), writes }
    }

    /// Whether the script changes anything that a caller relies on.
    pub(super) fn writes(&self) -> bool {
        self.writes
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

/// Defines the scripts. `head.lua`, which reads a value's head, is prepended to each of them, and to that the usual case
/// of a script that has one: it then needs none of the functions in `head.lua`, which are made anew at each call.
macro_rules! scripts {
    ($($name:ident: $does:ident $file:literal $(after $first:literal)?;)*) => {
        $(pub(super) static $name: Script = {
            const SOURCE: &str = concat!(
                $(include_str!(concat!("scripts/", $first)),)?
                include_str!("scripts/head.lua"),
                include_str!(concat!("scripts/", $file))
            );
            Script::new(SOURCE, || redis::Script::new(SOURCE).get_hash().to_owned(), $does)
        };)*
    };
}

const READS: bool = false;
const WRITES: bool = true;

scripts! {
    LOAD: READS "load.lua";
    CREATE: WRITES "create.lua" after "create_first.lua";
    UPDATE: WRITES "update.lua" after "update_first.lua";
    TOUCH: WRITES "touch.lua";
    REMOVE: WRITES "remove.lua";
    END: WRITES "end.lua";
    LOCK: WRITES "lock.lua";
    UNLOCK: WRITES "unlock.lua";
    EPOCH: READS "epoch.lua";
    ENSURE_EPOCH: WRITES "ensure_epoch.lua";
    RENEW_EPOCH: WRITES "renew_epoch.lua";
    LIST: WRITES "list.lua";
    MEMBERS: READS "members.lua";
    NEWEST: READS "newest.lua";
    RAISE: WRITES "raise.lua";
    // It only removes dead records, so it counts as a read.
    WALK: READS "walk.lua";
    WIPE: WRITES "wipe.lua";
}
