//! The content security policy of a page.

use std::fmt::Write as _;

use axum::http::HeaderValue;
use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::frame::STYLE;

/// Allows only the page's own style and scripts, by their hashes, so that an injected script doesn't run.
pub(super) fn header(scripts: &[&str]) -> HeaderValue {
    let hash = |text: &str| format!("'sha256-{}'", Base64::encode_string(&Sha256::digest(text)));
    let mut policy = format!("default-src 'none'; style-src {}; img-src data:; form-action 'self'; ", hash(STYLE));
    policy.push_str("base-uri 'none'; frame-ancestors 'none'");
    if !scripts.is_empty() {
        let hashes: Vec<_> = scripts.iter().map(|script| hash(script)).collect();
        // Scripts may send requests to this server only.
        let _ = write!(policy, "; script-src {}; connect-src 'self'", hashes.join(" "));
    }
    HeaderValue::try_from(policy).expect("base64 and the words above are visible ASCII")
}
