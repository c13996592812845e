//! Defects of `try_load`, `try_create` and `try_update`. A store with another defect answers nothing at once.

use std::sync::Arc;

use session_layer::{
    SessionId,
    record::Record,
    store::{Create, StoreError, Stored, Update, Usage, Version},
};

use super::Broken;
use crate::defects::Defect;

impl Broken {
    pub(super) fn broken_load_at_once(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        self.is(Defect::LoadsExpiredAtOnce).then(|| Ok(self.raw(id)))
    }

    pub(super) fn broken_create_at_once(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Option<Result<Create, StoreError>> {
        match self.defect {
            Defect::ReplacesAtOnce => Some(Ok(Create::Created(self.put(id, record, usage)))),
            Defect::DeclinesAfterCreate => {
                self.put(id, record, usage);
                None
            }
            _ => None,
        }
    }

    pub(super) fn broken_update_at_once(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        let is_expected = self.raw(id).is_some_and(|stored| stored.version == *expected);
        match self.defect {
            Defect::IgnoresVersionAtOnce => Some(Ok(Update::Updated(self.put(id, record, usage)))),
            Defect::DeclinesAfterUpdate if is_expected => {
                self.put(id, record, usage);
                None
            }
            _ => None,
        }
    }
}
