//! Replies, parsed from untrusted bytes.

use bytes::{Buf, Bytes, BytesMut};

use super::command::Cas;

/// The longest line that is read. Replies to this client's requests are far shorter; memcached's own limit is 2,048.
const MAX_LINE_BYTES: usize = 2_048;

/// A reply of the meta protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Reply {
    pub(in super::super) status: Status,
    /// The item's CAS value as the server sent it; see [`cas`](Self::cas).
    pub(in super::super) cas_number: Option<u64>,
    /// The incarnation of the server that sent the reply. It comes from the connection, not from the reply's bytes.
    pub(in super::super) incarnation: u64,
    /// Seconds left; -1 means no expiry.
    pub(in super::super) seconds_left: Option<i64>,
    /// The item's client flags.
    pub(in super::super) client_flags: Option<u32>,
    /// The opaque of the request.
    pub(in super::super) opaque: Option<u64>,
    /// The item is marked as stale, or another client is about to fill it. For this store it is absent.
    pub(in super::super) stale: bool,
    pub(in super::super) value: Bytes,
}

impl Reply {
    /// Returns the item's CAS value; `None` if the reply has none, or CAS is turned off.
    pub(in super::super) fn cas(&self) -> Option<Cas> {
        let number = self.cas_number.filter(|&number| number != 0)?;
        Some(Cas { number, incarnation: self.incarnation })
    }

    /// The reply to a request that was not sent, because its CAS value is from another incarnation.
    pub(super) fn restarted() -> Self {
        Self::of(Status::Restarted)
    }

    fn of(status: Status) -> Self {
        Self {
            status,
            cas_number: None,
            incarnation: 0,
            seconds_left: None,
            client_flags: None,
            opaque: None,
            stale: false,
            value: Bytes::new(),
        }
    }
}

/// The status of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Status {
    /// `HD`: done, or found if no value was requested.
    Done,
    /// `VA`: found, with its value.
    Value,
    /// `EN`: not found, in reply to a get.
    Miss,
    /// `NS`: not stored, because there is an item, or because there is none.
    NotStored,
    /// `EX`: the item has another CAS value.
    Exists,
    /// `NF`: not found, in reply to a change.
    NotFound,
    /// The request was not sent: its CAS value is from before a restart of the server, so it matches no item.
    Restarted,
    /// `SERVER_ERROR`, after which the connection can still be used.
    ServerError(Box<str>),
}

/// Bytes that are not a reply, or a reply after which the connection can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum ReplyError {
    #[error("protocol violation: {0}")]
    Garbage(&'static str),
    #[error("it answered \"{0}\"")]
    Refused(Box<str>),
}

/// Reads one reply from the front of `bytes`. Returns `Ok(None)` if it is not complete yet. A value may have at most
/// `max_value` bytes.
pub(in super::super) fn parse(bytes: &mut BytesMut, max_value: usize) -> Result<Option<Reply>, ReplyError> {
    let Some(end) = bytes.iter().take(MAX_LINE_BYTES).position(|&byte| byte == b'\n') else {
        let too_long = bytes.len() >= MAX_LINE_BYTES;
        return if too_long { Err(ReplyError::Garbage("a line does not end")) } else { Ok(None) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(ReplyError::Garbage("a line does not end in CR LF"))?;
    let (mut reply, length) = parse_line(line, max_value)?;
    let line_length = end + 1;
    let Some(length) = length else {
        bytes.advance(line_length);
        return Ok(Some(reply));
    };
    let whole = line_length + length + 2;
    if bytes.len() < whole {
        bytes.reserve(whole - bytes.len());
        return Ok(None);
    }
    if &bytes[whole - 2..whole] != b"\r\n" {
        return Err(ReplyError::Garbage("a value does not end where it should"));
    }
    bytes.advance(line_length);
    reply.value = bytes.split_to(length).freeze();
    bytes.advance(2);
    Ok(Some(reply))
}

/// Parses the line of a reply. Also returns the length of the value that follows, if any.
fn parse_line(line: &[u8], max_value: usize) -> Result<(Reply, Option<usize>), ReplyError> {
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let verb = words.next().ok_or(ReplyError::Garbage("a line is empty"))?;
    let status = match verb {
        b"HD" => Status::Done,
        b"VA" => Status::Value,
        b"EN" => Status::Miss,
        b"NS" => Status::NotStored,
        b"EX" => Status::Exists,
        b"NF" => Status::NotFound,
        b"SERVER_ERROR" if stays_in_step(line) => Status::ServerError(printable(line)),
        b"SERVER_ERROR" | b"CLIENT_ERROR" | b"ERROR" => return Err(ReplyError::Refused(printable(line))),
        // Not shown, since it may be part of a value.
        _ => return Err(ReplyError::Garbage("a line is no reply")),
    };
    let mut reply = Reply::of(status);
    if let Status::ServerError(_) = reply.status {
        return Ok((reply, None));
    }
    let mut length = None;
    if reply.status == Status::Value {
        let value: usize = words.next().and_then(number).ok_or(ReplyError::Garbage("a value has no length"))?;
        if value > max_value {
            return Err(ReplyError::Garbage("a value is longer than any that was stored"));
        }
        length = Some(value);
    }
    for word in words {
        let (&flag, token) = word.split_first().unwrap_or((&b' ', b""));
        let bad = ReplyError::Garbage("a flag has no valid number");
        match flag {
            b'c' => reply.cas_number = Some(number(token).ok_or(bad)?),
            b't' => reply.seconds_left = Some(signed(token).ok_or(bad)?),
            b'f' => reply.client_flags = Some(number(token).ok_or(bad)?),
            b'O' => reply.opaque = Some(number(token).ok_or(bad)?),
            b'W' | b'X' | b'Z' => reply.stale = true,
            // Later versions send flags that were not requested.
            _ => {}
        }
    }
    Ok((reply, length))
}

/// Whether the server has discarded the value after this error, and goes on to read the next line.
fn stays_in_step(line: &[u8]) -> bool {
    [&b"SERVER_ERROR object too large for cache"[..], b"SERVER_ERROR out of memory storing object"].contains(&line)
}

fn printable(line: &[u8]) -> Box<str> {
    let end = line.len().min(120);
    String::from_utf8_lossy(&line[..end]).chars().filter(|c| !c.is_control()).collect::<String>().into()
}

fn number<T: std::str::FromStr>(token: &[u8]) -> Option<T> {
    // `from_str` would accept a sign.
    token.first().filter(|first| first.is_ascii_digit())?;
    std::str::from_utf8(token).ok()?.parse().ok()
}

fn signed(token: &[u8]) -> Option<i64> {
    match token.strip_prefix(b"-") {
        Some(token) => number::<i64>(token).map(|number| -number),
        // Seen after a touch to a time in the past: the negative difference as an unsigned number.
        None => number::<i64>(token),
    }
}

/// Checks for the fuzz target that bytes are read alike whether they come at once or one by one.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    let read = |size: usize| {
        let (mut buffer, mut replies) = (BytesMut::new(), Vec::new());
        for piece in data.chunks(size) {
            buffer.extend_from_slice(piece);
            loop {
                match parse(&mut buffer, 1 << 16) {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(error) => return (replies, Some(error)),
                }
            }
        }
        (replies, None)
    };
    assert_eq!(read(data.len().max(1)), read(1));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1 << 16;

    fn all(bytes: &[u8]) -> (Vec<Reply>, Option<ReplyError>) {
        pieces(std::iter::once(bytes))
    }

    fn pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Reply>, Option<ReplyError>) {
        let (mut buffer, mut replies) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match parse(&mut buffer, MAX) {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(error) => return (replies, Some(error)),
                }
            }
        }
        (replies, None)
    }

    #[test]
    fn replies_of_a_real_server_are_read() {
        let (replies, error) = all(b"HD c1 O1\r\nVA 5 c1 t60 f0 O2\r\nhello\r\nEN\r\nNS c0 O3\r\nEX c0\r\nNF c0\r\n\
              VA 0 s0 W X t-1\r\n\r\nHD t4294967234 f4294967295 O13\r\nSERVER_ERROR object too large for cache\r\n");
        assert_eq!(error, None);
        let seen: Vec<_> =
            replies.iter().map(|reply| (&reply.status, reply.cas_number, reply.opaque, reply.stale)).collect();
        assert_eq!(
            seen,
            [
                (&Status::Done, Some(1), Some(1), false),
                (&Status::Value, Some(1), Some(2), false),
                (&Status::Miss, None, None, false),
                (&Status::NotStored, Some(0), Some(3), false),
                (&Status::Exists, Some(0), None, false),
                (&Status::NotFound, Some(0), None, false),
                (&Status::Value, None, None, true),
                (&Status::Done, None, Some(13), false),
                (&Status::ServerError("SERVER_ERROR object too large for cache".into()), None, None, false),
            ]
        );
        assert_eq!(replies[1].value, "hello");
        assert_eq!((replies[1].seconds_left, replies[1].client_flags), (Some(60), Some(0)));
        assert_eq!(replies[6].seconds_left, Some(-1));
    }

    #[test]
    fn a_malformed_reply_is_an_error_that_shows_no_value() {
        for garbage in [
            &b"\r\n"[..],
            b"secret\r\n",
            b"HD c1\n",
            b"HD cx\r\n",
            b"HD c+1\r\n",
            b"HD c\r\n",
            b"HD t--1\r\n",
            b"HD f4294967296\r\n",
            b"HD c18446744073709551616\r\n",
            b"VA\r\n",
            b"VA -1\r\n",
            b"VA 65537\r\n",
            b"VA 3 c1\r\nabcde\r\n",
            b"VA 18446744073709551615\r\n",
            &[b'x'; MAX_LINE_BYTES],
        ] {
            let (replies, error) = all(garbage);
            assert!(replies.is_empty(), "{replies:?}");
            let error = error.expect("an error");
            assert!(matches!(error, ReplyError::Garbage(_)) && !error.to_string().contains("secret"), "{error}");
        }
        for refused in ["ERROR", "CLIENT_ERROR bad data chunk", "SERVER_ERROR something else"] {
            let (_, error) = all(format!("{refused}\r\n").as_bytes());
            assert_eq!(error, Some(ReplyError::Refused(refused.into())));
        }
    }

    fn reply() -> impl Strategy<Value = Reply> {
        let value = proptest::collection::vec(any::<u8>(), 0..64);
        (0..6usize, any::<[Option<u64>; 2]>(), any::<Option<u32>>(), any::<Option<i32>>(), any::<bool>(), value)
            .prop_map(|(status, [cas_number, opaque], client_flags, left, stale, value)| {
                let statuses =
                    [Status::Done, Status::Value, Status::Miss, Status::NotStored, Status::Exists, Status::NotFound];
                let status = statuses[status].clone();
                let value = if status == Status::Value { Bytes::from(value) } else { Bytes::new() };
                let seconds_left = left.map(i64::from);
                Reply { cas_number, seconds_left, client_flags, opaque, stale, value, ..Reply::of(status) }
            })
    }

    fn encode(reply: &Reply) -> Vec<u8> {
        let verb = match reply.status {
            Status::Done => "HD",
            Status::Value => "VA",
            Status::Miss => "EN",
            Status::NotStored => "NS",
            Status::Exists => "EX",
            _ => "NF",
        };
        let mut line = verb.to_owned();
        if reply.status == Status::Value {
            line += &format!(" {}", reply.value.len());
        }
        line += &reply.cas_number.map(|n| format!(" c{n}")).unwrap_or_default();
        line += &reply.seconds_left.map(|n| format!(" t{n}")).unwrap_or_default();
        line += &reply.client_flags.map(|n| format!(" f{n}")).unwrap_or_default();
        line += &reply.opaque.map(|n| format!(" O{n}")).unwrap_or_default();
        line += if reply.stale { " X s12 kkey\r\n" } else { " b\r\n" };
        let mut bytes = line.into_bytes();
        if reply.status == Status::Value {
            bytes.extend_from_slice(&reply.value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    proptest! {
        #[test]
        fn replies_come_back_however_they_are_split(
            replies in proptest::collection::vec(reply(), 0..8),
            size in 1usize..40,
        ) {
            let bytes: Vec<u8> = replies.iter().flat_map(encode).collect();
            let (parsed, error) = pieces(bytes.chunks(size));
            prop_assert_eq!(error, None);
            prop_assert_eq!(parsed, replies);
        }

        #[test]
        fn hostile_bytes_never_panic_and_do_not_depend_on_the_split(
            tokens in proptest::collection::vec(
                prop_oneof![
                    Just(&b"VA "[..]), Just(&b"HD "[..]), Just(&b"\r\n"[..]), Just(&b" c1"[..]), Just(&b"5"[..]),
                    Just(&b"O"[..]), Just(&b"\0\xff"[..]), Just(&b"SERVER_ERROR "[..]), Just(&b"t-"[..]),
                ],
                0..40,
            ),
            size in 1usize..9,
        ) {
            let bytes = tokens.concat();
            prop_assert_eq!(pieces(bytes.chunks(size)), all(&bytes));
        }

        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>) {
            let (replies, _) = all(&bytes);
            prop_assert!(replies.len() <= bytes.len());
        }
    }
}
