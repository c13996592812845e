//! One request's way out.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::{
    FailureAnswer, SessionHandle,
    headers::{self, Given},
};
use crate::{
    error::Result as SessionResult,
    events::EventKind,
    session::{Answer, Due, Polling, ResponseHead, to_its_end},
};

pin_project! {
    /// The future of a [`SessionService`](super::SessionService): the inner one, then the commit.
    ///
    /// Only a commit is boxed.
    pub struct ResponseFuture<F, T, R> {
        #[pin]
        stage: Stage<F, T>,
        in_flight: InFlight,
        answer: R,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, T> {
        Handler { #[pin] future: F },
        // With the handler's answer.
        Commit { future: Pin<Box<dyn Future<Output = SessionResult<()>> + Send>>, output: Option<T> },
    }
}

/// The session of a request that is not answered yet. Dropped with it, it keeps what `destroy` was asked for.
struct InFlight {
    handle: Option<SessionHandle>,
    /// A commit has begun that runs to its end by itself.
    runs_on: bool,
}

impl<F, T, R> ResponseFuture<F, T, R> {
    pub(super) fn new(future: F, handle: Option<SessionHandle>, answer: R) -> Self {
        Self { stage: Stage::Handler { future }, in_flight: InFlight { handle, runs_on: false }, answer }
    }
}

impl<F, B, E, R> Future for ResponseFuture<F, Result<Response<B>, E>, R>
where
    F: Future<Output = Result<Response<B>, E>>,
    R: FailureAnswer<B>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Handler { future } => {
                    let Some(handle) = &this.in_flight.handle else { return future.poll(cx) };
                    let polling = Polling::begin(&handle.shared);
                    let output = ready!(future.poll(cx));
                    drop(polling);
                    let saves = output.as_ref().is_ok_and(|response| {
                        handle.settings().save_if.allows(&ResponseHead {
                            status: response.status(),
                            headers: response.headers(),
                            extensions: response.extensions(),
                        })
                    });
                    match handle.shared.answered(saves) {
                        Due::Untouched => {
                            this.in_flight.handle = None;
                            return Poll::Ready(output);
                        }
                        Due::Clean => return Poll::Ready(this.in_flight.answered(output)),
                        Due::EndTurn => {
                            let shared = Arc::clone(&handle.shared);
                            let future = Box::pin(async move {
                                shared.end_turn().await;
                                Ok(())
                            });
                            this.stage.set(Stage::Commit { future, output: Some(output) });
                        }
                        Due::Commit { to_its_end: whole } => {
                            let shared = Arc::clone(&handle.shared);
                            let commit = async move { shared.last_commit().await };
                            let future: Pin<Box<dyn Future<Output = _> + Send>> =
                                if whole { Box::pin(to_its_end(commit)) } else { Box::pin(commit) };
                            this.in_flight.runs_on = whole;
                            this.stage.set(Stage::Commit { future, output: Some(output) });
                        }
                    }
                }
                StageProjection::Commit { future, output } => {
                    let outcome = ready!(future.as_mut().poll(cx));
                    let Some(mut output) = output.take() else { panic!("polled after completion") };
                    if let (Err(error), Ok(response)) = (&outcome, &mut output) {
                        let given = Given::take(response);
                        *response = this.answer.answer(error);
                        given.give(response);
                    }
                    return Poll::Ready(this.in_flight.answered(output));
                }
            }
        }
    }
}

impl InFlight {
    /// The output with what it says of the session. An error of the inner service has no headers to say it in.
    fn answered<B, E>(&mut self, mut output: Result<Response<B>, E>) -> Result<Response<B>, E> {
        if let (Some(handle), Ok(response)) = (self.handle.take(), &mut output) {
            let answer: Answer = handle.shared.take_answer();
            let (settings, status) = (handle.settings(), response.status());
            if answer.over_http && answer.cookie.is_some() && settings.cookie.reports_insecure() {
                handle.context().emit(EventKind::SecureCookieOverHttp { cookie: settings.cookie.name() });
            }
            if headers::apply(settings, &answer, status, response.headers_mut()) && handle.is_nested() {
                Given::note(response);
            }
        }
        output
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // The client has gone while its request was under way: a logout is carried out all the same.
        if let Some(handle) = self.handle.take()
            && !self.runs_on
        {
            handle.shared.abandon();
        }
    }
}

impl<F, T, R> fmt::Debug for ResponseFuture<F, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Handler { .. } => "handler",
            Stage::Commit { .. } => "commit",
        };
        f.debug_struct("ResponseFuture").field("stage", &stage).finish_non_exhaustive()
    }
}
