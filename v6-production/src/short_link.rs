//! The code in a sale's short address: four characters, which can be read out on the telephone.
//!
//! There is no table: the code is a permutation of the sale's id, which every instance can invert. It is not a secret: a sale is
//! public.

use crate::order_id::MOST_SALES;

/// Crockford's base 32. It has no I, L and O, which look like digits, and no U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Four digits of five bits: the 20 bits of a sale's id.
const LENGTH: usize = 4;

/// The factor of the permutation. It is odd, so that the multiplication modulo 2^20 can be inverted, and close to 2^20 divided by
/// the golden ratio, so that consecutive ids have very different codes.
const FACTOR: i64 = 0x9E377;
/// The inverse of `FACTOR` modulo 2^20.
const INVERSE: i64 = inverse(FACTOR);

/// The product modulo 2^20, which is one more than the highest id of a sale.
const fn times(one: i64, other: i64) -> i64 {
    (one * other) & MOST_SALES
}

/// The inverse of an odd number modulo 2^20, by Newton's method. The number itself is right in three bits, and each step doubles
/// them.
const fn inverse(odd: i64) -> i64 {
    let mut inverse = odd;
    let mut right = 3;
    while right < 20 {
        inverse = times(inverse, 2 - times(odd, inverse));
        right *= 2;
    }
    inverse
}

/// The code of a sale.
pub(crate) fn code(sale_id: i64) -> String {
    let mixed = times(sale_id, FACTOR);
    (0..LENGTH).rev().map(|place| DIGITS[(mixed >> (5 * place) & 31) as usize] as char).collect()
}

/// The sale of a code; `None` if it is not a code. As Crockford defines it, lower case is accepted, O is read as 0, and I and L as
/// 1.
pub(crate) fn sale_id(code: &str) -> Option<i64> {
    if code.len() != LENGTH {
        return None;
    }
    let mixed = code.bytes().try_fold(0, |number, byte| {
        let byte = match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            byte => byte,
        };
        let digit = DIGITS.iter().position(|&digit| digit == byte)?;
        Some(number << 5 | digit as i64)
    })?;
    Some(times(mixed, INVERSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sale_has_a_code_of_its_own() {
        let mut seen = vec![false; 1 << 20];
        for id in 0..=MOST_SALES {
            let code = code(id);
            assert_eq!(sale_id(&code), Some(id), "{code}");
            let mixed = times(id, FACTOR) as usize;
            assert!(!std::mem::replace(&mut seen[mixed], true), "{code} twice");
        }
    }

    #[test]
    fn neighbours_do_not_look_like_neighbours() {
        assert_eq!([1, 2, 3, 42].map(code), ["KRVQ", "7HQE", "VAK5", "YMC6"]);
        for id in 1..10_000 {
            let (one, next) = (code(id), code(id + 1));
            let same = one.bytes().zip(next.bytes()).filter(|(one, next)| one == next).count();
            assert_eq!(same, 0, "{one} {next}");
        }
    }

    #[test]
    fn it_is_read_as_people_write_it() {
        let code = |text| sale_id(text);
        assert_eq!(code("krvq"), code("KRVQ"));
        assert_eq!(code("oO0o"), Some(0));
        assert_eq!(code("iIlL"), code("1111"));
        for none in ["", "KRV", "KRVQQ", "KRVU", "KR-Q", "KR Q", "ÄÄ", "🛒", "KRV\0"] {
            assert_eq!(code(none), None, "{none}");
        }
    }
}
