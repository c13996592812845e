//! The stored state after each write, and its invariants.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use session_layer::{
    SessionId,
    record::{Epoch, Owner, Record, RecordKind},
    store::Stored,
};

use crate::{
    operation::{Content, Operation, Told},
    site::{Reply, SetCookie, id_of},
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Unseen,
    Session { owner: Option<(Arc<str>, Epoch)> },
    Tombstone,
    Absent,
}

/// The known state of an id.
#[derive(Debug)]
struct Known {
    name: String,
    /// The next id towards the first one of the same session: a renewal joins two ids.
    parent: usize,
    state: State,
    /// Its content, or the content of the session that was here last.
    content: Content,
    /// Its owner, or the owner of the session that was here last.
    owner: Option<Arc<str>>,
    /// All numbers that were ever in it.
    ever: BTreeSet<u32>,
    forward: Option<usize>,
    /// A visitor has its token, or a token that leads to it.
    is_handed_out: bool,
    has_ended: bool,
    /// The reason why nothing of this session may be alive. Stored at the first of its ids.
    dead: Option<String>,
}

/// A request under way, with the state at its beginning.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) number: u32,
    pub(crate) operation: Operation,
    pub(crate) cookie: Option<SessionId>,
    was_dead: bool,
    /// The sessions that the operation must end.
    meant: Vec<usize>,
}

/// The state of all sessions of the schedule.
#[derive(Debug, Default)]
pub(crate) struct World {
    index: HashMap<SessionId, usize>,
    known: Vec<Known>,
    epochs: HashMap<&'static str, Option<Epoch>>,
    given: BTreeSet<u32>,
    failed: BTreeMap<u32, Told>,
    wrong: Vec<String>,
}

fn content(record: &Record) -> Content {
    // The first byte names the codec.
    let bytes = |key| record.entries().get(key).map(|bytes| &bytes[1..]);
    let list = |key| bytes(key).map(|bytes| serde_json::from_slice(bytes).unwrap()).unwrap_or_default();
    let number = |key| bytes(key).map(|bytes| serde_json::from_slice(bytes).unwrap());
    Content { log: list("log"), cart: list("cart"), last: number("last"), token: number("token") }
}

impl Content {
    fn numbers(&self) -> impl Iterator<Item = u32> {
        self.log.iter().chain(&self.cart).chain(&self.last).chain(&self.token).copied()
    }

    fn has(&self, number: u32) -> bool {
        self.numbers().any(|other| other == number)
    }

    /// An append is never lost.
    fn is_kept_by(&self, later: &Self) -> bool {
        self.log.iter().all(|number| later.log.contains(number))
            && self.cart.iter().all(|number| later.cart.contains(number))
    }

    fn has_doubles(&self) -> bool {
        [&self.log, &self.cart].into_iter().any(|list| list.iter().collect::<BTreeSet<_>>().len() != list.len())
    }
}

impl World {
    fn at(&mut self, id: &SessionId, name: impl FnOnce() -> String) -> usize {
        let next = self.known.len();
        let at = *self.index.entry(*id).or_insert(next);
        if at == next {
            self.known.push(Known {
                name: name(),
                parent: next,
                state: State::Unseen,
                content: Content::default(),
                owner: None,
                ever: BTreeSet::new(),
                forward: None,
                is_handed_out: false,
                has_ended: false,
                dead: None,
            });
        }
        at
    }

    fn complain(&mut self, what: String) {
        self.wrong.push(what);
    }

    pub(crate) fn complaints(&self) -> &[String] {
        &self.wrong
    }

    fn first(&self, mut at: usize) -> usize {
        while self.known[at].parent != at {
            at = self.known[at].parent;
        }
        at
    }

    /// Joins two ids of one session.
    fn unite(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        if one != other {
            let dead = self.known[other].dead.take();
            self.known[other].parent = one;
            self.known[one].dead = self.known[one].dead.take().or(dead);
        }
    }

    fn is_live(&self, at: usize) -> bool {
        match &self.known[at].state {
            State::Session { owner: None } => true,
            State::Session { owner: Some((name, epoch)) } => self.epochs.get(&**name) == Some(&Some(*epoch)),
            _ => false,
        }
    }

    fn hand_out(&mut self, at: usize) {
        let mut next = Some(at);
        while let Some(at) = next {
            if std::mem::replace(&mut self.known[at].is_handed_out, true) {
                return;
            }
            next = self.known[at].forward;
        }
    }

    /// Updates the current epochs.
    pub(crate) fn epochs(&mut self, epochs: impl IntoIterator<Item = (&'static str, Option<Epoch>)>) {
        self.epochs.extend(epochs);
    }

    /// All ids.
    pub(crate) fn ids(&self) -> Vec<SessionId> {
        self.index.keys().copied().collect()
    }

    /// Ids of sessions, for operations that end one by its id.
    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.index.iter().map(|(id, at)| (*at, *id)).collect();
        ids.sort_unstable();
        ids.into_iter().filter(|(at, _)| self.known[*at].is_handed_out).map(|(_, id)| id).collect()
    }

    /// Records the current state of an id. Returns `true` if it holds neither a session nor a tombstone.
    pub(crate) fn observe(
        &mut self,
        id: &SessionId,
        stored: Option<&Stored>,
        name: impl Fn(&SessionId) -> String,
    ) -> bool {
        let Some(stored) = stored else {
            let Some(&at) = self.index.get(id) else { return true };
            let known = &mut self.known[at];
            known.has_ended |= known.state != State::Unseen;
            known.state = State::Absent;
            return true;
        };
        let record = &*stored.record;
        match record.kind() {
            RecordKind::Session => {
                let at = self.at(id, || name(id));
                self.observe_session(at, record);
                false
            }
            RecordKind::Tombstone => {
                let at = self.at(id, || name(id));
                let forward = record.forward().unwrap().map(|forward| self.at(&forward.to, || name(&forward.to)));
                self.observe_tombstone(at, forward);
                false
            }
            _ => true,
        }
    }

    fn observe_session(&mut self, at: usize, record: &Record) {
        let owner = record.owner().map(|owner| (Arc::clone(owner.name()), owner.epoch()));
        let now = content(record);
        let Known { name, state, content: before, has_ended, .. } = &self.known[at];
        let mut wrong = Vec::new();
        if *has_ended {
            wrong.push(format!("{name} had ended and is a session again"));
        }
        if let State::Session { owner: held } = state {
            if !before.is_kept_by(&now) {
                wrong.push(format!("{name} has lost something: {before:?}, now {now:?}"));
            }
            let (held, new) = (held.as_ref().map(|(name, _)| name), owner.as_ref().map(|(name, _)| name));
            if held.is_some() && held != new {
                wrong.push(format!("{name} was {held:?}'s and is {new:?}'s under the same token"));
            }
        }
        if now.has_doubles() {
            wrong.push(format!("{name} has something twice: {now:?}"));
        }
        self.wrong.extend(wrong);
        let known = &mut self.known[at];
        known.ever.extend(now.numbers());
        known.owner = owner.as_ref().map(|(name, _)| Arc::clone(name));
        (known.state, known.content) = (State::Session { owner }, now);
    }

    fn observe_tombstone(&mut self, at: usize, forward: Option<usize>) {
        self.known[at].has_ended = true;
        self.known[at].state = State::Tombstone;
        let Some(to) = forward.filter(|_| self.known[at].forward.is_none()) else { return };
        self.known[at].forward = Some(to);
        if self.known[at].is_handed_out {
            self.hand_out(to);
        }
        self.unite(at, to);
        let (from, to) = (&self.known[at], &self.known[to]);
        if !from.content.is_kept_by(&to.content) {
            self.complain(format!(
                "renewed from {} to {}: {:?} became {:?}",
                from.name, to.name, from.content, to.content
            ));
        }
    }

    /// Records that the layer reports to have moved a session.
    pub(crate) fn renewed(&mut self, from: &SessionId, to: &SessionId, record: &Record, login: bool) {
        let (Some(&from), Some(&to)) = (self.index.get(from), self.index.get(to)) else {
            return self.complain("a renewal of what was never stored".to_owned());
        };
        // Another owner's session, or one that was removed from its owner, does not carry its data over.
        let held = &self.known[from];
        if held.owner.as_ref().is_some_and(|held| Some(held) != record.owner().map(Owner::name)) {
            return;
        }
        let (before, after) = (&held.content, content(record));
        if !before.is_kept_by(&after) {
            self.complain(format!("moved from {}: {before:?} became {after:?}", held.name));
        }
        if !login {
            self.unite(from, to);
        }
    }

    /// Records the state that matters to a request before it begins.
    pub(crate) fn begin(&self, number: u32, operation: Operation, cookie: Option<SessionId>) -> Begun {
        let at = cookie.and_then(|id| self.index.get(&id).copied());
        let is_of = |at: &usize, name: &str| matches!(&self.known[*at].state, State::Session { owner: Some((held, _)) } if **held == *name);
        let owned =
            |name: &str| (0..self.known.len()).filter(|at| self.known[*at].is_handed_out && is_of(at, name)).collect();
        let meant = match &operation {
            Operation::Revoke(owner) => owned(owner),
            Operation::RevokeOthers => match at.map(|at| &self.known[at].state) {
                Some(State::Session { owner: Some((name, _)) }) => owned(name),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        let was_dead = at.is_some_and(|at| self.known[self.first(at)].dead.is_some());
        Begun { number, operation, cookie, was_dead, meant }
    }

    /// Checks an answered request.
    pub(crate) fn end(&mut self, begun: &Begun, reply: &Reply) {
        let Begun { number, operation, .. } = begun;
        let report = &reply.report;
        if let SetCookie::Token(token) = &reply.cookie {
            match self.index.get(&id_of(token)) {
                Some(&at) => self.hand_out(at),
                None => self.complain(format!("{number} set a cookie of what was never stored")),
            }
        }
        if ![200, 409, 503].contains(&reply.status) {
            self.complain(format!("{number} {operation:?} answered {}", reply.status));
        }
        let saw = report.saw.and_then(|id| self.index.get(&id).copied());
        self.look_at_what_it_saw(begun, saw);
        match report.told {
            Told::Done => {
                if operation.writes() {
                    self.must_have_written(*number, saw);
                }
                if let Some(token) = report.taken
                    && !self.given.insert(token)
                {
                    self.complain(format!("the token of {token} was given to two"));
                }
                self.note_ended(begun, reply, saw);
            }
            told @ Told::Failed(_) => drop(self.failed.insert(*number, told)),
            Told::Unknown | Told::Nothing => {}
        }
        if let Operation::Read = operation {
            let failed = self.failed.keys().find(|failed| report.content.has(**failed));
            if let Some(failed) = failed {
                self.complain(format!("{number} reads what {failed} was told has failed"));
            }
        }
        self.check();
    }

    fn look_at_what_it_saw(&mut self, begun: &Begun, saw: Option<usize>) {
        let Some(saw) = saw else { return };
        let cookie = begun.cookie.and_then(|id| self.index.get(&id).copied());
        let number = begun.number;
        match cookie {
            None => self.complain(format!("{number} had no known cookie and saw {}", self.known[saw].name)),
            Some(at) if self.first(at) != self.first(saw) => {
                let (at, saw) = (&self.known[at].name, &self.known[saw].name);
                self.complain(format!("{number} came with {at} and saw {saw}"));
            }
            Some(at) if begun.was_dead => {
                self.complain(format!("{number} came with {}, which had ended", self.known[at].name));
            }
            Some(_) => {}
        }
    }

    /// Checks that a change answered with success is in the session, unless the session has ended in the meantime.
    fn must_have_written(&mut self, number: u32, saw: Option<usize>) {
        let is_there = self.known.iter().any(|known| known.is_handed_out && known.ever.contains(&number));
        let lives = saw.is_none_or(|saw| {
            let session = self.first(saw);
            (0..self.known.len())
                .any(|at| self.first(at) == session && self.known[at].is_handed_out && self.is_live(at))
        });
        if !is_there && lives {
            self.complain(format!("{number} was told that it has written, and has not"));
        }
    }

    fn note_ended(&mut self, begun: &Begun, reply: &Reply, saw: Option<usize>) {
        let Begun { number, operation, cookie, meant, .. } = begun;
        let report = &reply.report;
        let known = |id: &SessionId| self.index.get(id).copied();
        let ended: Vec<usize> = match operation {
            Operation::Destroy | Operation::DestroyNow => cookie.as_ref().and_then(known).into_iter().collect(),
            // If the session was given to an owner in the meantime, the holder of the old token can't use it.
            Operation::Login(_) => saw.filter(|saw| self.is_still(*saw, report.owner.as_ref())).into_iter().collect(),
            Operation::Leave if report.owner.is_some() => saw.into_iter().collect(),
            Operation::Revoke(_) => meant.clone(),
            Operation::RevokeOthers if report.ended => {
                let kept = saw.map(|saw| self.first(saw));
                meant.iter().copied().filter(|at| Some(self.first(*at)) != kept).collect()
            }
            Operation::RevokeOne(_, id) | Operation::Remove(id) if report.ended => known(id).into_iter().collect(),
            _ => Vec::new(),
        };
        for at in ended {
            let first = self.first(at);
            self.known[first].dead.get_or_insert_with(|| format!("{number} {operation:?} was answered"));
        }
    }

    /// Whether the session's live id still has the same owner.
    fn is_still(&self, at: usize, owner: Option<&Arc<str>>) -> bool {
        let session = self.first(at);
        let mut ids = (0..self.known.len()).filter(|at| self.first(*at) == session && self.is_live(*at));
        ids.all(|at| self.known[at].owner.as_ref() == owner)
    }

    /// The invariants that hold at every moment.
    pub(crate) fn check(&mut self) {
        if !self.wrong.is_empty() {
            return;
        }
        let mut living: BTreeMap<usize, usize> = BTreeMap::new();
        for at in 0..self.known.len() {
            let known = &self.known[at];
            if !known.is_handed_out {
                continue;
            }
            if let Some((number, told)) = self.failed.iter().find(|(number, _)| known.content.has(**number)) {
                return self.wrong.push(format!("{number} was told {told:?}, and it is in {}", known.name));
            }
            if !self.is_live(at) {
                continue;
            }
            if known.content.token.is_some_and(|token| self.given.contains(&token)) {
                return self.wrong.push(format!("{} has a token that was given away", known.name));
            }
            let session = self.first(at);
            if let Some(why) = &self.known[session].dead {
                return self.wrong.push(format!("{} is live, and {why}", known.name));
            }
            if let Some(other) = living.insert(session, at) {
                let (one, other) = (&known.name, &self.known[other].name);
                return self.wrong.push(format!("{one} and {other} are one session, and both live"));
            }
        }
    }
}
