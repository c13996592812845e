//! Runs two futures at once, in every way that the kit knows.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

/// The numbers of polls after which a future is held back or dropped: they cover every await point of a short
/// operation.
pub(super) const POLLS: std::ops::RangeInclusive<usize> = 0..=6;

/// How long to wait for a future that nothing wakes.
const MOMENT: Duration = Duration::from_millis(5);

/// How many moments an overtaking future gets before the held one may go on, since the held one may hold what the other
/// waits for.
const MOMENTS: usize = 10;

/// How two racing futures meet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// On two threads, from one starting line. The number varies which of the two is slightly ahead, and by how much.
    Threads(usize),
    /// The first is polled this many times, then the second runs to its end, then the first does.
    FirstHeld(usize),
    /// The same with the roles swapped.
    SecondHeld(usize),
}

impl Way {
    /// Every way; the ones with threads `rounds` times.
    pub(super) fn all(rounds: u32) -> impl Iterator<Item = Self> {
        let threads = (0..rounds).map(|round| Self::Threads(usize::try_from(round).unwrap_or(0)));
        POLLS.map(Self::FirstHeld).chain(POLLS.map(Self::SecondHeld)).chain(threads)
    }

    /// Runs both to completion.
    pub(super) async fn run<A, B>(
        self,
        first: impl Future<Output = A> + Send + 'static,
        second: impl Future<Output = B> + Send + 'static,
    ) -> (A, B)
    where
        A: Send + 'static,
        B: Send + 'static,
    {
        match self {
            Self::Threads(round) => threads(round, first, second).await,
            Self::FirstHeld(polls) => overtaken(polls, first, second).await,
            Self::SecondHeld(polls) => {
                let (second, first) = overtaken(polls, second, first).await;
                (first, second)
            }
        }
    }
}

/// The moment at which a future is dropped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    /// After this many polls. After zero polls, it has not begun.
    Polls(usize),
    /// By aborting its task from another thread. The number varies the moment.
    Abort(usize),
}

impl Cut {
    /// Every way; the aborts `rounds` times.
    pub(super) fn all(rounds: u32) -> impl Iterator<Item = Self> {
        let aborts = (0..rounds).map(|round| Self::Abort(usize::try_from(round).unwrap_or(0)));
        POLLS.map(Self::Polls).chain(aborts)
    }

    /// Starts the future and drops it.
    pub(super) async fn run<F>(self, future: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match self {
            Self::Polls(polls) => {
                poll_times(polls, &mut Box::pin(future)).await;
            }
            Self::Abort(round) => {
                let line = Arc::new(AtomicUsize::new(0));
                let task = tokio::spawn(started(Arc::clone(&line), 0, future));
                started(line, round % 32 * 50, async { task.abort() }).await;
                // Cancelled, or completed before the abort.
                if let Err(error) = task.await
                    && let Ok(panic) = error.try_into_panic()
                {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

/// Polls this many times: again when the future is woken, or after a moment if it waits for something else.
async fn poll_times<F: Future>(polls: usize, future: &mut Pin<Box<F>>) -> Option<F::Output> {
    for poll in 0..polls {
        if poll > 0 {
            woken_or(MOMENT).await;
        }
        if let Poll::Ready(output) = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
            return Some(output);
        }
    }
    None
}

/// Waits until something that was polled in this task wakes it, for at most this long.
async fn woken_or(at_most: Duration) {
    let mut asleep = false;
    let woken = poll_fn(|_| if std::mem::replace(&mut asleep, true) { Poll::Ready(()) } else { Poll::Pending });
    // It doesn't matter which of the two ends the wait.
    let _ = tokio::time::timeout(at_most, woken).await;
}

async fn overtaken<A: Future, B: Future>(polls: usize, first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    if let Some(output) = poll_times(polls, &mut first).await {
        return (output, second.await);
    }
    // Counted in moments, so that a machine that stalls for a while doesn't cut the overtaking short.
    for _ in 0..MOMENTS {
        if let Ok(output) = tokio::time::timeout(MOMENT, &mut second).await {
            return (first.await, output);
        }
    }
    both(first, second).await
}

async fn both<A: Future, B: Future>(mut first: Pin<Box<A>>, mut second: Pin<Box<B>>) -> (A::Output, B::Output) {
    let (mut a, mut b) = (None, None);
    poll_fn(move |context| {
        if a.is_none()
            && let Poll::Ready(output) = first.as_mut().poll(context)
        {
            a = Some(output);
        }
        if b.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(context)
        {
            b = Some(output);
        }
        match (a.take(), b.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            (first, second) => {
                (a, b) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

async fn threads<A, B>(
    round: usize,
    first: impl Future<Output = A> + Send + 'static,
    second: impl Future<Output = B> + Send + 'static,
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
{
    // One of the two gets a head start of up to 15 steps, since races have their windows at different distances.
    let (ahead, behind) = (0, round / 2 % 16 * 20);
    let (delay_first, delay_second) = if round.is_multiple_of(2) { (ahead, behind) } else { (behind, ahead) };
    let line = Arc::new(AtomicUsize::new(0));
    let second = tokio::spawn(started(Arc::clone(&line), delay_second, second));
    let first = tokio::spawn(started(line, delay_first, first));
    (joined(first).await, joined(second).await)
}

/// Waits at the line until both have arrived. It spins, since a waker would let one run before the other is awake.
async fn started<F: Future>(line: Arc<AtomicUsize>, delay: usize, future: F) -> F::Output {
    line.fetch_add(1, Ordering::SeqCst);
    while line.load(Ordering::SeqCst) < 2 {
        for _ in 0..1_000 {
            std::hint::spin_loop();
        }
        tokio::task::yield_now().await;
    }
    for _ in 0..delay {
        std::hint::spin_loop();
    }
    future.await
}

/// Returns the task's output, or resumes its panic.
pub(super) async fn joined<T>(task: tokio::task::JoinHandle<T>) -> T {
    match task.await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => unreachable!("the task is never aborted: {error}"),
        },
    }
}
