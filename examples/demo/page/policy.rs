//! What a page may load and run.

use std::fmt::Write as _;

use axum::http::HeaderValue;
use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::frame::STYLE;

/// The page's own style and scripts, by their hashes, and nothing else: what somebody smuggled into it would not run.
pub(super) fn header(scripts: &[&str]) -> HeaderValue {
    let hash = |text: &str| format!("'sha256-{}'", Base64::encode_string(&Sha256::digest(text)));
    let mut policy = format!("default-src 'none'; style-src {}; img-src data:; form-action 'self'; ", hash(STYLE));
    policy.push_str("base-uri 'none'; frame-ancestors 'none'");
    if !scripts.is_empty() {
        let hashes: Vec<_> = scripts.iter().map(|script| hash(script)).collect();
        // Scripts ask this server, and no other.
        let _ = write!(policy, "; script-src {}; connect-src 'self'", hashes.join(" "));
    }
    HeaderValue::try_from(policy).expect("base64 and the words above are visible ASCII")
}
