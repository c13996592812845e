//! What the page may load and run.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::home::{SCRIPT, STYLE};

/// The page's own style and script, by their hashes, and nothing else: what somebody smuggled into it would not run.
pub(super) fn header() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let hash = |text: &str| format!("'sha256-{}'", Base64::encode_string(&Sha256::digest(text)));
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT),
        );
        HeaderValue::try_from(policy).expect("base64 and the words above are visible ASCII")
    });
    POLICY.clone()
}
