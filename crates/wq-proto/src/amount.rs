//! Quantities of resources as the wire writes them.

use nom::{IResult, Parser, bytes::complete::tag, character::complete as chr, combinator::opt, sequence::preceded};
use std::fmt;

/// A quantity in a `resource` or `cores` line: `2`, `-1`, or `2.000` where newer C peers write decimals.
///
/// Exact for up to 64 bits before the point and six decimals, and printed back as it was read. Two amounts are equal
/// only when they are written alike; compare [`Amount::floor`] for the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amount {
    whole: u64,
    millionths: u32,
    decimals: u8,
    negative: bool,
}

impl Amount {
    /// `-1`: not given.
    pub const UNSET: Self = Self { whole: 1, millionths: 0, decimals: 0, negative: true };

    /// A whole number without decimals.
    pub const fn new(whole: u64) -> Self {
        Self { whole, millionths: 0, decimals: 0, negative: false }
    }

    /// The same quantity written with `decimals` (at most 6) decimals, as current C workers do.
    pub const fn with_decimals(self, decimals: u8) -> Self {
        let decimals = if decimals > 6 { 6 } else { decimals };
        let cut = 10u32.pow(6 - decimals as u32);
        Self { millionths: self.millionths / cut * cut, decimals, ..self }
    }

    /// Whole units, rounded down; 0 for a negative amount (old workers subtract 100 MB and may go below zero).
    pub const fn floor(self) -> u64 {
        if self.negative { 0 } else { self.whole }
    }

    /// Below zero, which in a task means "not given".
    pub const fn is_negative(self) -> bool {
        self.negative
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        write!(f, "{}", self.whole)?;
        if self.decimals > 0 {
            let shown = self.millionths / 10u32.pow(6 - u32::from(self.decimals));
            write!(f, ".{shown:0width$}", width = usize::from(self.decimals))?;
        }
        Ok(())
    }
}

/// `[-]digits[.digits]`; decimals beyond the sixth are dropped.
pub(crate) fn amount(input: &[u8]) -> IResult<&[u8], Amount> {
    let (rest, (minus, whole, fraction)) =
        (opt(tag("-")), chr::u64, opt(preceded(tag("."), chr::digit1))).parse(input)?;
    let digits = fraction.unwrap_or(&b""[..]);
    let kept = &digits[..digits.len().min(6)];
    let mut millionths = 0;
    for position in 0..6 {
        millionths = millionths * 10 + kept.get(position).map_or(0, |digit| u32::from(digit - b'0'));
    }
    Ok((rest, Amount { whole, millionths, decimals: kept.len() as u8, negative: minus.is_some() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Amount> {
        match amount(text.as_bytes()) {
            Ok((b"", amount)) => Some(amount),
            _ => None,
        }
    }

    #[test]
    fn prints_back_what_was_read() {
        for (text, floor) in [
            ("0", 0),
            ("2", 2),
            ("-1", 0),
            ("2.000", 2),
            ("2000.000000", 2000),
            ("0.5", 0),
            ("-0.25", 0),
            ("1.000001", 1),
            ("18446744073709551615", u64::MAX),
        ] {
            let amount = read(text).unwrap();
            assert_eq!((amount.to_string().as_str(), amount.floor()), (text, floor));
        }
    }

    #[test]
    fn refuses_what_is_no_quantity() {
        for text in ["", "-", ".5", "1.", "--1", "nan", "inf", "0x10", "1e3", "18446744073709551616"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn decimals_are_a_matter_of_spelling() {
        assert_eq!(Amount::new(2).with_decimals(6).to_string(), "2.000000");
        assert_eq!(read("2.7500000001").unwrap().with_decimals(1).to_string(), "2.7");
        assert_eq!(Amount::UNSET.to_string(), "-1");
    }

    proptest! {
        #[test]
        fn any_spelling_survives(whole: u64, decimals in 0u8..=6, fraction in 0u32..1_000_000, negative: bool) {
            let cut = 10u32.pow(6 - u32::from(decimals));
            let amount = Amount { whole, millionths: fraction / cut * cut, decimals, negative };
            prop_assert_eq!(read(&amount.to_string()), Some(amount));
        }
    }
}
