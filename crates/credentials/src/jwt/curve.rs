//! Whether a public point is sound, asked once, when a key is read.
//!
//! `ring` checks the NIST points again at each verification, but offers no check without a
//! signature; without this one a misspelt key would look good until the first token fails. Only
//! public values pass through here, so nothing has to run in constant time, and clarity was chosen
//! over speed: a check takes some microseconds.

/// A number of up to 384 bits, least significant limb first.
type Number = [u64; 6];

/// A curve `y^2 = x^3 - 3x + b` over the integers modulo `p`.
pub(super) struct Curve {
    p: Number,
    b: Number,
}

/// P-256 (NIST SP 800-186, section 3.2.1.3).
pub(super) const P256: Curve = Curve {
    p: [0xffff_ffff_ffff_ffff, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001, 0, 0],
    b: [
        0x3bce_3c3e_27d2_604b,
        0x651d_06b0_cc53_b0f6,
        0xb3eb_bd55_7698_86bc,
        0x5ac6_35d8_aa3a_93e7,
        0,
        0,
    ],
};

/// P-384 (NIST SP 800-186, section 3.2.1.4).
pub(super) const P384: Curve = Curve {
    p: [
        0x0000_0000_ffff_ffff,
        0xffff_ffff_0000_0000,
        0xffff_ffff_ffff_fffe,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
    ],
    b: [
        0x2a85_c8ed_d3ec_2aef,
        0xc656_398d_8a2e_d19d,
        0x0314_088f_5013_875a,
        0x181d_9c6e_fe81_4112,
        0x988e_056b_e3f8_2d19,
        0xb331_2fa7_e23e_e7e4,
    ],
};

impl Curve {
    /// Whether two big-endian coordinates are below `p` and solve the curve's equation.
    pub(super) fn contains(&self, x: &[u8], y: &[u8]) -> bool {
        let (x, y) = (number(x), number(y));
        if !is_below(&x, &self.p) || !is_below(&y, &self.p) {
            return false;
        }
        let three_x = self.add(&x, &self.add(&x, &x));
        let cube = self.multiply(&x, &self.multiply(&x, &x));
        self.add(&self.multiply(&y, &y), &three_x) == self.add(&cube, &self.b)
    }

    /// The sum modulo `p` of two numbers below `p`.
    fn add(&self, left: &Number, right: &Number) -> Number {
        let (sum, carry) = limbwise(left, right, add_limbs);
        if carry || !is_below(&sum, &self.p) {
            limbwise(&sum, &self.p, subtract_limbs).0
        } else {
            sum
        }
    }

    /// The product modulo `p`: double and add, from the highest bit of `right` down.
    fn multiply(&self, left: &Number, right: &Number) -> Number {
        let mut product = Number::default();
        for limb in right.iter().rev() {
            for bit in (0..u64::BITS).rev() {
                product = self.add(&product, &product);
                if limb >> bit & 1 == 1 {
                    product = self.add(&product, left);
                }
            }
        }
        product
    }
}

/// One limb of a sum, and the carry out of it.
fn add_limbs(left: u64, right: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = left.overflowing_add(right);
    let (sum, second) = sum.overflowing_add(carry.into());
    (sum, first || second)
}

/// One limb of a difference, and the borrow out of it.
fn subtract_limbs(left: u64, right: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = left.overflowing_sub(right);
    let (difference, second) = difference.overflowing_sub(borrow.into());
    (difference, first || second)
}

/// Adds or subtracts limb by limb, and says whether something was left over.
fn limbwise(
    left: &Number,
    right: &Number,
    step: fn(u64, u64, bool) -> (u64, bool),
) -> (Number, bool) {
    let mut result = *left;
    let mut over = false;
    for (limb, other) in result.iter_mut().zip(right) {
        (*limb, over) = step(*limb, *other, over);
    }
    (result, over)
}

fn is_below(left: &Number, right: &Number) -> bool {
    left.iter().rev().lt(right.iter().rev())
}

/// Reads at most 48 big-endian bytes.
fn number(bytes: &[u8]) -> Number {
    let mut number = Number::default();
    for (limb, chunk) in number.iter_mut().zip(bytes.rchunks(8)) {
        *limb = chunk.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    }
    number
}

/// Every encoding of a point of order 1, 2, 4 or 8 on Ed25519 (RFC 8032, section 5.1.2), without
/// its sign bit. For such a key, anyone can make signatures that verify; all zeros, which a
/// forgotten placeholder would hold, is one of them.
const WEAK_ED25519: [[u8; 32]; 7] = [
    [0; 32],
    [
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [
        0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [
        0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
];

/// Whether a 32-byte Ed25519 key is a point of small order.
pub(super) fn is_weak_ed25519(point: &[u8]) -> bool {
    let Some((last, rest)) = point.split_last() else { return true };
    WEAK_ED25519.iter().any(|weak| weak.split_last() == Some((&(last & 0x7f), rest)))
}

#[cfg(test)]
mod tests;
