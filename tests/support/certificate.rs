//! Certificates that the tests create for their servers.

#![allow(dead_code, reason = "each test uses some of it")]

use std::path::{Path, PathBuf};

/// A certificate for 127.0.0.1, signed by itself, with its key, in a temporary folder.
pub struct Certificate {
    folder: tempfile::TempDir,
    pem: String,
}

impl Certificate {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).expect("written");
        std::fs::write(folder.path().join("chain.pem"), made.cert.pem()).expect("written");
        Self { folder, pem: made.cert.pem() }
    }

    /// The certificate, which is its own root.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The file of the certificate.
    pub fn chain(&self) -> PathBuf {
        self.path().join("chain.pem")
    }

    /// The file of its private key.
    pub fn key(&self) -> PathBuf {
        self.path().join("key.pem")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}
