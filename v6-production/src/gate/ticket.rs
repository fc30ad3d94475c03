//! What a buyer carries between two requests: made for one buyer, one sale and one purpose, good for a while.
//!
//! It is signed and not remembered, unlike chapter 5's paths: so each instance knows the tickets of all others, a restart forgets
//! none, and whoever asks for many takes no memory.

use super::signer::Signer;
use crate::shop::Buyer;

/// Bits below the milliseconds: two that are issued in the same one differ. SQL and Lua are told.
pub(crate) const NONCE_BITS: u32 = 12;
const SIGNATURE: usize = 16;

/// What a ticket is known by: the moment at which it was issued, in milliseconds since 1970, and 12 bits that tell two of the
/// same moment apart. 53 bits: Lua can take it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TicketId(pub(crate) i64);

impl TicketId {
    pub(crate) fn issued_at(self) -> i64 {
        self.0 >> NONCE_BITS
    }
}

/// A number that no other ticket of this buyer has, but by a rare chance.
pub(crate) fn number(now: i64) -> TicketId {
    TicketId(now << NONCE_BITS | i64::from(fastrand::u16(..1 << NONCE_BITS)))
}

/// 48 hex digits: the id and its signature. The same again for the same.
pub(crate) fn issue(signer: &Signer, purpose: &str, id: TicketId, sale_id: i64, buyer: Buyer) -> String {
    let signature = signer.sign(purpose, &[id.0, sale_id, buyer.id]);
    hex::encode(id.0.to_be_bytes()) + &hex::encode(&signature[..SIGNATURE])
}

/// Which ticket that is, if one of us has made it for this purpose, buyer and sale. It may be too old, and used.
pub(crate) fn check(signer: &Signer, purpose: &str, ticket: &str, sale_id: i64, buyer: Buyer) -> Option<TicketId> {
    let bytes = hex::decode(ticket).ok()?;
    let (id, signature) = bytes.split_at_checked(8)?;
    let id = i64::from_be_bytes(id.try_into().ok()?);
    let ours = signature.len() == SIGNATURE && signer.verify(purpose, &[id, sale_id, buyer.id], signature);
    ours.then_some(TicketId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_for_one_buyer_one_sale_and_one_purpose() {
        let signer = Signer::new("a secret of at least 32 bytes, really", &[]).unwrap();
        let (now, ada, bob) = (1_800_000_000_000, Buyer { id: 7 }, Buyer { id: 8 });
        let id = number(now);
        let ticket = issue(&signer, "path", id, 42, ada);
        assert_eq!(ticket.len(), 48);
        assert_eq!(check(&signer, "path", &ticket, 42, ada), Some(id));
        assert_eq!(id.issued_at(), now);
        assert_eq!(id.0 as f64 as i64, id.0, "Lua's numbers hold it");
        assert_eq!(check(&signer, "path", &ticket, 42, bob), None);
        assert_eq!(check(&signer, "path", &ticket, 43, ada), None);
        assert_eq!(check(&signer, "puzzle", &ticket, 42, ada), None);
        for forged in [&ticket[..47], &ticket[..46], &ticket[..16], "", "é", &format!("{ticket}00"), &"0".repeat(48)] {
            assert_eq!(check(&signer, "path", forged, 42, ada), None, "{forged}");
        }
        for place in 0..48 {
            let digit = ticket.as_bytes()[place];
            let other = if digit == b'0' { "1" } else { "0" };
            let mut forged = ticket.clone();
            forged.replace_range(place..=place, other);
            assert_eq!(check(&signer, "path", &forged, 42, ada), None, "{forged}");
        }
    }
}
