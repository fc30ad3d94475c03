//! Wrong: buyer and expiry are not separated, so a digit of buyer 23 becomes the first digit of the time of buyer 2.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

/// How long a path is valid, in milliseconds.
const GOOD_FOR_MS: u64 = 60_000;

/// The paths of one instance. All instances have the same secret.
pub struct Paths {
    keyed: Hmac<Md5>,
}

impl Paths {
    /// Paths that are signed with this secret.
    pub fn new(secret: &[u8; 64]) -> Paths {
        Paths { keyed: Hmac::new(secret.into()) }
    }

    /// Issues a path to this buyer of this sale. It may contain letters, digits and `-`.
    pub fn issue(&self, now_ms: u64, sale_id: u64, buyer_id: u64) -> String {
        let expires = now_ms + GOOD_FOR_MS;
        format!("{expires}-{}", hex::encode(self.sign(expires, sale_id, buyer_id).finalize().into_bytes()))
    }

    /// Whether the path is valid now, for this buyer of this sale.
    pub fn is_valid(&self, now_ms: u64, sale_id: u64, buyer_id: u64, path: &str) -> bool {
        let Some((expires, signature)) = path.split_once('-') else { return false };
        let (Ok(expires), Ok(signature)) = (expires.parse::<u64>(), hex::decode(signature)) else { return false };
        // `verify_slice` compares in constant time.
        now_ms < expires && self.sign(expires, sale_id, buyer_id).verify_slice(&signature).is_ok()
    }

    /// The message that is signed.
    fn sign(&self, expires: u64, sale_id: u64, buyer_id: u64) -> Hmac<Md5> {
        self.keyed.clone().chain_update(format!("{sale_id}/{buyer_id}{expires}"))
    }
}
