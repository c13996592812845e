//! The response future: polls the inner service, commits, and adds the session's headers.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::{
    ErrorResponse, SessionHandle,
    headers::{self, Given},
};
use crate::{
    error::Result as SessionResult,
    events::EventKind,
    session::{AtOnce, Due, Polling, ResponseHead},
};

pin_project! {
    /// The response future of a [`SessionService`](super::SessionService): polls the inner future, then commits.
    ///
    /// Only a commit, or the return of a lease, is boxed.
    pub struct ResponseFuture<F, T, R> {
        #[pin]
        stage: Stage<F, T>,
        in_flight: InFlight,
        error_response: R,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, T> {
        Handler { #[pin] future: F },
        // `output` is the handler's answer.
        Commit { future: Pin<Box<dyn Future<Output = SessionResult<()>> + Send>>, output: Option<T> },
        // The handler's future was dropped, as before a commit that waits.
        CommitAtOnce,
    }
}

/// The session of a request that is not answered yet. If the request is dropped, dropping this carries out a `destroy`
/// that the handler has called.
struct InFlight {
    handle: Option<SessionHandle>,
    /// Whether a commit has begun that runs to its end even if this is dropped.
    runs_on: bool,
}

impl<F, T, R> ResponseFuture<F, T, R> {
    pub(super) fn new(future: F, handle: Option<SessionHandle>, error_response: R) -> Self {
        Self { stage: Stage::Handler { future }, in_flight: InFlight { handle, runs_on: false }, error_response }
    }
}

impl<F, B, E, R> Future for ResponseFuture<F, Result<Response<B>, E>, R>
where
    F: Future<Output = Result<Response<B>, E>>,
    R: ErrorResponse<B>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Handler { future } => {
                    let Some(handle) = &this.in_flight.handle else { return future.poll(cx) };
                    let polling = Polling::begin(&handle.request);
                    let output = ready!(future.poll(cx));
                    drop(polling);
                    let saves = output.as_ref().is_ok_and(|response| {
                        handle.settings().save_if.allows(&ResponseHead {
                            status: response.status(),
                            headers: response.headers(),
                            extensions: response.extensions(),
                        })
                    });
                    match handle.request.handler_done(saves) {
                        Due::Untouched => {
                            this.in_flight.handle = None;
                            return Poll::Ready(output);
                        }
                        Due::Clean => return Poll::Ready(this.in_flight.with_headers(output)),
                        Due::ReleaseLease => {
                            let request = Arc::clone(&handle.request);
                            let future = Box::pin(async move {
                                request.release_lease().await;
                                Ok(())
                            });
                            this.stage.set(Stage::Commit { future, output: Some(output) });
                        }
                        Due::Commit { runs_on } => {
                            this.stage.set(Stage::CommitAtOnce);
                            let begun = match handle.request.commit_at_once() {
                                AtOnce::Over(outcome) => {
                                    return Poll::Ready(this.in_flight.committed(
                                        &outcome,
                                        output,
                                        this.error_response,
                                    ));
                                }
                                AtOnce::Left(begun) => begun,
                            };
                            let request = Arc::clone(&handle.request);
                            let commit = async move { request.final_commit(begun).await };
                            let future: Pin<Box<dyn Future<Output = _> + Send>> = if runs_on {
                                let outliving = handle.request.context.outliving.clone();
                                Box::pin(async move { outliving.run_on(commit).await })
                            } else {
                                Box::pin(commit)
                            };
                            this.in_flight.runs_on = runs_on;
                            this.stage.set(Stage::Commit { future, output: Some(output) });
                        }
                    }
                }
                StageProjection::Commit { future, output } => {
                    let outcome = ready!(future.as_mut().poll(cx));
                    let Some(output) = output.take() else { panic!("polled after completion") };
                    return Poll::Ready(this.in_flight.committed(&outcome, output, this.error_response));
                }
                StageProjection::CommitAtOnce => panic!("polled after completion"),
            }
        }
    }
}

impl InFlight {
    /// Replaces the response if the commit has failed, and adds the session's headers.
    fn committed<B, E>(
        &mut self,
        outcome: &SessionResult<()>,
        mut output: Result<Response<B>, E>,
        error_response: &mut impl ErrorResponse<B>,
    ) -> Result<Response<B>, E> {
        if let (Err(error), Ok(response)) = (outcome, &mut output) {
            let given = Given::take(response);
            *response = error_response.response(error);
            given.give(response);
        }
        self.with_headers(output)
    }

    /// Adds the session's headers to the response. An error of the inner service has no headers.
    fn with_headers<B, E>(&mut self, mut output: Result<Response<B>, E>) -> Result<Response<B>, E> {
        if let (Some(handle), Ok(response)) = (self.handle.take(), &mut output) {
            let notes = handle.request.take_notes();
            let (settings, status) = (handle.settings(), response.status());
            if notes.over_http && notes.cookie.is_some() && settings.cookie.reports_insecure() {
                handle.context().emit(EventKind::SecureCookieOverHttp { cookie: settings.cookie.name() });
            }
            if headers::apply(settings, &notes, status, response.headers_mut()) && handle.is_nested() {
                Given::note(response);
            }
        }
        output
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // The client has disconnected before it was answered. A logout is carried out all the same.
        if let Some(handle) = self.handle.take()
            && !self.runs_on
        {
            handle.request.abandon();
        }
    }
}

impl<F, T, R> fmt::Debug for ResponseFuture<F, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Handler { .. } => "handler",
            Stage::Commit { .. } | Stage::CommitAtOnce => "commit",
        };
        f.debug_struct("ResponseFuture").field("stage", &stage).finish_non_exhaustive()
    }
}
