//! A layer over gates. After every call, the effect of its requests on the store is checked.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use session_layer::{Event, EventKind, SessionId, SessionLayer, SessionStore, record::Record};
use tokio::task::JoinHandle;

use crate::{
    gate::Gates,
    operation::Operation,
    site::{Layer, Reply, SetCookie, failed, id_of, visit},
    stores::Below,
    world::{Begun, World},
};

struct Moved {
    from: SessionId,
    to: SessionId,
    record: Arc<Record>,
    login: bool,
}

/// A request that is not answered yet, and its browser.
struct UnderWay {
    begun: Begun,
    browser: usize,
    reply: JoinHandle<Reply>,
}

/// An answered request.
pub(crate) struct Answered {
    pub(crate) begun: Begun,
    pub(crate) browser: usize,
    pub(crate) reply: Reply,
}

pub(crate) struct Watch<'a> {
    below: &'a Below,
    pub(crate) gates: Arc<Gates>,
    pub(crate) world: World,
    layer: Layer,
    owners: [&'static str; 2],
    moved: Arc<Mutex<Vec<Moved>>>,
    under_way: Vec<UnderWay>,
    next: u32,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(below: &'a Below, stops_twice: bool, owners: [&'static str; 2]) -> Self {
        let gates = Gates::new(stops_twice);
        let moved: Arc<Mutex<Vec<Moved>>> = Arc::default();
        let noted = Arc::clone(&moved);
        let builder = SessionLayer::builder(below.stack(&gates))
            .clock(below.clock())
            // No schedule takes that long, so none depends on the machine.
            .retry_for(Duration::from_secs(24 * 3_600))
            .observe(move |event: &Event<'_>| {
                if let EventKind::Renewed { from, to, record, login, .. } = event.kind {
                    noted.lock().unwrap().push(Moved { from, to, record: Arc::clone(record), login });
                }
            });
        let layer = builder.error_response(failed).build().unwrap();
        let under_way = Vec::new();
        Self { below, gates, world: World::default(), layer, owners, moved, under_way, next: 1 }
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Begins a request.
    pub(crate) fn send(&mut self, browser: usize, cookie: Option<String>, operation: Operation, carries_on: bool) {
        let number = self.next;
        self.next += 1;
        let id = cookie.as_deref().map(id_of);
        let with = id.as_ref().map_or("no session".to_owned(), |id| self.gates.name(id));
        let carries = if carries_on { ", carries on" } else { "" };
        self.gates.note(format!("{number} begins: {} with {with}{carries}", self.described(&operation)));
        let begun = self.world.begin(number, operation.clone(), id);
        let reply = tokio::spawn(visit(self.layer.clone(), cookie, operation, number, carries_on));
        self.under_way.push(UnderWay { begun, browser, reply });
    }

    /// Sends a request while no call stops, and waits for its answer.
    pub(crate) async fn visit(&mut self, cookie: Option<String>, operation: Operation) -> Reply {
        self.send(0, cookie, operation, false);
        let mut answered = self.step().await;
        assert_eq!((answered.len(), self.under_way.len()), (1, 0), "nothing else is under way");
        answered.remove(0).reply
    }

    fn described(&self, operation: &Operation) -> String {
        match operation {
            Operation::RevokeOne(owner, id) => format!("RevokeOne({owner:?}, {})", self.gates.name(id)),
            Operation::Remove(id) => format!("Remove({})", self.gates.name(id)),
            other => format!("{other:?}"),
        }
    }

    /// Lets everything run to the next gate, and checks new writes and answers.
    pub(crate) async fn step(&mut self) -> Vec<Answered> {
        self.gates.settle().await;
        let (touched, mut epochs) = self.gates.take_touched();
        for id in touched {
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
        let mut answered = Vec::new();
        while let Some(index) = self.under_way.iter().position(|request| request.reply.is_finished()) {
            let UnderWay { begun, browser, reply } = self.under_way.remove(index);
            let reply = reply.await.unwrap();
            self.note(&begun, &reply);
            self.world.end(&begun, &reply);
            answered.push(Answered { begun, browser, reply });
        }
        self.world.check();
        answered
    }

    fn note(&self, begun: &Begun, reply: &Reply) {
        let Reply { status, cookie, report } = reply;
        let cookie = match cookie {
            SetCookie::Nothing => String::new(),
            SetCookie::Token(token) => format!(", cookie {}", self.gates.name(&id_of(token))),
            SetCookie::Removal => ", cookie removed".to_owned(),
        };
        let saw = report.saw.as_ref().map_or("nothing".to_owned(), |id| self.gates.name(id));
        self.gates.note(format!("{} answers {status}: saw {saw}, {:?}{cookie}", begun.number, report.told));
    }

    /// Returns the trace.
    ///
    /// # Errors
    ///
    /// The violations with the trace, if there are any.
    pub(crate) fn verdict(&self) -> Result<Vec<String>, String> {
        let trace = self.gates.trace();
        match self.world.complaints() {
            [] => Ok(trace),
            complaints => Err(format!("{}\n\n{}", trace.join("\n"), complaints.join("\n"))),
        }
    }
}
