//! The ketama ring, as libmemcached builds it. It maps a key to its server.

use md5::{Digest, Md5};

/// Points of one server at equal weights, before rounding.
const POINTS: f32 = 160.0;

/// Points in one MD5 sum: four numbers of four bytes.
const POINTS_PER_HASH: u32 = 4;

/// A consistent-hash ring that agrees with libmemcached's `MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED` at equal weights, and so
/// with the clients that are built on it or imitate it. Adding an eleventh server moves about an eleventh of the keys.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    /// Sorted by the point's value.
    points: Vec<(u32, usize)>,
    servers: usize,
}

impl Ring {
    /// Builds the ring of these servers. [`server`](Self::server) returns an index into `names`.
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
        Self { points, servers: names.len() }
    }

    /// Returns a key's server: that of the first point at or after the key's hash, wrapping around.
    pub(super) fn server(&self, key: &[u8]) -> usize {
        if self.servers == 1 {
            return 0;
        }
        let sum = Md5::digest(key);
        let hash = u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]);
        let at = self.points.partition_point(|&(point, _)| point < hash);
        self.points.get(at).or(self.points.first()).map_or(0, |&(_, server)| server)
    }
}

/// How many MD5 sums each server gets. libmemcached computes this in single precision, and for some numbers of servers
/// its result is one below 40. The same arithmetic is needed here to agree with it.
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
    use crate::store::address::Address;

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

    /// The servers on which pylibmc 1.6.3 over libmemcached 1.1.4 put `session:0` to `session:99` with
    /// `ketama_weighted`. The servers were real: the first on 127.0.0.1:11211, the others on the ports from 21301 on.
    /// One digit in base 36 for each key.
    #[test]
    fn frozen_vectors_of_libmemcached() {
        for (count, expected) in [
            (2, "1001000111100111001101110011001100000110111011100010000011110110001110111101011100000100111011111011"),
            (3, "1202000221122111001222210221201102020110112021100210000022120120221220222221212200020102112221221012"),
            (5, "1233000324122311401232210224241103020313114021300440000024120120221240422321213400420104343231241312"),
            (6, "1233000354122511555232210255241103020313114051300540000024550550221240422321513400420104353551241312"),
            (7, "1233060356126511555262210255241103620313114056300540000066550556621240422366516400420104353561641312"),
            (
                10,
                "9233069359126511555262210255249177690398914099370740790086550557621740427767587400420187953768641812",
            ),
            (
                11,
                "9233069359126511555262210255a4917769039a9140993707407900865505a7a217404277a758740042a187953768641a1a",
            ),
            (
                13,
                "bb33069359b265b1555262210b55a4b17c690c9a91409937074079008b5505a7bc1740b277ab5874c04ba187953c6864baca",
            ),
            (
                20,
                "bbdi0f935efg6if15552je2e0bj5e4bh7eg90c9a914ge937i7407i0j8d550ej7bc1h40b277abe874c04bagif953c6864bacd",
            ),
            (
                25,
                "bmdikf93omkg6kf155n2jo2e0bm4e4bokeg90c9a91mge937i7k07i0j8mol0ejlnchn40b27nabe87mcl4bagif9o3c68m4bacd",
            ),
        ] {
            let ports = (0..count).map(|n| if n == 0 { 11_211 } else { 21_300 + n });
            assert_eq!(placed(ports.map(|port| format!("127.0.0.1:{port}"))), expected, "{count} servers");
        }
        #[cfg(unix)]
        assert_eq!(
            placed((1..4).map(|n| format!("/tmp/ketama{n}.sock"))),
            "0122022001021211122101002101121120112022000112212000201202112022112112000112010222211002220220221211"
        );
    }

    fn placed(servers: impl Iterator<Item = String>) -> String {
        let names: Vec<_> =
            servers.map(|server| Address::parse(&server, 11_211).expect("an address").ring_name(11_211)).collect();
        let ring = Ring::new(&names);
        let digit = |server| char::from_digit(u32::try_from(server).expect("few"), 36).expect("below 36");
        (0..100).map(|n| digit(ring.server(format!("session:{n}").as_bytes()))).collect()
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
