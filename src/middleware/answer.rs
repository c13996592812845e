//! What a visitor gets in place of an answer whose session could not be committed.

use http::Response;

use crate::error::Error;

/// Chooses the answer where the handler's can't be sent, because its session could not be committed.
///
/// A closure `Fn(&Error) -> Response<B>` is one. It chooses status, headers and body; the session's own headers are
/// added. Say nothing of the inside in the body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not answer with a `Response<{B}>`",
    note = "the default answer asks for a body type that is `Default`; for another, give \
            `SessionLayer::builder(store).on_failure(|error| ..)`"
)]
pub trait FailureAnswer<B> {
    /// The answer for this error; [`Error::status`] has the status that fits.
    fn answer(&self, error: &Error) -> Response<B>;
}

/// The default: [`Error::status`] and an empty body.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyAnswer;

impl<B: Default> FailureAnswer<B> for EmptyAnswer {
    fn answer(&self, error: &Error) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = error.status();
        response
    }
}

impl<B, F: Fn(&Error) -> Response<B>> FailureAnswer<B> for F {
    fn answer(&self, error: &Error) -> Response<B> {
        self(error)
    }
}
