//! Tokens that were drawn from the operating system and not handed out yet.

use zeroize::Zeroize;

use super::{
    entropy::{EntropyError, fill_random},
    text::BYTES as TOKEN_BYTES,
};

/// How many tokens one call into the operating system draws. 10 × 24 bytes stay below 256 bytes, up to which
/// `getrandom(2)` is never interrupted.
const TOKENS_PER_DRAW: usize = 10;

/// The bytes of the next tokens.
pub(super) struct Pool {
    bytes: [u8; TOKEN_BYTES * TOKENS_PER_DRAW],
    left: usize,
    process: u32,
}

impl Pool {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; TOKEN_BYTES * TOKENS_PER_DRAW], left: 0, process: 0 }
    }

    /// Moves the next token into `token`.
    pub(super) fn take(&mut self, token: &mut [u8; TOKEN_BYTES]) -> Result<(), EntropyError> {
        // A forked child holds a copy of the parent's pool: both would hand out the same tokens.
        let process = std::process::id();
        if self.left == 0 || self.process != process {
            self.left = 0;
            fill_random(&mut self.bytes)?;
            self.left = TOKENS_PER_DRAW;
            self.process = process;
        }
        // Counted down before the copy, so that no token is handed out twice.
        self.left -= 1;
        let slot = &mut self.bytes[self.left * TOKEN_BYTES..][..TOKEN_BYTES];
        token.copy_from_slice(slot);
        slot.zeroize();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_wiped_from_the_pool_when_it_is_handed_out() {
        let mut pool = Pool::new();
        for left in (0..TOKENS_PER_DRAW).rev() {
            let mut token = [0; TOKEN_BYTES];
            pool.take(&mut token).expect("random numbers");
            assert_ne!(token, [0; TOKEN_BYTES]);
            assert!(pool.bytes[left * TOKEN_BYTES..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn a_forked_child_draws_anew() {
        let mut pool = Pool::new();
        pool.take(&mut [0; TOKEN_BYTES]).expect("random numbers");
        let before = pool.bytes;
        pool.process = pool.process.wrapping_add(1);
        pool.take(&mut [0; TOKEN_BYTES]).expect("random numbers");
        assert_eq!(pool.left, TOKENS_PER_DRAW - 1);
        assert_ne!(before[..TOKEN_BYTES], pool.bytes[..TOKEN_BYTES]);
    }
}
