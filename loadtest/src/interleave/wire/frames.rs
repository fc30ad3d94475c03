//! PostgreSQL's wire protocol (version 3), as far as it is needed to hold a statement.
//!
//! A message is a letter, a length that includes itself, and a body. Only the client's first message has no letter.

use anyhow::ensure;

/// The longest valid message in bytes. No statement of a purchase is near this length; a longer one means another protocol.
const LONGEST: usize = 1 << 24;

/// Splits one direction of a wire into messages.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    /// Whether the next message is the client's first.
    first: bool,
}

/// A complete message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its letter; 0 for the client's first message.
    pub(crate) kind: u8,
    /// All bytes of the message.
    pub(crate) bytes: Vec<u8>,
}

impl Frames {
    /// Messages from a client.
    pub(crate) fn of_client() -> Frames {
        Frames { first: true, ..Frames::default() }
    }

    /// Messages from a server.
    pub(crate) fn of_server() -> Frames {
        Frames::default()
    }

    /// Adds bytes that were read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete message; `None` if it is not complete yet.
    ///
    /// # Errors
    /// The length is not valid, so this is not PostgreSQL's protocol.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Message>> {
        let letter = usize::from(!self.first);
        let Some(length) = self.bytes.get(letter..letter + 4) else { return Ok(None) };
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        ensure!((4..LONGEST).contains(&length), "this is not PostgreSQL's wire protocol");
        if self.bytes.len() < letter + length {
            return Ok(None);
        }
        let kind = if self.first { 0 } else { self.bytes[0] };
        self.first = false;
        let rest = self.bytes.split_off(letter + length);
        Ok(Some(Message { kind, bytes: std::mem::replace(&mut self.bytes, rest) }))
    }
}

impl Message {
    /// From a `Parse` message: the statement's name and its SQL.
    pub(crate) fn parsed(&self) -> Option<(String, String)> {
        let mut body = self.body();
        Some((text(&mut body)?, text(&mut body)?))
    }

    /// From a `Bind` message: the statement's name, and the values of `$1`, `$2` … that are numbers.
    pub(crate) fn bound(&self) -> Option<(String, Vec<Option<i64>>)> {
        let mut body = self.body();
        let (_portal, name) = (text(&mut body)?, text(&mut body)?);
        let formats = number(&mut body)?;
        body = body.get(usize::try_from(formats).ok()? * 2..)?;
        Some((name, values(&mut body)?))
    }

    /// From a `Query` message: its SQL.
    pub(crate) fn query(&self) -> Option<String> {
        text(&mut self.body())
    }

    /// From `BackendKeyData`: the PostgreSQL process id of the session.
    pub(crate) fn pid(&self) -> Option<i32> {
        Some(i32::from_be_bytes(self.body().get(..4)?.try_into().ok()?))
    }

    /// From `ReadyForQuery`: whether a transaction is open.
    pub(crate) fn in_transaction(&self) -> bool {
        self.body().first() != Some(&b'I')
    }

    /// From `CommandComplete`: the number of rows.
    pub(crate) fn rows(&self) -> Option<u64> {
        text(&mut self.body())?.rsplit(' ').next()?.parse().ok()
    }

    /// From `ErrorResponse`: the SQLSTATE code.
    pub(crate) fn code(&self) -> Option<String> {
        let mut body = self.body();
        while let Some((field, rest)) = body.split_first().filter(|(field, _)| **field != 0) {
            body = rest;
            let value = text(&mut body)?;
            if *field == b'C' {
                return Some(value);
            }
        }
        None
    }

    /// From `DataRow`: the columns that are numbers.
    pub(crate) fn columns(&self) -> Vec<Option<i64>> {
        values(&mut self.body()).unwrap_or_default()
    }

    fn body(&self) -> &[u8] {
        self.bytes.get(5..).unwrap_or_default()
    }
}

/// Takes a text that ends with a zero byte.
fn text(body: &mut &[u8]) -> Option<String> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let text = String::from_utf8_lossy(&body[..end]).into_owned();
    *body = &body[end + 1..];
    Some(text)
}

fn number(body: &mut &[u8]) -> Option<i16> {
    let (number, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(i16::from_be_bytes(*number))
}

/// Takes a count and that many values, each with its length. Values of 8 bytes are read as `bigint`.
fn values(body: &mut &[u8]) -> Option<Vec<Option<i64>>> {
    let count = number(body)?;
    let mut values = Vec::new();
    for _ in 0..count {
        let (length, rest) = body.split_first_chunk()?;
        // A length of -1 means null.
        let (value, rest) = rest.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0))?;
        values.push(value.try_into().ok().map(i64::from_be_bytes));
        *body = rest;
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind][..], &(4 + body.len() as u32).to_be_bytes(), body].concat()
    }

    fn one(kind: u8, body: &[u8]) -> Message {
        let mut frames = Frames::of_server();
        frames.push(&message(kind, body));
        frames.next().unwrap().unwrap()
    }

    #[test]
    fn messages_are_split_the_same_for_any_chunks() {
        let start = [&12u32.to_be_bytes()[..], &[0, 3, 0, 0], b"u\0\0\0"].concat();
        let all = [start.clone(), message(b'p', b"secret\0"), message(b'S', b""), message(b'Q', b"begin\0")].concat();
        for piece in 1..all.len() {
            let (mut frames, mut kinds, mut passed) = (Frames::of_client(), Vec::new(), Vec::new());
            for bytes in all.chunks(piece) {
                frames.push(bytes);
                while let Some(message) = frames.next().unwrap() {
                    kinds.push(message.kind);
                    passed.extend(message.bytes);
                }
            }
            assert_eq!(kinds, [0, b'p', b'S', b'Q'], "in pieces of {piece}");
            assert_eq!(passed, all, "nothing is lost");
        }
    }

    #[test]
    fn an_invalid_message_is_refused() {
        for length in [0u32, 3, u32::MAX] {
            let mut frames = Frames::of_server();
            frames.push(&[b"X", &length.to_be_bytes()[..]].concat());
            assert!(frames.next().is_err(), "{length}");
        }
        let mut frames = Frames::of_client();
        frames.push(b"GET / HTTP/1.1\r\n");
        assert!(frames.next().is_err());
    }

    #[test]
    fn statements_and_their_values_are_read() {
        let parse = one(b'P', b"s1\0select 1\0\0\0");
        assert_eq!(parse.parsed(), Some(("s1".into(), "select 1".into())));
        let bind = [b"\0s1\0".as_slice(), &[0, 1, 0, 1, 0, 3, 0, 0, 0, 8], &7i64.to_be_bytes()].concat();
        let bind = [bind.as_slice(), &[0xff; 4], &[0, 0, 0, 2], b"xy", &[0, 1, 0, 1]].concat();
        assert_eq!(one(b'B', &bind).bound(), Some(("s1".into(), vec![Some(7), None, None])));
        assert_eq!(one(b'Q', b"commit\0").query().as_deref(), Some("commit"));
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(one(b'K', &[0, 0, 1, 2, 9, 9, 9, 9]).pid(), Some(258));
        assert_eq!([b"I", b"T", b"E"].map(|state| one(b'Z', state).in_transaction()), [false, true, true]);
        assert_eq!(one(b'C', b"UPDATE 0\0").rows(), Some(0));
        assert_eq!(one(b'C', b"INSERT 0 1\0").rows(), Some(1));
        assert_eq!(one(b'C', b"COMMIT\0").rows(), None);
        assert_eq!(one(b'E', b"SERROR\0C40P01\0Mdeadlock detected\0\0").code().as_deref(), Some("40P01"));
        let row = [&[0, 2, 0, 0, 0, 8][..], &1i64.to_be_bytes(), &[0, 0, 0, 8], &(-2i64).to_be_bytes()].concat();
        assert_eq!(one(b'D', &row).columns(), [Some(1), Some(-2)]);
    }

    #[test]
    fn a_truncated_message_yields_nothing() {
        assert_eq!(one(b'P', b"s1").parsed(), None);
        assert_eq!(one(b'B', b"\0s1\0\0\x09").bound(), None);
        assert_eq!(one(b'E', b"SERROR\0C40").code(), None);
        assert_eq!(one(b'D', &[0, 1, 0, 0, 0, 8, 1]).columns(), []);
    }
}
