//! Loads a session again.

use super::{
    find::{Follow, Found},
    live::Origin,
    session::Session,
};
use crate::error::{Error, ErrorKind, Result};

impl Session {
    /// Loads the session again, to see what other requests have written in the meantime.
    ///
    /// # Errors
    ///
    /// [`UnsavedChanges`](ErrorKind::UnsavedChanges) if changes would be lost, [`Gone`](ErrorKind::Gone) or
    /// [`Superseded`](ErrorKind::Superseded) if there is nothing to load, and the store's errors.
    #[doc(alias("load"))]
    pub async fn reload(&self) -> Result<()> {
        let (live, revision) = {
            let state = self.request.state();
            if state.is_unsaved() {
                return Err(Error::request(ErrorKind::UnsavedChanges));
            }
            match state.live() {
                Some(live) => (live.clone(), state.log.revision),
                None => return state.require_current(),
            }
        };
        let now = match self.request.context.find_again(&live, Follow::Forward, None).await? {
            Found::Live(now) => now,
            Found::Absent | Found::Revoked => return Err(Error::session(ErrorKind::Gone, live.id)),
            Found::Superseded { .. } => return Err(Error::session(ErrorKind::Superseded, live.id)),
        };
        let idle = {
            let mut state = self.request.state();
            if state.log.revision != revision {
                return Err(Error::request(ErrorKind::UnsavedChanges));
            }
            state.failures.newer = Some(Box::new(Origin::Live(now)));
            // Changes that had no effect on the old record must not take effect on the new one.
            state.discard()
        };
        drop(idle);
        Ok(())
    }
}
