//! One random schedule: visitors' requests, whose store calls are interleaved as the dice say.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use session_layer::{Clock, Error, Event, EventKind, Record, SessionId, SessionLayer, SessionStore};
use tokio::task::JoinHandle;

use crate::{
    dice::Dice,
    gate::{Fate, Gates},
    operation::Operation,
    site::{Layer, Reply, SetCookie, failed, id_of, visit},
    stores::Below,
    world::{Begun, World},
};

/// Visitors that begin with one anonymous session in common.
const VISITORS: usize = 4;
const MOST_REQUESTS: usize = 14;
const AT_ONCE: usize = 5;

/// How often each operation was answered with 200: a schedule in which nothing succeeds shows nothing.
pub(crate) type Answered = BTreeMap<&'static str, u64>;

/// A visitor's browser: answers can come to it late, or never.
#[derive(Default)]
struct Browser {
    cookie: Option<String>,
    inbox: Vec<SetCookie>,
}

struct UnderWay {
    begun: Begun,
    browser: usize,
    reply: JoinHandle<Reply>,
}

struct Moved {
    from: SessionId,
    to: SessionId,
    record: Arc<Record>,
    login: bool,
}

pub(crate) struct Schedule<'a> {
    dice: Dice,
    below: &'a Below,
    gates: Arc<Gates>,
    layer: Layer,
    clock: Clock,
    world: World,
    browsers: Vec<Browser>,
    under_way: Vec<UnderWay>,
    moved: Arc<Mutex<Vec<Moved>>>,
    owners: [&'static str; 2],
    left: usize,
    /// Answers can be lost on their way to the browser.
    loses_answers: bool,
    next: u32,
    /// How much the clock may be moved in all: less than a link lives.
    time: Duration,
    answered: &'a mut Answered,
}

/// What the dice decide.
enum Step {
    Begin,
    Release(usize),
    Deliver(usize),
    Land,
    Advance,
}

impl<'a> Schedule<'a> {
    /// Runs the schedule of this seed.
    ///
    /// # Errors
    ///
    /// What was wrong, and the trace.
    pub(crate) async fn run(below: &'a Below, seed: u64, answered: &'a mut Answered) -> Result<Vec<String>, String> {
        let mut schedule = Self::new(below, seed, answered).await;
        schedule.begin().await;
        schedule.go_on().await;
        let trace = schedule.gates.trace();
        match schedule.world.complaints() {
            [] => Ok(trace),
            complaints => Err(format!("{}\n\n{}", trace.join("\n"), complaints.join("\n"))),
        }
    }

    async fn new(below: &'a Below, seed: u64, answered: &'a mut Answered) -> Self {
        let gates = Gates::new(true);
        let clock = below.clock();
        let moved: Arc<Mutex<Vec<Moved>>> = Arc::default();
        let noted = Arc::clone(&moved);
        let builder = SessionLayer::builder(below.stack(&gates))
            .clock(clock.clone())
            // No schedule takes that long, so none depends on the machine.
            .retry_for(Duration::from_secs(24 * 3_600))
            .observe(move |event: &Event<'_>| {
                if let EventKind::Renewed { from, to, record, login, .. } = event.kind {
                    noted.lock().unwrap().push(Moved { from, to, record: Arc::clone(record), login });
                }
            });
        let layer = builder.on_failure(failed as fn(&Error) -> _).build().unwrap();
        Self {
            dice: Dice::new(seed),
            below,
            gates,
            layer,
            clock,
            world: World::default(),
            browsers: (0..VISITORS + 2).map(|_| Browser::default()).collect(),
            under_way: Vec::new(),
            moved,
            owners: below.owners(seed),
            left: 0,
            loses_answers: false,
            next: 1,
            time: Duration::from_secs(40 * 60),
            answered,
        }
    }

    /// One anonymous visitor with several browsers, and an owner with two sessions.
    async fn begin(&mut self) {
        let mut visitor = None;
        for browser in 0..self.browsers.len() {
            let is_owner = browser >= VISITORS;
            if !is_owner && visitor.is_some() {
                self.browsers[browser].cookie.clone_from(&visitor);
                continue;
            }
            let operation = if is_owner { Operation::Login(self.owners[0]) } else { Operation::Update };
            self.send(browser, operation, false);
            self.gates.settle().await;
            self.after_a_step().await;
            self.deliver(browser, 0);
            visitor = self.browsers[browser].cookie.clone();
        }
        self.gates.open(false);
        self.loses_answers = true;
        self.left = 4 + self.dice.below(MOST_REQUESTS - 3);
    }

    async fn go_on(&mut self) {
        while let Some(step) = self.decide() {
            match step {
                Step::Begin => self.begin_request(),
                Step::Release(index) => self.release(index),
                Step::Deliver(browser) => {
                    let index = self.dice.below(self.browsers[browser].inbox.len());
                    self.deliver(browser, index);
                }
                Step::Land => {
                    let index = self.dice.below(self.gates.late());
                    self.gates.land(index).await;
                }
                Step::Advance => self.advance(),
            }
            self.gates.settle().await;
            self.after_a_step().await;
            if !self.world.complaints().is_empty() {
                return;
            }
        }
        for request in &self.under_way {
            self.gates.note(format!("{} is stuck", request.begun.number));
        }
        assert!(self.under_way.is_empty(), "a request is never answered:\n{}", self.gates.trace().join("\n"));
    }

    /// What happens next; `None` if nothing is left to happen.
    fn decide(&mut self) -> Option<Step> {
        let dice = &mut self.dice;
        let gates = self.gates.waiting(|tickets| {
            for ticket in tickets.iter_mut().filter(|ticket| ticket.weight == 0) {
                // Some calls take long, so that whole requests pass by.
                ticket.weight = if dice.percent(25) { 2 } else { 40 };
            }
            tickets.iter().map(|ticket| ticket.weight).collect::<Vec<_>>()
        });
        let can_begin = self.left > 0 && self.under_way.len() < AT_ONCE;
        let inboxes: Vec<_> = self.browsers.iter().map(|browser| 20 * browser.inbox.len()).collect();
        let is_busy = !gates.is_empty() || can_begin || self.gates.late() > 0;
        let can_advance = is_busy && self.clock.is_manual() && !self.time.is_zero();
        let others = [30 * usize::from(can_begin), 8 * self.gates.late(), usize::from(can_advance)];
        let weights = gates.iter().chain(&inboxes).chain(&others).copied();
        if weights.clone().sum::<usize>() == 0 {
            return None;
        }
        let index = self.dice.weighted(weights);
        Some(match index.checked_sub(gates.len()) {
            None => Step::Release(index),
            Some(index) => match index.checked_sub(inboxes.len()) {
                None => Step::Deliver(index),
                Some(0) => Step::Begin,
                Some(1) => Step::Land,
                Some(_) => Step::Advance,
            },
        })
    }

    fn begin_request(&mut self) {
        self.left -= 1;
        let browser = self.dice.below(self.browsers.len());
        let operation = self.draw();
        // A handler that carries on where its own change has failed: "nothing was bought", and 200.
        let carries_on = self.dice.percent(30);
        self.send(browser, operation, carries_on);
    }

    fn draw(&mut self) -> Operation {
        let owner = self.owners[self.dice.below(4) / 3];
        let ids = self.world.sessions();
        let id = ids[self.dice.below(ids.len())];
        let weights = [10, 10, 8, 5, 4, 8, 10, 10, 6, 8, 3, 5, 7, 4, 4, 3, 2, 2, 5];
        match self.dice.weighted(weights.into_iter()) {
            0 => Operation::Update,
            1 => Operation::UpdateNow,
            2 => Operation::ReadModifyWrite,
            3 => Operation::Set,
            4 => Operation::Save,
            5 => Operation::PutToken,
            6 => Operation::TakeToken,
            7 => Operation::Renew,
            8 => Operation::RenewAndUpdate,
            9 => Operation::Login(owner),
            10 => Operation::Own(owner),
            11 => Operation::Leave,
            12 => Operation::Destroy,
            13 => Operation::DestroyNow,
            14 => Operation::Revoke(owner),
            15 => Operation::RevokeOthers,
            16 => Operation::RevokeOne(owner, id),
            17 => Operation::Remove(id),
            _ => Operation::Read,
        }
    }

    fn send(&mut self, browser: usize, operation: Operation, carries_on: bool) {
        let number = self.next;
        self.next += 1;
        let cookie = self.browsers[browser].cookie.clone();
        let id = cookie.as_deref().map(id_of);
        let with = id.as_ref().map_or("no session".to_owned(), |id| self.gates.name(id));
        let carries = if carries_on { ", carries on" } else { "" };
        self.gates.note(format!("{number} begins: {} with {with}{carries}", self.described(&operation)));
        let begun = self.world.begin(number, operation.clone(), id);
        let reply = tokio::spawn(visit(self.layer.clone(), cookie, operation, number, carries_on));
        self.under_way.push(UnderWay { begun, browser, reply });
    }

    fn described(&self, operation: &Operation) -> String {
        match operation {
            Operation::RevokeOne(owner, id) => format!("RevokeOne({owner:?}, {})", self.gates.name(id)),
            Operation::Remove(id) => format!("Remove({})", self.gates.name(id)),
            other => format!("{other:?}"),
        }
    }

    fn release(&mut self, index: usize) {
        let (is_made, writes) = self.gates.waiting(|tickets| (tickets[index].is_made, tickets[index].writes));
        let fate = if is_made {
            Fate::Done
        } else if writes && self.dice.percent(15) {
            match self.dice.below(10) {
                0..5 => Fate::Lost,
                5..7 => Fate::Late,
                7 => Fate::Refused(session_layer::StoreErrorKind::OutcomeUnknown),
                _ => Fate::Refused(session_layer::StoreErrorKind::Unavailable),
            }
        } else if !writes && self.dice.percent(2) {
            Fate::Refused(session_layer::StoreErrorKind::Unavailable)
        } else {
            Fate::Done
        };
        self.gates.release(index, fate);
    }

    fn deliver(&mut self, browser: usize, index: usize) {
        let Browser { cookie, inbox } = &mut self.browsers[browser];
        match inbox.remove(index) {
            SetCookie::Nothing => {}
            SetCookie::Token(token) => {
                self.gates.note(format!("browser {browser} gets {}", self.gates.name(&id_of(&token))));
                *cookie = Some(token);
            }
            SetCookie::Removal => *cookie = None,
        }
    }

    fn advance(&mut self) {
        let longest = [1, 2_000, 8_000, 61_000][self.dice.below(4)];
        let by = Duration::from_millis(1 + self.dice.below(longest) as u64).min(self.time);
        self.time -= by;
        self.gates.note(format!("{by:?} pass"));
        self.clock.advance(by);
    }

    /// Looks at what the step has written, and at who was answered.
    async fn after_a_step(&mut self) {
        let (touched, mut epochs) = self.gates.take_touched();
        for id in touched {
            // What is damaged is not part of this test.
            let stored = self.below.seen.load(&id).await.unwrap();
            let gates = Arc::clone(&self.gates);
            epochs |= self.world.observe(&id, stored.as_ref(), |id| gates.name(id));
        }
        if epochs {
            let mut present = Vec::new();
            for owner in self.owners {
                present.push((owner, self.below.seen.owner_epoch(owner).await.unwrap()));
            }
            self.world.epochs(present);
        }
        for Moved { from, to, record, login } in std::mem::take(&mut *self.moved.lock().unwrap()) {
            self.world.renewed(&from, &to, &record, login);
        }
        while let Some(index) = self.under_way.iter().position(|request| request.reply.is_finished()) {
            let UnderWay { begun, browser, reply } = self.under_way.remove(index);
            let reply = reply.await.unwrap();
            self.answered(&begun, browser, &reply);
        }
        self.world.check();
    }

    fn answered(&mut self, begun: &Begun, browser: usize, reply: &Reply) {
        let Reply { status, cookie, report } = reply;
        let cookie_of = match cookie {
            SetCookie::Nothing => String::new(),
            SetCookie::Token(token) => format!(", cookie {}", self.gates.name(&id_of(token))),
            SetCookie::Removal => ", cookie removed".to_owned(),
        };
        let saw = report.saw.as_ref().map_or("nothing".to_owned(), |id| self.gates.name(id));
        let line = format!("{} answers {status}: saw {saw}, {:?}{cookie_of}", begun.number, report.told);
        self.gates.note(line);
        self.world.end(begun, reply);
        if *status == 200 {
            *self.answered.entry(begun.operation.name()).or_default() += 1;
        }
        if *cookie != SetCookie::Nothing && !(self.loses_answers && self.dice.percent(2)) {
            self.browsers[browser].inbox.push(cookie.clone());
        }
    }
}
