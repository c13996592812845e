//! The keys that write and open.

use std::{fmt, path::Path, sync::Arc};

use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hkdf::Hkdf;
use hmac::Hmac;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    error::KeyRingError,
    key_id::KeyId,
    secret::{self, Secret, SecretError},
};

/// Domain separation of these keys from others that could be derived from the same secret: the scheme and its version.
const SALT: &[u8] = b"session-layer/1";

/// The contexts of HKDF (RFC 5869, section 3.2), which make the keys of one secret independent of each other.
const ID: &[u8] = b"key id";
const COOKIE: &[u8] = b"cookie signature";
const RECORD: &[u8] = b"record seal";
const OWNER: &[u8] = b"owner hash";

/// The keys of one secret, ready for use. Each of them wipes itself when dropped.
pub(crate) struct RingKey {
    pub(crate) id: KeyId,
    /// Keyed once: a clone starts a signature without hashing the key again.
    pub(crate) cookie: Hmac<Sha256>,
    pub(crate) record: XChaCha20Poly1305,
    pub(crate) owner: Hmac<Sha256>,
}

impl RingKey {
    fn derive(secret: &Secret) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), secret.bytes());
        let mac = |context| {
            let key = expand::<32>(&hkdf, context);
            Hmac::new_from_slice(&*key).expect("HMAC takes keys of any length")
        };
        let record = expand::<32>(&hkdf, RECORD);
        Self {
            id: KeyId::from_bytes(*expand(&hkdf, ID)),
            cookie: mac(COOKIE),
            record: XChaCha20Poly1305::new((&*record).into()),
            owner: mac(OWNER),
        }
    }
}

fn expand<const N: usize>(hkdf: &Hkdf<Sha256>, context: &[u8]) -> Zeroizing<[u8; N]> {
    let mut key = Zeroizing::new([0; N]);
    hkdf.expand(context, &mut *key).expect("HKDF gives up to 8,160 bytes");
    key
}

/// One key that writes and any number that only open. Cheap to clone.
///
/// Each secret yields three independent keys, by HKDF-SHA-256: one signs cookies, one seals records and one hashes
/// owners' names. The secret itself is not kept. `Debug` shows the ids of the keys.
#[derive(Clone)]
pub struct KeyRing(Arc<[Arc<RingKey>]>);

impl KeyRing {
    /// Creates a ring with one key, which writes and opens.
    #[must_use]
    pub fn new(writing: Secret) -> Self {
        Self([Arc::new(RingKey::derive(&writing))].into())
    }

    /// Adds a key that only opens: an earlier one, or one that will write later.
    ///
    /// # Errors
    ///
    /// If this secret is already on the ring.
    pub fn opening(self, secret: Secret) -> Result<Self, KeyRingError> {
        let key = RingKey::derive(&secret);
        if self.key(key.id).is_some() {
            return Err(KeyRingError::Twice(key.id));
        }
        Ok(Self(self.0.iter().cloned().chain([Arc::new(key)]).collect()))
    }

    /// Removes a key: records that it sealed no longer open, and cookies that it signed are forged. Removing a key that
    /// is not on the ring has no effect.
    ///
    /// # Errors
    ///
    /// If it is the key that writes.
    pub fn without(self, id: KeyId) -> Result<Self, KeyRingError> {
        if id == self.writes_with() {
            return Err(KeyRingError::Writing(id));
        }
        Ok(Self(self.0.iter().filter(|key| key.id != id).cloned().collect()))
    }

    /// Creates a ring from text: secrets in base64, one a line. The first one writes, the others open. Empty lines and
    /// lines that begin with `#` are ignored.
    ///
    /// # Errors
    ///
    /// If there is no secret, a secret is too weak, or one is given twice.
    pub fn from_lines(text: &str) -> Result<Self, SecretError> {
        let mut secrets = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let writing = Secret::from_base64(secrets.next().ok_or_else(SecretError::empty)?)?;
        secrets.try_fold(Self::new(writing), |ring, line| {
            ring.opening(Secret::from_base64(line)?).map_err(SecretError::ring)
        })
    }

    /// Creates a ring from a file of such lines; see [`from_lines`](Self::from_lines).
    ///
    /// # Errors
    ///
    /// If the file can't be read, or as [`from_lines`](Self::from_lines). The error names the path.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SecretError> {
        let path = path.as_ref();
        Self::from_lines(&secret::read_file(path)?).map_err(|error| error.at(path))
    }

    /// Creates a ring from an environment variable of such lines; see [`from_lines`](Self::from_lines).
    ///
    /// # Errors
    ///
    /// If the variable is not set, or as [`from_lines`](Self::from_lines). The error names the variable.
    pub fn from_env(variable: &str) -> Result<Self, SecretError> {
        Self::from_lines(&secret::read_env(variable)?).map_err(|error| error.in_variable(variable))
    }

    /// The id of the key that writes.
    #[must_use]
    pub fn writes_with(&self) -> KeyId {
        self.writing().id
    }

    /// The ids of all keys, the writing one first.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = KeyId> + '_ {
        self.keys().map(|key| key.id)
    }

    pub(crate) fn writing(&self) -> &RingKey {
        // Every constructor adds a key, and `without` refuses to remove it.
        &self.0[0]
    }

    /// All keys, the writing one first.
    pub(crate) fn keys(&self) -> impl ExactSizeIterator<Item = &RingKey> + Clone {
        self.0.iter().map(|key| &**key)
    }

    /// Ids are public, so looking one up need not take constant time.
    pub(crate) fn key(&self, id: KeyId) -> Option<&RingKey> {
        self.keys().find(|key| key.id == id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("writes_with", &self.writes_with())
            .field("also_opens", &self.ids().skip(1).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64ct::Encoding;
    use hmac::Mac;

    use super::*;

    fn secret(first: u8) -> Secret {
        Secret::from_bytes(std::array::from_fn::<u8, 32, _>(|i| {
            u8::try_from(i).unwrap().wrapping_mul(37).wrapping_add(first)
        }))
        .unwrap()
    }

    fn base64(first: u8) -> String {
        base64ct::Base64::encode_string(secret(first).bytes())
    }

    /// Every later version derives the same keys as 0.1.0. The vectors were computed by another implementation
    /// (Python's `hmac`).
    #[test]
    fn frozen_vectors() {
        let key = RingKey::derive(&secret(1));
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(key.id.to_string(), "Y7mvN39I");
        assert_eq!(
            hex(&key.cookie.clone().finalize().into_bytes()),
            "f9ee1a639f0cf864e51f5775ca14d12cbc1a10e0a69fe050704ce53d90388baa"
        );
        assert_eq!(
            hex(&key.owner.clone().finalize().into_bytes()),
            "7ba44847d7b604617b73a34ef645e3c76c25e7cf7ab4bf3c3efadbbf5160e64d"
        );
    }

    #[test]
    fn purposes_and_secrets_have_keys_of_their_own() {
        let keys = [RingKey::derive(&secret(1)), RingKey::derive(&secret(2))];
        let mut macs: Vec<[u8; 32]> = keys
            .iter()
            .flat_map(|key| [key.cookie.clone(), key.owner.clone()].map(|mac| mac.finalize().into_bytes().into()))
            .collect();
        macs.sort_unstable();
        macs.dedup();
        assert_eq!(macs.len(), 4);
        assert_ne!(keys[0].id, keys[1].id);
    }

    #[test]
    fn the_first_writes_and_the_others_open() {
        let text = format!("# now\n{}\n\n  # before\n{}\r\n{}\n", base64(1), base64(2), base64(3));
        let ring = KeyRing::from_lines(&text).unwrap();
        let ids: Vec<_> = ring.ids().collect();
        assert_eq!(ids, [1, 2, 3].map(|first| RingKey::derive(&secret(first)).id));
        assert_eq!(ring.writes_with(), ids[0]);

        let ring = ring.without(ids[1]).unwrap();
        assert!(ring.key(ids[1]).is_none());
        assert!(ring.key(ids[2]).is_some());
        assert_eq!(ring.without(ids[0]).unwrap_err(), KeyRingError::Writing(ids[0]));
    }

    #[test]
    fn no_secret_and_a_secret_twice_are_refused() {
        assert!(KeyRing::from_lines("# none\n").unwrap_err().to_string().starts_with("the secret: it is missing"));
        let error = KeyRing::from_lines(&format!("{0}\n{0}\n", base64(1))).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("is already on the ring"), "{source}");
    }

    #[test]
    fn files_and_their_errors() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets");
        std::fs::write(&path, format!("{}\n{}\n", base64(1), base64(2))).unwrap();
        assert_eq!(KeyRing::from_file(&path).unwrap().ids().len(), 2);
        std::fs::write(&path, "short\n").unwrap();
        let message = KeyRing::from_file(&path).unwrap_err().to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
    }

    /// Each field wipes itself when dropped. Nothing else of a secret remains once the keys are derived.
    #[test]
    fn keys_are_wiped_when_dropped() {
        use zeroize::ZeroizeOnDrop;

        fn wiped<T: ZeroizeOnDrop>(_: &T) {}
        fn is_of<D: hmac::EagerHash>(_: &Hmac<D>)
        where
            D::Core: ZeroizeOnDrop,
        {
        }
        // All fields, so that a new one must be added here. An `Hmac` consists of states of its hash. It does not
        // implement `ZeroizeOnDrop`, but the states do.
        let RingKey { id: _, cookie, record, owner } = &RingKey::derive(&secret(1));
        is_of::<Sha256>(cookie);
        is_of::<Sha256>(owner);
        wiped(record);
        wiped(&Sha256::default());
        wiped(&expand::<32>(&Hkdf::<Sha256>::new(Some(SALT), secret(1).bytes()), RECORD));
    }

    #[test]
    fn debug_shows_key_ids_only() {
        let ring = KeyRing::new(secret(1)).opening(secret(2)).unwrap();
        let [first, second] = [1, 2].map(|first| RingKey::derive(&secret(first)).id);
        assert_eq!(
            format!("{ring:?}"),
            format!("KeyRing {{ writes_with: KeyId({first}), also_opens: [KeyId({second})], .. }}")
        );
    }
}
