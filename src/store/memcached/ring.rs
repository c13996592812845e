//! Which server a key belongs to: the ketama ring, as libmemcached builds it.

use md5::{Digest, Md5};

/// Points of one server where all weights are equal, before rounding.
const POINTS: f32 = 160.0;

/// Points that one MD5 sum gives: four numbers of four bytes.
const POINTS_PER_HASH: u32 = 4;

/// A consistent-hash ring that agrees with libmemcached's `MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED` at equal weights, and so
/// with the clients that are built on it or imitate it. Adding an eleventh server moves about an eleventh of the keys.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    /// Sorted by the point's value.
    points: Vec<(u32, usize)>,
}

impl Ring {
    /// A ring of these servers: their index in this order is what [`server`](Self::server) answers.
    pub(super) fn new(names: &[String]) -> Self {
        let hashes = hashes_per_server(names.len());
        let mut points = Vec::with_capacity(names.len() * 4 * hashes as usize);
        for (server, name) in names.iter().enumerate() {
            for hash in 0..hashes {
                let sum = Md5::digest(format!("{name}-{hash}"));
                points.extend(sum.as_chunks::<4>().0.iter().map(|point| (u32::from_le_bytes(*point), server)));
            }
        }
        points.sort_unstable();
        Self { points }
    }

    /// The server of a key: that of the first point at or after the key's hash, round the circle.
    pub(super) fn server(&self, key: &[u8]) -> usize {
        let sum = Md5::digest(key);
        let hash = u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]);
        let at = self.points.partition_point(|&(point, _)| point < hash);
        self.points.get(at).or(self.points.first()).map_or(0, |&(_, server)| server)
    }
}

/// How many sums each server gets. libmemcached computes it in single precision, and for some numbers of servers comes
/// out one below 40; to agree with it, so must we.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the arithmetic of libmemcached's `update_continuum`, step by step"
)]
fn hashes_per_server(servers: usize) -> u32 {
    let share = 1.0_f32 / servers as f32;
    let hashes = share * POINTS / POINTS_PER_HASH as f32 * servers as f32;
    ((f64::from(hashes) + 0.000_000_000_1) as f32).floor() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("10.0.0.{n}:11212")).collect()
    }

    #[test]
    fn an_eleventh_server_moves_about_an_eleventh() {
        let (ten, eleven) = (Ring::new(&names(10)), Ring::new(&names(11)));
        let mut moved = 0;
        for n in 0..10_000 {
            let key = format!("session:{n}");
            let (before, after) = (ten.server(key.as_bytes()), eleven.server(key.as_bytes()));
            if before != after {
                assert_eq!(after, 10, "a key moves to the new server only");
                moved += 1;
            }
        }
        assert!((600..1_250).contains(&moved), "{moved} of 10,000 moved; an eleventh is 909");
    }

    #[test]
    fn each_server_has_its_share() {
        let ring = Ring::new(&names(5));
        let mut shares = [0; 5];
        for n in 0..10_000 {
            shares[ring.server(format!("session:{n}").as_bytes())] += 1;
        }
        assert!(shares.iter().all(|share| (1_400..2_700).contains(share)), "{shares:?}");
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let mut reversed = names(7);
        reversed.reverse();
        let (forward, backward) = (Ring::new(&names(7)), Ring::new(&reversed));
        for n in 0..1_000 {
            let key = format!("session:{n}");
            assert_eq!(forward.server(key.as_bytes()), 6 - backward.server(key.as_bytes()));
        }
    }
}
