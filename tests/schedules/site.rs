//! A service behind the layer, and the cookie jars of its visitors.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response, header};
use session_layer::{
    Error, ErrorKind, SessionHandle, SessionId, SessionLayer, id::SessionToken, middleware::CustomErrorResponse,
};
use tower::{Layer as _, ServiceExt, service_fn};

use crate::operation::{Operation, Report, Told};

pub(crate) type Layer = SessionLayer<CustomErrorResponse<()>>;

/// The answer if the session could not be committed. It names the error.
pub(crate) fn failed(error: &Error) -> Response<()> {
    let mut response = Response::builder().status(error.status()).body(()).unwrap();
    response.extensions_mut().insert(error.kind());
    response
}

/// The effect of a response on the jar that receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SetCookie {
    Nothing,
    Token(String),
    Removal,
}

/// Returns the id of the session behind a cookie's value.
pub(crate) fn id_of(token: &str) -> SessionId {
    SessionToken::parse(token).unwrap().identify("sid").0
}

/// An answered request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) cookie: SetCookie,
    pub(crate) report: Report,
}

fn set_cookie(response: &Response<()>) -> SetCookie {
    let mut lines = response.headers().get_all(header::SET_COOKIE).iter();
    let Some(line) = lines.next() else { return SetCookie::Nothing };
    assert!(lines.next().is_none(), "one cookie at most");
    let line = line.to_str().unwrap();
    if line.contains("Max-Age=0") {
        return SetCookie::Removal;
    }
    let value = line.strip_prefix("__Host-sid=").and_then(|rest| rest.split(';').next());
    SetCookie::Token(value.unwrap().to_owned())
}

/// The handler.
async fn answer(
    request: Request<()>,
    operation: Operation,
    number: u32,
    carries_on: bool,
    layer: Layer,
    filled: Arc<Mutex<Report>>,
) -> Result<Response<()>, Infallible> {
    let mut report = Report::default();
    let handle = SessionHandle::of(request.extensions()).unwrap().clone();
    let response = match handle.session(request.headers()).await {
        Err(rejection) => {
            report.told = Told::Failed(ErrorKind::Unavailable);
            Response::builder().status(rejection.status()).body(()).unwrap()
        }
        Ok(session) => match operation.run(number, &session, &layer, &mut report).await {
            Ok(()) => {
                report.told = Told::Done;
                Response::new(())
            }
            Err(error) => {
                report.told = Told::of(error.kind());
                if carries_on { Response::new(()) } else { failed(&error) }
            }
        },
    };
    *filled.lock().unwrap() = report;
    Ok(response)
}

/// Sends one request with this cookie. If its own change fails, the handler reports that, or answers as if nothing were
/// wrong (`carries_on`).
pub(crate) async fn visit(
    layer: Layer,
    cookie: Option<String>,
    operation: Operation,
    number: u32,
    carries_on: bool,
) -> Reply {
    let report = Arc::new(Mutex::new(Report::default()));
    let (filled, inner) = (Arc::clone(&report), layer.clone());
    let handler = move |request: Request<()>| {
        let (operation, inner, filled) = (operation.clone(), inner.clone(), Arc::clone(&filled));
        answer(request, operation, number, carries_on, inner, filled)
    };
    let mut request = Request::new(());
    if let Some(cookie) = cookie {
        request.headers_mut().insert(header::COOKIE, format!("__Host-sid={cookie}").parse().unwrap());
    }
    let response = layer.layer(service_fn(handler)).oneshot(request).await.unwrap();
    let mut report = report.lock().unwrap().clone();
    if let (Told::Done, Some(kind)) = (report.told, response.extensions().get::<ErrorKind>()) {
        report.told = Told::of(*kind);
    }
    Reply { status: response.status().as_u16(), cookie: set_cookie(&response), report }
}
