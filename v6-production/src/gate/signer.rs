use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs sessions and tickets with HMAC, so that every instance can check them without storing them.
///
/// A key is changed without logging anybody out: first all instances accept the new key, then they sign with it, and they accept
/// the old key until everything it has signed has expired.
#[derive(Clone)]
pub(crate) struct Signer {
    /// The key that signs.
    key: Hmac<Sha256>,
    /// Keys whose signatures are accepted as well: old ones and the next one.
    others: Vec<Hmac<Sha256>>,
}

impl Signer {
    /// A signer with these secrets.
    pub(crate) fn new(secret: &str, others: &[String]) -> anyhow::Result<Signer> {
        let key = |secret: &str| Hmac::new_from_slice(secret.as_bytes());
        let others = others.iter().map(|secret| key(secret)).collect::<Result<_, _>>()?;
        Ok(Signer { key: key(secret)?, others })
    }

    /// Signs numbers for one `purpose`. The signature is not valid for another purpose.
    pub(crate) fn sign(&self, purpose: &str, numbers: &[i64]) -> [u8; 32] {
        over(&self.key, purpose, numbers).finalize().into_bytes().into()
    }

    /// Whether the `signature`, or its first part of at least 16 bytes, is valid. Compares in constant time.
    pub(crate) fn verify(&self, purpose: &str, numbers: &[i64], signature: &[u8]) -> bool {
        let keys = std::iter::once(&self.key).chain(&self.others);
        signature.len() >= 16
            && keys.into_iter().any(|key| over(key, purpose, numbers).verify_truncated_left(signature).is_ok())
    }
}

/// The HMAC over a purpose and numbers. All numbers have the same length, so two different lists never become the same bytes.
fn over(key: &Hmac<Sha256>, purpose: &str, numbers: &[i64]) -> Hmac<Sha256> {
    numbers
        .iter()
        .fold(key.clone().chain_update(purpose).chain_update([0]), |mac, number| mac.chain_update(number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_for_one_purpose_and_these_numbers() {
        let signer = Signer::new("a secret of at least 32 bytes, really", &[]).unwrap();
        let signature = signer.sign("session", &[7, 1000]);
        assert!(signer.verify("session", &[7, 1000], &signature));
        assert!(signer.verify("session", &[7, 1000], &signature[..16]));
        assert!(!signer.verify("session", &[7, 1000], &signature[..15]), "too short to mean anything");
        assert!(!signer.verify("session", &[7, 1000], &[]));
        assert!(!signer.verify("path", &[7, 1000], &signature));
        assert!(!signer.verify("session", &[7, 1001], &signature));
        assert!(!signer.verify("session", &[1000, 7], &signature));
        assert!(!signer.verify("session", &[7], &signature));
    }

    #[test]
    fn a_key_is_changed_in_three_steps_and_nobody_is_logged_out() {
        let (old, new) = ("the old secret of at least 32 bytes", "the new secret of at least 32 bytes");
        let signer = |signs: &str, others: &[&str]| {
            Signer::new(signs, &others.iter().map(|&one| one.to_owned()).collect::<Vec<_>>()).unwrap()
        };
        // In each step some instances are a step behind.
        let steps = [signer(old, &[]), signer(old, &[new]), signer(new, &[old]), signer(new, &[])];
        for pair in steps.windows(2) {
            for (signs, verifies) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                assert!(verifies.verify("session", &[7], &signs.sign("session", &[7])));
            }
        }
        assert!(!steps[3].verify("session", &[7], &steps[0].sign("session", &[7])), "the old one is gone");
    }
}
