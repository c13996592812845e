//! A secret, its sources, and checks of its strength.

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

/// The minimum length of a secret, in bytes: the strength of the keys that are derived from it.
const MIN_BYTES: usize = 32;

/// A file or variable of secrets has a few lines. A larger one was probably named by mistake.
const MAX_TEXT_BYTES: u64 = 64 * 1024;

/// The least number of different byte values; a secret with fewer is refused. 32 random bytes have about 30, and 32
/// random hexadecimal digits about 14. Neither ever has fewer than 8 by chance, within the age of the universe.
const MIN_DISTINCT: usize = 8;

/// Common placeholders for a secret. Six random letters at a given place have a chance of 1 in 2^48.
const PLACEHOLDERS: [&str; 8] =
    ["change-me", "changeme", "change_me", "password", "secret", "placeholder", "example", "insecure"];

/// A secret of at least 32 random bytes, from which the keys of a [`KeyRing`](crate::KeyRing) are derived.
///
/// Make one with `openssl rand -base64 32`. It is wiped when dropped and `Debug` does not show it.
///
/// ```
/// use session_layer::{KeyRing, Secret};
///
/// # let text = "NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=";
/// let ring = KeyRing::new(Secret::from_base64(text)?);
/// # Ok::<(), session_layer::keyring::SecretError>(())
/// ```
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Creates a secret from these bytes.
    ///
    /// # Errors
    ///
    /// If there are fewer than 32, or they are obviously not random: a repeated pattern, a run, a placeholder.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self, SecretError> {
        let bytes = bytes.as_ref();
        if bytes.len() < MIN_BYTES {
            return Err(SecretError::new(Reason::Short(bytes.len())));
        }
        if let Some(weakness) = weakness(bytes) {
            return Err(SecretError::new(Reason::Weak(weakness)));
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// Decodes a secret from base64 (RFC 4648, section 4 or 5, with or without padding), as `openssl rand -base64 32`
    /// writes it. White space around it is ignored.
    ///
    /// # Errors
    ///
    /// If the text is not base64, or as [`from_bytes`](Self::from_bytes).
    pub fn from_base64(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        // A placeholder can be well-formed base64 whose bytes look random.
        if let Some(weakness) = placeholder(text.as_bytes()) {
            return Err(SecretError::new(Reason::Weak(weakness)));
        }
        let mut bytes = Zeroizing::new(vec![0; text.len()]);
        let length = [Base64::decode, Base64Unpadded::decode, Base64Url::decode, Base64UrlUnpadded::decode]
            .into_iter()
            .find_map(|decode| decode(text, &mut bytes).ok().map(<[u8]>::len))
            .ok_or(SecretError::new(Reason::NotBase64))?;
        Self::from_bytes(&bytes[..length])
    }

    /// Reads a secret from a file that contains it as base64.
    ///
    /// # Errors
    ///
    /// If the file can't be read, or as [`from_base64`](Self::from_base64). The error names the path.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SecretError> {
        let path = path.as_ref();
        Self::from_base64(&read_file(path)?).map_err(|error| error.at(path))
    }

    /// Reads a secret from an environment variable that contains it as base64.
    ///
    /// # Errors
    ///
    /// If the variable is not set or not text, or as [`from_base64`](Self::from_base64). The error names the variable.
    pub fn from_env(variable: &str) -> Result<Self, SecretError> {
        Self::from_base64(&read_env(variable)?).map_err(|error| error.in_variable(variable))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

pub(super) fn read_file(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)
        .and_then(|file| file.take(MAX_TEXT_BYTES).read_to_string(&mut text))
        .map_err(|error| SecretError::new(Reason::Unreadable(error)).at(path))?;
    Ok(text)
}

pub(super) fn read_env(variable: &str) -> Result<Zeroizing<String>, SecretError> {
    match std::env::var(variable) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(_) => Err(SecretError::new(Reason::NotSet).in_variable(variable)),
    }
}

fn weakness(bytes: &[u8]) -> Option<&'static str> {
    let mut seen = [false; 256];
    bytes.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    if seen.iter().filter(|&&seen| seen).count() < MIN_DISTINCT {
        return Some("it has hardly any different bytes");
    }
    if (1..=bytes.len() / 2).any(|period| bytes.iter().zip(&bytes[period..]).all(|(a, b)| a == b)) {
        return Some("it repeats itself");
    }
    let steps = |step: u8| bytes.windows(2).filter(|pair| pair[1] == pair[0].wrapping_add(step)).count();
    if steps(1).max(steps(u8::MAX)) > bytes.len() / 2 {
        return Some("it counts up or down");
    }
    placeholder(bytes)
}

fn placeholder(text: &[u8]) -> Option<&'static str> {
    let contains = |word: &str| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    PLACEHOLDERS.into_iter().any(contains).then_some("it looks like a placeholder")
}

/// A secret can't be used. The message says why, names the source, and says how to make a good one.
#[derive(Debug)]
pub struct SecretError {
    origin: Option<Origin>,
    reason: Reason,
}

impl From<SecretError> for crate::error::Error {
    fn from(error: SecretError) -> Self {
        Self::setup(error)
    }
}

#[derive(Debug)]
enum Origin {
    File(PathBuf),
    Variable(String),
}

#[derive(Debug)]
enum Reason {
    Short(usize),
    Weak(&'static str),
    NotBase64,
    Unreadable(std::io::Error),
    NotSet,
    Empty,
    Ring(super::error::KeyRingError),
}

impl SecretError {
    fn new(reason: Reason) -> Self {
        Self { origin: None, reason }
    }

    pub(super) fn empty() -> Self {
        Self::new(Reason::Empty)
    }

    pub(super) fn ring(error: super::error::KeyRingError) -> Self {
        Self::new(Reason::Ring(error))
    }

    pub(super) fn at(self, path: &Path) -> Self {
        Self { origin: Some(Origin::File(path.to_owned())), ..self }
    }

    pub(super) fn in_variable(self, name: &str) -> Self {
        Self { origin: Some(Origin::Variable(name.to_owned())), ..self }
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(Origin::File(path)) => write!(f, "the secret in {}: ", path.display())?,
            Some(Origin::Variable(name)) => write!(f, "the secret in the environment variable {name}: ")?,
            None => f.write_str("the secret: ")?,
        }
        match &self.reason {
            Reason::Short(bytes) => write!(f, "it has {bytes} bytes, and at least {MIN_BYTES} are needed")?,
            Reason::Weak(weakness) => f.write_str(weakness)?,
            Reason::NotBase64 => f.write_str("it is not base64")?,
            Reason::Unreadable(_) => return f.write_str("it can't be read"),
            Reason::NotSet => f.write_str("it is not set, or is not valid UTF-8")?,
            Reason::Empty => f.write_str("it is missing")?,
            Reason::Ring(_) => return f.write_str("it can't be on the ring"),
        }
        f.write_str("; make one with: openssl rand -base64 32")
    }
}

impl std::error::Error for SecretError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Unreadable(error) => Some(error),
            Reason::Ring(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    const GOOD: &str = "NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=";

    #[test]
    fn short_or_weak_is_refused_with_the_command() {
        let run: Vec<u8> = (0..48).collect();
        let cases: [(&[u8], &str); 6] = [
            (b"tooshort", "it has 8 bytes, and at least 32 are needed"),
            (&[7; 32], "hardly any different bytes"),
            (b"abcdefghij0123456789abcdefghij0123456789", "it repeats itself"),
            (&run, "it counts up or down"),
            (b"please-Change-Me-before-production-0192837465", "looks like a placeholder"),
            (b"my-super-secret-signing-key-0192837465", "looks like a placeholder"),
        ];
        for (bytes, expected) in cases {
            let message = Secret::from_bytes(bytes).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.ends_with("make one with: openssl rand -base64 32"), "{message}");
        }
    }

    #[test]
    fn every_form_of_base64_is_read() {
        let bytes = Secret::from_base64(GOOD).unwrap().bytes().to_vec();
        let url = "NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc";
        for text in [url, &format!("  {GOOD}\n"), &Base64Url::encode_string(&bytes)] {
            assert_eq!(Secret::from_base64(text).unwrap().bytes(), bytes, "{text}");
        }
        assert!(Secret::from_base64("no base64 at all!").unwrap_err().to_string().contains("it is not base64"));
        let placeholder = "changeme/changeme/XyZ0123/changeme/AbCdEf45=";
        assert!(Secret::from_base64(placeholder).unwrap_err().to_string().contains("placeholder"));
    }

    #[test]
    fn a_hundred_random_secrets_pass() {
        for _ in 0..100 {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).unwrap();
            Secret::from_bytes(bytes).unwrap();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Secret::from_bytes(hex).unwrap();
        }
    }

    #[test]
    fn a_missing_file_or_variable_is_named() {
        let error = Secret::from_file("/nowhere/key").unwrap_err();
        assert_eq!(error.to_string(), "the secret in /nowhere/key: it can't be read");
        assert!(error.source().is_some());
        let error = Secret::from_env("SESSION_LAYER_NO_SUCH_VARIABLE").unwrap_err();
        assert!(error.to_string().starts_with("the secret in the environment variable SESSION_LAYER_NO_SUCH_VARIABLE"));
    }

    /// Covers the bytes, and the text from which they were decoded.
    #[test]
    fn a_secret_is_wiped_when_dropped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        let Secret(bytes) = &Secret::from_base64(GOOD).unwrap();
        wiped(bytes);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, GOOD).unwrap();
        wiped(&read_file(&path).unwrap());
        wiped(&read_env("PATH").unwrap());
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        assert_eq!(format!("{:?}", Secret::from_base64(GOOD).unwrap()), "Secret(redacted)");
    }
}
