//! The responses to session errors.

#[cfg(feature = "axum")]
use std::any::Any;
use std::{fmt, sync::Arc};

use http::{Response, header::RETRY_AFTER};

use crate::{error::Error, session::Polling};

/// Builds the response to a request whose session has failed. Implemented by [`DefaultErrorResponse`], and by
/// [`CustomErrorResponse`] with the application's function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't answer with a `Response<{B}>`",
    label = "this layer can't make a body of type `{B}`",
    note = "a layer inside this one, in the same `ServiceBuilder`, wraps the response body in its own type, which the session \
            layer can't create for an error; `TraceLayer` is such a layer",
    note = "add the two layers to the router by separate calls of `.layer(..)`, or put the other layer before the session \
            layer in the `ServiceBuilder`, which makes it the outer one"
)]
pub trait ErrorResponse<B> {
    /// Returns the response to this error. [`Error::status`] is the status that fits.
    fn response(&self, error: &Error) -> Response<B>;
}

/// The default response: the error's [status](Error::status), `Retry-After` if [known](Error::retry_after), and a short
/// text for the visitor.
///
/// The text is sent only if the body is axum's `Body`. Any other body is its type's default, which is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultErrorResponse;

// Makes the compiler show the notes above, not one about `Default`.
#[diagnostic::do_not_recommend]
impl<B: Default + 'static> ErrorResponse<B> for DefaultErrorResponse {
    fn response(&self, error: &Error) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = error.status();
        if let Some(seconds) = error.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        #[cfg(feature = "axum")]
        write_text(&mut response, error.public_text());
        response
    }
}

#[cfg(feature = "axum")]
fn write_text<B: 'static>(response: &mut Response<B>, text: &'static str) {
    let body: &mut dyn Any = response.body_mut();
    if let Some(body) = body.downcast_mut::<axum_core::body::Body>() {
        *body = text.into();
        let text = http::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, text);
    }
}

/// The application's error response, set by [`error_response`](super::SessionLayerBuilder::error_response). A layer
/// that has one is a `SessionLayer<CustomErrorResponse<Body>>`.
pub struct CustomErrorResponse<B>(Arc<Respond<B>>);

type Respond<B> = dyn Fn(&Error) -> Response<B> + Send + Sync;

impl<B> CustomErrorResponse<B> {
    pub(super) fn new(respond: impl Fn(&Error) -> Response<B> + Send + Sync + 'static) -> Self {
        Self(Arc::new(respond))
    }
}

impl<B> ErrorResponse<B> for CustomErrorResponse<B> {
    fn response(&self, error: &Error) -> Response<B> {
        // The function may call `error.clone().into_response()`. While a handler is being polled, that would call the
        // function again, endlessly. It would also report the error a second time.
        let _suspended = Polling::suspend();
        (self.0)(&error.clone().reported())
    }
}

impl<B> Clone for CustomErrorResponse<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> fmt::Debug for CustomErrorResponse<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomErrorResponse(..)")
    }
}

/// Returns the response to an error in a handler. `custom` is the [`CustomErrorResponse`] of the layer around it.
#[cfg(feature = "axum")]
pub(crate) fn response_in_handler(
    error: &Error,
    custom: Option<&(dyn Any + Send + Sync)>,
) -> axum_core::response::Response {
    type Custom = CustomErrorResponse<axum_core::body::Body>;
    match custom.and_then(|custom| custom.downcast_ref::<Custom>()) {
        Some(custom) => custom.response(error),
        None => DefaultErrorResponse.response(error),
    }
}
