//! Small models over the real code. Every interleaving of store calls is run, and each of them with every single answer
//! lost.
//!
//! `world` has the invariants, among them: after an end that was answered with success nothing is alive, and of one
//! session at most one id is live. This file has the conditions on the answers of each model, and a minimum number of
//! schedules: fewer mean that the search has shrunk. (A commit that makes fewer calls may lower them.)

use session_layer::{ErrorKind, SessionId, SessionStore};

use crate::{
    gate::Fate,
    operation::{Operation as Op, Told},
    random::runtime,
    search::Search,
    site::{Reply, SetCookie, id_of},
    stores::{Base, Below, Kind, Wrapper},
    watch::Watch,
};

const OWNERS: [&str; 2] = ["bob", "ann"];

/// More schedules than this take too long.
const MOST_RUNS: usize = 100_000;

/// The requests' cookies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    Nothing,
    /// The session's cookie.
    Cookie,
    /// The cookie from before a renewal.
    OldCookie,
}

/// Requests that begin at once. If one ends a session by its id, the session's id is filled in.
struct Model {
    /// The requests that create the session, one after another.
    before: &'static [Op],
    requests: Vec<(With, Op)>,
    /// One answer is lost in some of the schedules.
    loses: bool,
    is_bare: bool,
}

/// The end of a schedule.
struct End {
    replies: Vec<Reply>,
    /// Later requests with the first cookie, and with each cookie that was handed out.
    after: Vec<Reply>,
    has_lost: bool,
}

impl End {
    fn statuses(&self) -> Vec<u16> {
        self.replies.iter().map(|reply| reply.status).collect()
    }

    fn cookies(&self) -> usize {
        self.replies.iter().filter(|reply| matches!(reply.cookie, SetCookie::Token(_))).count()
    }

    /// How many of the later requests see a session.
    fn seen(&self) -> usize {
        self.after.iter().filter(|reply| reply.report.saw.is_some()).count()
    }
}

/// Runs all schedules, and returns how many there are.
fn explore(model: &Model, check: impl Fn(&End)) -> usize {
    let kind = Kind { base: Base::Memory, wrapper: Wrapper::Plain, is_bare: model.is_bare };
    let mut search = Search::default();
    runtime(Base::Memory).block_on(async {
        let below = Below::open(kind).await;
        loop {
            run(model, &below, &mut search, &check).await;
            if !search.next() {
                break;
            }
            assert!(search.runs < MOST_RUNS, "the model is too large: {}", search.runs);
        }
    });
    search.runs
}

async fn run(model: &Model, below: &Below, search: &mut Search, check: &impl Fn(&End)) {
    let mut watch = Watch::new(below, false, OWNERS);
    let (mut old, mut cookie) = (None, None);
    for operation in model.before {
        let reply = watch.visit(cookie.clone(), operation.clone()).await;
        assert_eq!(reply.status, 200);
        if let SetCookie::Token(token) = reply.cookie {
            old = cookie.replace(token);
        }
    }
    watch.gates.open(false);
    let first = id_of(cookie.as_deref().unwrap());
    for (index, (with, operation)) in model.requests.iter().enumerate() {
        let cookie = match with {
            Nothing => None,
            Cookie => cookie.clone(),
            OldCookie => old.clone(),
        };
        let operation = match operation {
            Op::RevokeOne(owner, _) => Op::RevokeOne(owner, first),
            Op::Remove(_) => Op::Remove(first),
            other => other.clone(),
        };
        watch.send(index, cookie, operation, false);
    }
    let mut replies: Vec<Option<Reply>> = vec![None; model.requests.len()];
    let mut has_lost = false;
    loop {
        for answered in watch.step().await {
            replies[answered.browser] = Some(answered.reply);
        }
        let writes: Vec<_> = watch.gates.waiting(|tickets| tickets.iter().map(|ticket| ticket.writes).collect());
        if writes.is_empty() {
            break;
        }
        let index = search.choose(writes.len());
        let is_lost = model.loses && !has_lost && writes[index] && search.choose(2) == 1;
        has_lost |= is_lost;
        watch.gates.release(index, if is_lost { Fate::Lost } else { Fate::Done });
    }
    assert_eq!(watch.under_way(), 0, "a request is never answered:\n{}", watch.gates.trace().join("\n"));
    watch.gates.open(true);
    let replies: Vec<_> = replies.into_iter().flatten().collect();
    let handed_out = replies.iter().filter_map(|reply| match &reply.cookie {
        SetCookie::Token(token) => Some(token.clone()),
        _ => None,
    });
    let mut after = Vec::new();
    for cookie in cookie.into_iter().chain(handed_out).collect::<Vec<_>>() {
        after.push(watch.visit(Some(cookie), Op::Read).await);
    }
    if let Err(wrong) = watch.verdict() {
        panic!("{wrong}");
    }
    // Removes the sessions and epochs of this run, which the next one would find. (Clearing the store takes longer.)
    for id in watch.world.ids().into_iter().chain(OWNERS.map(SessionId::for_epoch)) {
        below.seen.remove(&id).await.unwrap();
    }
    let end = End { replies, after, has_lost };
    let trace = || format!("{:?}\n{}", end.statuses(), watch.gates.trace().join("\n"));
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&end))) {
        eprintln!("{}", trace());
        std::panic::resume_unwind(panic);
    }
}

/// Runs the model with every answer, and with each single one lost, over the store's own `rename` and the provided one.
/// Returns the number of schedules.
fn explore_all(before: &'static [Op], requests: &[(With, Op)], check: impl Fn(&End)) -> usize {
    let models = [(false, false), (false, true), (true, false), (true, true)];
    let runs = models.map(|(is_bare, loses)| {
        let model = Model { before, requests: requests.to_vec(), loses, is_bare };
        explore(&model, &check)
    });
    runs.iter().sum()
}

/// The same with no answer lost, for requests with many calls.
fn explore_with_all_answers(before: &'static [Op], requests: &[(With, Op)], check: impl Fn(&End)) -> usize {
    let runs = [false, true]
        .map(|is_bare| explore(&Model { before, requests: requests.to_vec(), loses: false, is_bare }, &check));
    runs.iter().sum()
}

const ANONYMOUS: &[Op] = &[Op::Update];
const RENEWED: &[Op] = &[Op::Update, Op::Renew];
const BOBS: &[Op] = &[Op::Login("bob")];

use With::{Cookie, Nothing, OldCookie};

fn is_unknown(reply: &Reply) -> bool {
    reply.status == 503 && reply.report.told == Told::Unknown
}

/// Asserts that the end is answered with success, or, if an answer was lost, with 503, and that nothing is alive
/// afterwards.
fn ended(end: &End, index: usize) {
    let reply = &end.replies[index];
    assert!(reply.status == 200 || (end.has_lost && is_unknown(reply)), "{}: {:?}", reply.status, reply.report.told);
}

#[test]
fn an_end_beside_a_renewal_leaves_nothing_alive() {
    for end in [Op::Destroy, Op::DestroyNow] {
        let runs = explore_all(ANONYMOUS, &[(Cookie, end), (Cookie, Op::Renew)], |end| {
            ended(end, 0);
            if end.replies[0].status == 200 {
                assert_eq!(end.seen(), 0);
            }
        });
        assert!(runs >= 355, "{runs}");
    }
}

#[test]
fn an_end_beside_a_renewal_and_an_update_leaves_nothing_alive() {
    let requests = [(Cookie, Op::Destroy), (Cookie, Op::Renew), (Cookie, Op::Update)];
    let model = Model { before: ANONYMOUS, requests: requests.to_vec(), loses: false, is_bare: false };
    // An update that comes after the end begins a session.
    let runs = explore(&model, |end| ended(end, 0));
    assert!(runs >= 311, "{runs}");
}

#[test]
fn of_two_renewals_one_hands_out_the_token_and_both_lead_to_the_session() {
    let runs = explore_all(ANONYMOUS, &[(Cookie, Op::RenewAndUpdate), (Cookie, Op::RenewAndUpdate)], |end| {
        if !end.has_lost {
            assert_eq!(end.statuses(), [200, 200]);
            assert!((1..=2).contains(&end.cookies()));
        }
        assert_eq!(end.seen(), end.after.len(), "nobody is logged out");
        let ids: std::collections::BTreeSet<_> = end.after.iter().map(|reply| reply.report.saw).collect();
        assert_eq!(ids.len(), 1, "there is one session");
    });
    assert!(runs >= 1_020, "{runs}");
}

#[test]
fn a_login_beside_a_renewal_ends_the_session_before() {
    let runs = explore_all(ANONYMOUS, &[(Cookie, Op::Renew), (Cookie, Op::Login("bob"))], |end| {
        ended(end, 1);
        let renewal = &end.replies[0];
        assert!(matches!(renewal.status, 200 | 409) || (end.has_lost && is_unknown(renewal)), "{}", renewal.status);
    });
    assert!(runs >= 3_245, "{runs}");
}

#[test]
fn a_logout_with_the_old_token_beside_a_renewal_leaves_nothing_alive() {
    let runs = explore_all(RENEWED, &[(OldCookie, Op::Destroy), (Cookie, Op::Renew)], |end| {
        ended(end, 0);
        if end.replies[0].status == 200 {
            assert_eq!(end.seen(), 0);
        }
    });
    assert!(runs >= 802, "{runs}");
}

#[test]
fn a_login_with_the_old_token_beside_a_renewal_ends_the_session_before() {
    let runs = explore_all(RENEWED, &[(OldCookie, Op::Login("bob")), (Cookie, Op::Renew)], |end| ended(end, 0));
    assert!(runs >= 5_212, "{runs}");
}

#[test]
fn a_double_logout_does_not_fail() {
    for (first, second) in [(Op::Destroy, Op::Destroy), (Op::DestroyNow, Op::Destroy)] {
        let runs = explore_all(ANONYMOUS, &[(Cookie, first), (Cookie, second)], |end| {
            ended(end, 0);
            ended(end, 1);
        });
        assert!(runs >= 160, "{runs}");
    }
    let runs = explore_all(RENEWED, &[(Cookie, Op::Destroy), (OldCookie, Op::Destroy)], |end| {
        ended(end, 0);
        ended(end, 1);
    });
    assert!(runs >= 100, "{runs}");
}

#[test]
fn a_revocation_beside_a_renewal_leaves_nothing_alive() {
    // The model knows its session's id; this one stands in for it.
    let id = SessionId::for_epoch("bob");
    for end in [Op::Revoke("bob"), Op::RevokeOne("bob", id), Op::Remove(id)] {
        let runs = explore_all(BOBS, &[(Nothing, end), (Cookie, Op::RenewAndUpdate)], |end| {
            ended(end, 0);
            if end.replies[0].status == 200 && end.replies[0].report.ended {
                // A renewal of an ended session puts its request's changes into a new session.
                assert!(end.after.iter().all(|reply| reply.report.owner.is_none()));
            }
        });
        assert!(runs >= 700, "{runs}");
    }
}

/// A session removed from its owner begins anew, so nothing of the owner's is left in it.
#[test]
fn a_revocation_beside_a_change_of_owner_leaves_nothing_of_the_owner() {
    for change in [Op::Leave, Op::Own("ann"), Op::Login("ann")] {
        let runs = explore_all(BOBS, &[(Nothing, Op::Revoke("bob")), (Cookie, change)], |end| {
            ended(end, 0);
            if end.replies[0].status == 200 {
                // The first request's number, which was written when Bob logged in.
                assert!(end.after.iter().all(|reply| !reply.report.content.log.contains(&1)));
            }
        });
        assert!(runs >= 350, "{runs}");
    }
}

#[test]
fn revoking_the_others_beside_a_renewal_keeps_the_own_session() {
    let runs = explore_with_all_answers(BOBS, &[(Cookie, Op::RevokeOthers), (Cookie, Op::Update)], |end| {
        assert_eq!(end.replies[0].status, 200);
        assert!(end.replies[0].report.ended);
        // An update that is loaded while the kept session is revoked begins another one, and ends the kept one: the
        // browser has one token.
        assert_eq!(end.seen(), 1);
    });
    assert!(runs >= 100, "{runs}");
}

#[test]
fn a_logout_beside_the_revocation_of_the_others_leaves_nothing_alive() {
    let runs = explore_with_all_answers(BOBS, &[(Cookie, Op::RevokeOthers), (Cookie, Op::Destroy)], |end| {
        ended(end, 1);
        assert_eq!(end.seen(), 0);
    });
    assert!(runs >= 226, "{runs}");
}

#[test]
fn a_value_is_taken_at_most_once() {
    const WITH_A_TOKEN: &[Op] = &[Op::PutToken];
    let runs = explore_all(WITH_A_TOKEN, &[(Cookie, Op::TakeToken), (Cookie, Op::TakeToken)], |end| {
        let taken = end.replies.iter().filter(|reply| reply.report.taken.is_some()).count();
        assert!(taken == 1 || (end.has_lost && taken == 0), "{taken}");
        if !end.has_lost {
            assert_eq!(end.statuses(), [200, 200]);
        }
    });
    assert!(runs >= 56, "{runs}");
    let runs = explore_all(WITH_A_TOKEN, &[(Cookie, Op::TakeToken), (Cookie, Op::RenewAndUpdate)], |end| {
        assert!(end.has_lost || end.replies[0].report.taken == Some(1));
    });
    assert!(runs >= 100, "{runs}");
}

#[test]
fn no_update_is_lost_beside_another_or_a_login() {
    for other in [Op::Update, Op::UpdateNow, Op::Login("bob")] {
        let runs = explore_all(ANONYMOUS, &[(Cookie, Op::UpdateNow), (Cookie, other.clone())], |end| {
            let told = end.replies[0].report.told;
            let late = matches!(told, Told::Failed(ErrorKind::Superseded)) && matches!(other, Op::Login(_));
            assert!(told == Told::Done || late || (end.has_lost && told == Told::Unknown), "{told:?}");
        });
        assert!(runs >= 80, "{runs}");
    }
    let runs = explore_all(ANONYMOUS, &[(Cookie, Op::ReadModifyWrite), (Cookie, Op::ReadModifyWrite)], |end| {
        assert!(end.statuses().contains(&200) || end.has_lost, "one of two is first");
    });
    assert!(runs >= 40, "{runs}");
}
