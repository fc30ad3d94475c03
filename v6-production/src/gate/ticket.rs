//! A ticket: a signed token that a buyer brings to the next request, made for one buyer, one sale and one purpose.
//!
//! Unlike chapter 5's paths, tickets are not stored. So every instance accepts the tickets of all others, a restart loses none, and
//! a buyer who asks for many uses no memory.

use super::signer::Signer;
use crate::shop::Buyer;

/// Random bits below the milliseconds in a ticket's id, so that two tickets of the same millisecond differ. SQL and Lua get this
/// number as a parameter.
pub(crate) const NONCE_BITS: u32 = 12;
/// Bytes of the signature in a ticket.
const SIGNATURE: usize = 16;

/// The id of a ticket: when it was issued, in milliseconds since 1970, and 12 random bits. It has 53 bits, the integers that Lua
/// holds exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TicketId(pub(crate) i64);

impl TicketId {
    /// When the ticket was issued, in milliseconds since 1970.
    pub(crate) fn issued_at(self) -> i64 {
        self.0 >> NONCE_BITS
    }
}

/// A new id. Two tickets of one buyer almost never have the same.
pub(crate) fn number(now: i64) -> TicketId {
    TicketId(now << NONCE_BITS | i64::from(fastrand::u16(..1 << NONCE_BITS)))
}

/// A ticket with this id: 48 hex digits, the id and its signature. The same arguments give the same ticket.
pub(crate) fn issue(signer: &Signer, purpose: &str, id: TicketId, sale_id: i64, buyer: Buyer) -> String {
    let signature = signer.sign(purpose, &[id.0, sale_id, buyer.id]);
    hex::encode(id.0.to_be_bytes()) + &hex::encode(&signature[..SIGNATURE])
}

/// The id of a ticket; `None` if it was not issued for this purpose, buyer and sale. It may be expired or used.
pub(crate) fn check(signer: &Signer, purpose: &str, ticket: &str, sale_id: i64, buyer: Buyer) -> Option<TicketId> {
    let mut bytes = [0; 8 + SIGNATURE];
    hex::decode_to_slice(ticket, &mut bytes).ok()?;
    let (id, signature) = bytes.split_first_chunk()?;
    let id = i64::from_be_bytes(*id);
    signer.verify(purpose, &[id, sale_id, buyer.id], signature).then_some(TicketId(id))
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
