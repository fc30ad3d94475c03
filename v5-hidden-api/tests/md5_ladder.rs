//! Four ways to make a hidden path with MD5, each safer than the one before, and an attack on each. The attacks on the first three
//! *succeed*. On the fourth, which the shop uses, all attacks fail.

use clap::Parser;
use md5::{
    Digest, Md5,
    digest::common::hazmat::{SerializableState, SerializedState},
};
use v5_hidden_api::{Config, gate::path::Paths};

fn bytes(digits: &str) -> [u8; 16] {
    hex::decode(digits).unwrap().try_into().unwrap()
}

/// The first way: a hash of public numbers. It looks random, but anybody can compute it.
mod ids {
    use super::*;

    pub(crate) fn path(buyer: i64, sale: i64) -> String {
        hex::encode(Md5::digest(format!("{buyer}-{sale}")))
    }
}

#[test]
fn rung_1_anybody_computes_it() {
    let (victim, sale) = (7, 42);
    let given_out = ids::path(victim, sale);
    // The attacker knows the two numbers an hour before the sale opens.
    let computed = hex::encode(Md5::digest(format!("{victim}-{sale}")));
    assert_eq!(computed, given_out);
}

/// The second way: a classic sample with a salt. The two numbers are added before the hash, so different pairs have the same path;
/// and the salt is in the source code.
mod classic {
    use super::*;

    pub(crate) fn path(buyer: i64, sale: i64) -> String {
        hex::encode(Md5::digest(format!("{}!AW#", buyer + sale)))
    }
}

#[test]
fn rung_2_one_buyers_path_is_anothers() {
    assert_eq!(classic::path(1, 4), classic::path(2, 3), "buyer 1 at sale 4 has the path of buyer 2 at sale 3");
    let computed = hex::encode(Md5::digest("49!AW#"));
    assert_eq!(computed, classic::path(7, 42), "and whoever has read the source computes it");
}

/// The third way: a secret before the message. Without the secret nobody can compute the hash from the start, but MD5 can be
/// continued from its result (a length extension attack).
mod secret_prefix {
    use super::*;

    const SECRET: &[u8] = b"nobody knows these 32 odd bytes!!";

    pub(crate) fn sign(message: &[u8]) -> String {
        hex::encode(Md5::new().chain_update(SECRET).chain_update(message).finalize())
    }

    /// A shop that checks such a path, and sells from the sale in the message. As usual, the last of two equal keys counts.
    pub(crate) fn sale_to_sell(message: &[u8], path: &str) -> Option<i64> {
        let right = sign(message) == path;
        let message = String::from_utf8_lossy(message);
        let last = message.split('&').filter_map(|pair| pair.strip_prefix("sale=")).next_back()?;
        if right { last.parse().ok() } else { None }
    }
}

/// The padding that MD5 appends to a message of `length` bytes.
fn padding(length: usize) -> Vec<u8> {
    let mut padding = vec![0x80];
    padding.resize(1 + (55 + 64 - length % 64) % 64, 0);
    padding.extend((length as u64 * 8).to_le_bytes());
    padding
}

/// Continues MD5 from a hash, as if `length` bytes had been hashed before (a whole number of blocks).
fn hash_on(hash: &str, length: usize, more: &[u8]) -> String {
    let mut state: SerializedState<Md5> = Md5::new().serialize();
    state[..16].copy_from_slice(&bytes(hash));
    state[16..24].copy_from_slice(&(length as u64 / 64).to_le_bytes());
    let taken_up = Md5::deserialize(&state).expect("a state of MD5");
    hex::encode(taken_up.chain_update(more).finalize())
}

/// An extended message and its path, from the path of `message` alone, if the secret has `secret` bytes.
fn extend(message: &[u8], path: &str, secret: usize, added: &[u8]) -> (Vec<u8>, String) {
    let padding = padding(secret + message.len());
    let hashed = secret + message.len() + padding.len();
    ([message, &padding, added].concat(), hash_on(path, hashed, added))
}

#[test]
fn rung_3_a_hash_can_be_taken_up_where_it_ended() {
    let mine = b"buyer=7&sale=3";
    let path = secret_prefix::sign(mine);
    assert_eq!(secret_prefix::sale_to_sell(mine, &path), Some(3));
    assert_eq!(secret_prefix::sale_to_sell(b"buyer=7&sale=4", &path), None);

    // The secret stays unknown. The attacker tries its length.
    let sold = (1..64).find_map(|secret| {
        let (message, path) = extend(mine, &path, secret, b"&sale=4");
        secret_prefix::sale_to_sell(&message, &path)
    });
    assert_eq!(sold, Some(4), "a path for sale 4, which was never issued");
}

/// The fourth way, which the shop uses: HMAC, which hashes twice and so cannot be extended, over parts of fixed length, with a
/// nonce that the shop keeps.
#[test]
fn rung_4_all_of_these_fail() {
    let config = Config::try_parse_from(["v5", "--path-secret", "nobody knows these 32 odd bytes!!"]).unwrap();
    let paths = Paths::new(&config.rules).unwrap();
    let now = 1_000_000;
    let path = paths.issue(now, 3, 7).unwrap();

    let mut forged = vec![ids::path(7, 3), classic::path(7, 3), secret_prefix::sign(b"buyer=7&sale=3")];
    forged.push("0".repeat(32));
    let numbers = [3_i64.to_be_bytes(), 7_i64.to_be_bytes()].concat();
    forged.extend((1..200).map(|secret| extend(&numbers, &path, secret, b"").1));
    for forged in &forged {
        assert!(!paths.redeem(now, 3, 7, forged), "{forged}");
    }
    // Other buyers and sales with the same sum.
    for (sale, buyer) in [(4, 6), (2, 8), (7, 3), (3, 8), (4, 7)] {
        assert!(paths.issue(now, sale, buyer).unwrap() != path);
        assert!(!paths.redeem(now, sale, buyer, &path), "sale {sale}, buyer {buyer}");
    }
    assert!(paths.redeem(now, 3, 7, &path), "its own buyer, for its own sale");
    assert!(!paths.redeem(now, 3, 7, &path), "once");
}

/// The same buyer and sale get a different path each time, because of the nonce.
#[test]
fn no_path_tells_the_next() {
    let config = Config::try_parse_from(["v5"]).unwrap();
    let paths = Paths::new(&config.rules).unwrap();
    let first = paths.issue(0, 3, 7).unwrap();
    let second = paths.issue(0, 3, 7).unwrap();
    assert_ne!(first, second);
    assert!(!paths.redeem(0, 3, 7, &first), "the first is worth nothing once there is a second");
    assert!(paths.redeem(0, 3, 7, &second));
}

/// Published test vectors: this is MD5, and HMAC-MD5 (RFC 2202).
#[test]
fn these_are_the_functions_that_the_names_say() {
    use hmac::{Hmac, KeyInit, Mac};
    assert_eq!(hex::encode(Md5::digest("message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
    let mac = Hmac::<Md5>::new_from_slice(b"Jefe").unwrap().chain_update("what do ya want for nothing?");
    assert_eq!(hex::encode(mac.finalize().into_bytes()), "750c783e6ab0b503eaa86e310a5db738");
}
