//! One random schedule: visitors' requests, whose store calls are interleaved at random.

use std::{collections::BTreeMap, time::Duration};

use session_layer::{Clock, store::StoreErrorKind};

use crate::{
    dice::Dice,
    gate::Fate,
    operation::Operation,
    site::{SetCookie, id_of},
    stores::Below,
    watch::{Answered, Watch},
};

/// Visitors that begin with one common anonymous session.
const VISITORS: usize = 4;
/// Browsers of one owner, each with its own session.
const OWNED: usize = 2;
const MOST_REQUESTS: usize = 14;
const AT_ONCE: usize = 5;

/// How often each operation was answered with 200. A schedule without successes shows nothing.
pub(crate) type Successes = BTreeMap<&'static str, u64>;

/// A visitor's browser. Answers can arrive late or never.
#[derive(Default)]
struct Browser {
    cookie: Option<String>,
    inbox: Vec<SetCookie>,
}

pub(crate) struct Schedule<'a> {
    dice: Dice,
    watch: Watch<'a>,
    clock: Clock,
    browsers: Vec<Browser>,
    owners: [&'static str; 2],
    /// The number of requests still to begin.
    left: usize,
    /// Answers can be lost on their way to the browser.
    loses_answers: bool,
    /// How far the clock may move in all: less than the life of a renewal's forward.
    time: Duration,
    successes: &'a mut Successes,
}

/// A random step.
enum Step {
    Begin,
    Release(usize),
    Deliver(usize),
    Land,
    Advance,
}

impl<'a> Schedule<'a> {
    /// Runs the schedule of this seed, and returns its trace.
    ///
    /// # Errors
    ///
    /// The violation, with the trace.
    pub(crate) async fn run(below: &'a Below, seed: u64, successes: &'a mut Successes) -> Result<Vec<String>, String> {
        let owners = below.owners(seed);
        let mut schedule = Self {
            dice: Dice::new(seed),
            watch: Watch::new(below, true, owners),
            clock: below.clock(),
            browsers: (0..VISITORS + OWNED).map(|_| Browser::default()).collect(),
            owners,
            left: 0,
            loses_answers: false,
            time: Duration::from_secs(40 * 60),
            successes,
        };
        schedule.begin().await;
        schedule.go_on().await;
        schedule.watch.verdict()
    }

    /// One anonymous visitor with several browsers, and an owner with several sessions.
    async fn begin(&mut self) {
        for browser in 0..self.browsers.len() {
            if (1..VISITORS).contains(&browser) {
                self.browsers[browser].cookie = self.browsers[0].cookie.clone();
                continue;
            }
            let operation = if browser < VISITORS { Operation::Update } else { Operation::Login(self.owners[0]) };
            self.watch.send(browser, None, operation, false);
            self.step().await;
            self.deliver(browser, 0);
        }
        self.watch.gates.open(false);
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
                    let index = self.dice.below(self.watch.gates.late());
                    self.watch.gates.land(index).await;
                }
                Step::Advance => self.advance(),
            }
            self.step().await;
            if !self.watch.world.complaints().is_empty() {
                return;
            }
        }
        let trace = || self.watch.gates.trace().join("\n");
        assert_eq!(self.watch.under_way(), 0, "a request is never answered:\n{}", trace());
    }

    /// Returns the next step, or `None` if none is left.
    fn decide(&mut self) -> Option<Step> {
        let (dice, gates) = (&mut self.dice, &self.watch.gates);
        let calls = gates.waiting(|tickets| {
            for ticket in tickets.iter_mut().filter(|ticket| ticket.weight == 0) {
                // Some calls take so long that whole requests overtake them.
                ticket.weight = if dice.percent(25) { 2 } else { 40 };
            }
            tickets.iter().map(|ticket| ticket.weight).collect::<Vec<_>>()
        });
        let inboxes: Vec<_> = self.browsers.iter().map(|browser| 20 * browser.inbox.len()).collect();
        let can_begin = self.left > 0 && self.watch.under_way() < AT_ONCE;
        let is_busy = !calls.is_empty() || can_begin || gates.late() > 0;
        let can_advance = is_busy && self.clock.is_manual() && !self.time.is_zero();
        let others = [30 * usize::from(can_begin), 8 * gates.late(), usize::from(can_advance)];
        let weights = calls.iter().chain(&inboxes).chain(&others).copied();
        if weights.clone().sum::<usize>() == 0 {
            return None;
        }
        let index = dice.weighted(weights);
        Some(match index.checked_sub(calls.len()) {
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
        // A handler that continues after its own change has failed, and answers 200.
        let carries_on = self.dice.percent(30);
        self.watch.send(browser, self.browsers[browser].cookie.clone(), operation, carries_on);
    }

    fn draw(&mut self) -> Operation {
        let owner = self.owners[self.dice.below(4) / 3];
        let ids = self.watch.world.sessions();
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

    fn release(&mut self, index: usize) {
        let (is_made, writes) = self.watch.gates.waiting(|tickets| (tickets[index].is_made, tickets[index].writes));
        let dice = &mut self.dice;
        let fate = if is_made {
            Fate::Done
        } else if writes && dice.percent(15) {
            match dice.below(10) {
                0..5 => Fate::Lost,
                5..7 => Fate::Late,
                7 => Fate::Refused(StoreErrorKind::OutcomeUnknown),
                _ => Fate::Refused(StoreErrorKind::Unavailable),
            }
        } else if !writes && dice.percent(2) {
            Fate::Refused(StoreErrorKind::Unavailable)
        } else {
            Fate::Done
        };
        self.watch.gates.release(index, fate);
    }

    fn deliver(&mut self, browser: usize, index: usize) {
        let Browser { cookie, inbox } = &mut self.browsers[browser];
        match inbox.remove(index) {
            SetCookie::Nothing => {}
            SetCookie::Token(token) => {
                let gates = &self.watch.gates;
                gates.note(format!("browser {browser} gets {}", gates.name(&id_of(&token))));
                *cookie = Some(token);
            }
            SetCookie::Removal => *cookie = None,
        }
    }

    fn advance(&mut self) {
        let longest = [1, 2_000, 8_000, 61_000][self.dice.below(4)];
        let by = Duration::from_millis(1 + self.dice.below(longest) as u64).min(self.time);
        self.time -= by;
        self.watch.gates.note(format!("{by:?} pass"));
        self.clock.advance(by);
    }

    async fn step(&mut self) {
        for Answered { begun, browser, reply } in self.watch.step().await {
            if reply.status == 200 {
                *self.successes.entry(begun.operation.name()).or_default() += 1;
            }
            if reply.cookie != SetCookie::Nothing && !(self.loses_answers && self.dice.percent(2)) {
                self.browsers[browser].inbox.push(reply.cookie);
            }
        }
    }
}
