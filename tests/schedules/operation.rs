//! A request's operation on its session, and its reported outcome.

use std::sync::Arc;

use session_layer::{Error, ErrorKind, Session, SessionId};

use crate::site::Layer;

/// The operation of one request. Each has a number, which it writes.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Appends its number to `log`.
    Update,
    UpdateNow,
    /// Appends its number to `cart` by reading and setting it.
    ReadModifyWrite,
    /// Sets `last` without reading it.
    Set,
    /// The same, and saves at once.
    Save,
    /// Sets `token` to its number.
    PutToken,
    TakeToken,
    Renew,
    /// Renews, and appends to `log`.
    RenewAndUpdate,
    /// Logs in, and appends to `log`.
    Login(&'static str),
    /// Sets the session's owner, without a login.
    Own(&'static str),
    /// Removes the session's owner.
    Leave,
    Destroy,
    DestroyNow,
    Revoke(&'static str),
    RevokeOthers,
    RevokeOne(&'static str, SessionId),
    Remove(SessionId),
    Read,
}

/// The reported outcome of a request's own change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Told {
    /// It was not answered.
    #[default]
    Nothing,
    Done,
    Failed(ErrorKind),
    Unknown,
}

impl Told {
    pub(crate) fn of(kind: ErrorKind) -> Self {
        if kind == ErrorKind::OutcomeUnknown { Self::Unknown } else { Self::Failed(kind) }
    }
}

/// A session's content: the numbers of the operations that have written there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) log: Vec<u32>,
    pub(crate) cart: Vec<u32>,
    pub(crate) last: Option<u32>,
    pub(crate) token: Option<u32>,
}

/// A handler's observations and actions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) saw: Option<SessionId>,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) content: Content,
    pub(crate) told: Told,
    pub(crate) taken: Option<u32>,
    /// Whether an end from outside reported that it has ended something.
    pub(crate) ended: bool,
}

impl Operation {
    /// Whether it leaves its number in the session.
    pub(crate) fn writes(&self) -> bool {
        matches!(
            self,
            Self::Update
                | Self::UpdateNow
                | Self::ReadModifyWrite
                | Self::Set
                | Self::Save
                | Self::PutToken
                | Self::RenewAndUpdate
                | Self::Login(_)
        )
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::UpdateNow => "update_now",
            Self::ReadModifyWrite => "get and insert",
            Self::Set => "insert",
            Self::Save => "insert and save",
            Self::PutToken => "put a token",
            Self::TakeToken => "take_now",
            Self::Renew => "renew",
            Self::RenewAndUpdate => "renew and update",
            Self::Login(_) => "login",
            Self::Own(_) => "set_owner",
            Self::Leave => "set_owner(None)",
            Self::Destroy => "destroy",
            Self::DestroyNow => "destroy_now",
            Self::Revoke(_) => "revoke",
            Self::RevokeOthers => "revoke_others",
            Self::RevokeOne(..) => "revoke_one",
            Self::Remove(_) => "remove",
            Self::Read => "read",
        }
    }

    /// The handler. Fills in `report` on the way.
    pub(crate) async fn run(
        &self,
        number: u32,
        session: &Session,
        layer: &Layer,
        report: &mut Report,
    ) -> Result<(), Error> {
        report.saw = session.id();
        report.owner = session.owner();
        match self {
            Self::Update => {
                session.update("log", move |log: &mut Vec<u32>| log.push(number))?;
            }
            Self::UpdateNow => {
                session.update_now("log", move |log: &mut Vec<u32>| log.push(number)).await?;
            }
            Self::ReadModifyWrite => {
                let mut cart: Vec<u32> = session.get_or_default("cart")?;
                cart.push(number);
                session.insert("cart", &cart)?;
            }
            Self::Set => session.insert("last", &number)?,
            Self::Save => {
                session.insert("last", &number)?;
                session.save().await?;
            }
            Self::PutToken => session.insert("token", &number)?,
            Self::TakeToken => report.taken = session.take_now("token").await?,
            Self::Renew => session.renew()?,
            Self::RenewAndUpdate => {
                session.renew()?;
                session.update("log", move |log: &mut Vec<u32>| log.push(number))?;
            }
            Self::Login(owner) => {
                session.login(owner)?;
                session.update("log", move |log: &mut Vec<u32>| log.push(number))?;
            }
            Self::Own(owner) => session.set_owner(Some(owner))?,
            Self::Leave => session.set_owner(None)?,
            Self::Destroy => session.destroy()?,
            Self::DestroyNow => {
                session.destroy_now().await?;
            }
            Self::Revoke(owner) => {
                layer.sessions().revoke(owner).await?;
                report.ended = true;
            }
            Self::RevokeOthers => {
                if let (Some(owner), Some(id)) = (session.owner(), session.id()) {
                    report.ended = layer.sessions().revoke_others(&owner, &id).await?;
                }
            }
            Self::RevokeOne(owner, id) => report.ended = layer.sessions().revoke_one(owner, id).await?,
            Self::Remove(id) => report.ended = layer.sessions().remove(id).await?,
            Self::Read => {
                report.content = Content {
                    log: session.get_or_default("log")?,
                    cart: session.get_or_default("cart")?,
                    last: session.get("last")?,
                    token: session.get("token")?,
                };
            }
        }
        Ok(())
    }
}
