//! Paths of this machine in a store URL: `SCHEME:PATH`.

use crate::connect::error::ConnectError;

/// What a scheme's path names, for the errors.
pub(super) struct Form {
    pub(super) scheme: &'static str,
    /// What the documentation writes in its place.
    pub(super) placeholder: &'static str,
    pub(super) what: &'static str,
    /// What to name instead of the root directory.
    pub(super) of: &'static str,
}

/// Returns the path, still encoded: `file:/var/lib/x`, `file:x`, and, as in RFC 8089, `file:///var/lib/x` and
/// `file://localhost/var/lib/x`.
pub(super) fn path<'a>(target: &'a str, form: &Form) -> Result<&'a str, ConnectError> {
    let Form { scheme, placeholder, what, of } = form;
    let path = match target.strip_prefix("//") {
        None => target,
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match host {
                _ if host.contains('@') => {
                    return Err(ConnectError::new(format!(
                        "the store URL `{scheme}:` takes no user, password or host: write `{scheme}:/{placeholder}`"
                    )));
                }
                "" => path,
                host if host.eq_ignore_ascii_case("localhost") => path,
                host => {
                    return Err(ConnectError::new(format!(
                        "the store URL names the host {host:?}, but files are local: write \
                         `{scheme}:/{host}{path}`, or `{scheme}:{host}{path}` for a path from the working directory"
                    )));
                }
            }
        }
    };
    if path.is_empty() {
        return Err(ConnectError::new(format!(
            "the store URL `{scheme}:` names no {what}: write `{scheme}:{placeholder}`"
        )));
    }
    if path.bytes().all(|byte| byte == b'/') {
        return Err(ConnectError::new(format!(
            "the store URL `{scheme}:` names the root directory: write `{scheme}:/{placeholder}`, {of}"
        )));
    }
    if let Some(found) = path.chars().find(|c| matches!(c, '&' | ';')) {
        return Err(ConnectError::new(format!(
            "the store URL's path has a `{found}`: write `?` before the options, or `%{:02X}` for the character",
            u32::from(found)
        )));
    }
    Ok(path)
}
