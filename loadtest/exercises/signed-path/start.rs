//! The hidden path of a purchase.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

/// How long a path is valid, in milliseconds.
const GOOD_FOR_MS: u64 = 60_000;

/// The paths of one instance. All instances have the same secret.
pub struct Paths {
    keyed: Hmac<Md5>,
    issued: Mutex<HashMap<String, (u64, u64, u64)>>,
}

impl Paths {
    /// Paths that are signed with this secret.
    pub fn new(secret: &[u8; 64]) -> Paths {
        Paths { keyed: Hmac::new(secret.into()), issued: Mutex::default() }
    }

    /// Issues a path to this buyer of this sale. It may contain letters, digits and `-`.
    pub fn issue(&self, now_ms: u64, sale_id: u64, buyer_id: u64) -> String {
        let path = self.sign(&format!("{now_ms}/{sale_id}/{buyer_id}"));
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.insert(path.clone(), (now_ms + GOOD_FOR_MS, sale_id, buyer_id));
        path
    }

    /// Whether the path is valid now, for this buyer of this sale.
    pub fn is_valid(&self, now_ms: u64, sale_id: u64, buyer_id: u64, path: &str) -> bool {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued
            .get(path)
            .is_some_and(|(expires, sale, buyer)| now_ms < *expires && (*sale, *buyer) == (sale_id, buyer_id))
    }

    /// The signature of a message, as hex digits.
    fn sign(&self, message: &str) -> String {
        hex::encode(self.keyed.clone().chain_update(message).finalize().into_bytes())
    }
}
