//! The printf formats that `$INT`, `$REAL` and `$STRING` take: literal text around one conversion.

use nom::bytes::complete::{take_till, take_while};
use nom::character::complete::{char, digit0, one_of};
use nom::combinator::{map_opt, opt, rest, verify};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

/// A format with exactly one conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format<'a> {
    before: &'a str,
    after: &'a str,
    left: bool,
    zero: bool,
    plus: bool,
    blank: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Printed<'a> {
    /// For `d i u x X o`.
    Integer(i64),
    /// For `e E f F g G`.
    Real(f64),
    /// For `s`.
    Text(&'a str),
}

/// Widths and precisions beyond this are refused; they only waste memory.
const WIDTH_MAX: usize = 4096;

impl<'a> Format<'a> {
    /// Reads a format; `None` if it has not exactly one conversion or an odd one.
    pub(crate) fn parse(text: &'a str) -> Option<Format<'a>> {
        let flags = take_while(|c| "-0+ #".contains(c));
        let length = take_while(|c| "lhqzj".contains(c));
        let precision = opt(preceded(char('.'), number));
        let before = terminated(take_till(|c| c == '%'), char('%'));
        let after = verify(rest, |after: &str| !after.contains('%'));
        let read: IResult<&str, _> =
            (before, flags, number, precision, preceded(length, one_of("diuxXoeEfFgGs")), after).parse_complete(text);
        let (_, (before, flags, width, precision, conversion, after)) = read.ok()?;
        Some(Format {
            before,
            after,
            left: flags.contains('-'),
            zero: flags.contains('0'),
            plus: flags.contains('+'),
            blank: flags.contains(' '),
            alternate: flags.contains('#'),
            width,
            precision,
            conversion,
        })
    }

    /// The conversion prints values of this kind.
    pub(crate) fn suits(&self, value: Printed<'_>) -> bool {
        match value {
            Printed::Integer(_) => "diuxXo".contains(self.conversion),
            Printed::Real(_) => "eEfFgG".contains(self.conversion),
            Printed::Text(_) => self.conversion == 's',
        }
    }

    /// Prints a value that [`Format::suits`].
    pub(crate) fn print(&self, value: Printed<'_>) -> String {
        let body = match value {
            Printed::Integer(number) => self.integer(number),
            Printed::Real(number) => self.real(number),
            Printed::Text(text) => text.chars().take(self.precision.unwrap_or(usize::MAX)).collect(),
        };
        let missing = self.width.saturating_sub(body.chars().count());
        let zeros = self.zero
            && !self.left
            && match value {
                Printed::Integer(_) => self.precision.is_none(),
                Printed::Real(number) => number.is_finite(),
                Printed::Text(_) => false,
            };
        let padded = if self.left {
            format!("{body}{}", " ".repeat(missing))
        } else if zeros {
            let sign = body.len() - body.trim_start_matches(['-', '+', ' ']).len();
            format!("{}{}{}", &body[..sign], "0".repeat(missing), &body[sign..])
        } else {
            format!("{}{body}", " ".repeat(missing))
        };
        format!("{}{padded}{}", self.before, self.after)
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.blank) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        }
    }

    fn integer(&self, number: i64) -> String {
        let (sign, digits) = match self.conversion {
            'x' => (if self.alternate { "0x" } else { "" }, format!("{number:x}")),
            'X' => (if self.alternate { "0X" } else { "" }, format!("{number:X}")),
            'o' => (if self.alternate { "0" } else { "" }, format!("{number:o}")),
            'u' => ("", (number as u64).to_string()),
            _ => (self.sign(number < 0), number.unsigned_abs().to_string()),
        };
        let zeros = self.precision.unwrap_or(1).saturating_sub(digits.len());
        format!("{sign}{}{digits}", "0".repeat(zeros))
    }

    fn real(&self, number: f64) -> String {
        let sign = self.sign(number.is_sign_negative());
        let size = number.abs();
        let upper = self.conversion.is_ascii_uppercase();
        let digits = if size.is_nan() {
            "nan".to_owned()
        } else if size.is_infinite() {
            "inf".to_owned()
        } else {
            let precision = self.precision.unwrap_or(6);
            match self.conversion.to_ascii_lowercase() {
                'f' => format!("{size:.precision$}"),
                'e' => exponential(size, precision),
                _ => general(size, precision, self.alternate),
            }
        };
        let digits = if upper { digits.to_ascii_uppercase() } else { digits };
        format!("{sign}{digits}")
    }
}

/// A width or precision; nothing is 0.
fn number(input: &str) -> IResult<&str, usize> {
    map_opt(digit0, |digits: &str| match digits {
        "" => Some(0),
        digits => digits.parse().ok().filter(|number| *number <= WIDTH_MAX),
    })
    .parse_complete(input)
}

/// `%e`: at least two digits of exponent.
fn exponential(size: f64, precision: usize) -> String {
    let text = format!("{size:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').expect("`{:e}` always writes an exponent");
    let (sign, figures) = exponent.strip_prefix('-').map_or(('+', exponent), |figures| ('-', figures));
    format!("{mantissa}e{sign}{figures:0>2}")
}

/// `%g`: the shorter of both, without trailing zeros.
pub(crate) fn general(size: f64, precision: usize, keep_zeros: bool) -> String {
    let precision = precision.max(1);
    let scientific = exponential(size, precision - 1);
    let exponent: i64 =
        scientific.rsplit_once('e').and_then(|(_, exponent)| exponent.parse().ok()).expect("an exponent is written");
    let trim = |text: &str| {
        if keep_zeros || !text.contains('.') {
            text.to_owned()
        } else {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    };
    if exponent < -4 || exponent >= precision as i64 {
        let (mantissa, tail) = scientific.split_once('e').expect("an exponent is written");
        format!("{}e{tail}", trim(mantissa))
    } else {
        let places = (precision as i64 - 1 - exponent).max(0) as usize;
        trim(&format!("{size:.places$}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, value: Printed<'_>, want: &str) {
        let parsed = Format::parse(format).unwrap();
        assert!(parsed.suits(value));
        assert_eq!(parsed.print(value), want, "{format}");
    }

    #[test]
    fn formats_print_like_the_c_library() {
        check("%05d", Printed::Integer(7), "00007");
        check("%05d", Printed::Integer(-7), "-0007");
        check("<%-4lld>", Printed::Integer(7), "<7   >");
        check("%x", Printed::Integer(255), "ff");
        check("%+d", Printed::Integer(1), "+1");
        check("%.3d", Printed::Integer(1), "001");
        check("%.2f", Printed::Real(7.0), "7.00");
        check("%g", Printed::Real(0.0001), "0.0001");
        check("%g", Printed::Real(1e10), "1e+10");
        check("%g", Printed::Real(0.5), "0.5");
        check("%.16G", Printed::Real(7.0), "7");
        check("%e", Printed::Real(12345.678), "1.234568e+04");
        check("%08.2f", Printed::Real(-1.5), "-0001.50");
        check("%5s|", Printed::Text("ab"), "   ab|");
        check("%.1s", Printed::Text("ab"), "a");
    }

    #[test]
    fn odd_formats_are_refused() {
        for text in ["", "d", "%", "%d%d", "%n", "%99999d", "%d%%"] {
            assert_eq!(Format::parse(text), None, "{text}");
        }
    }
}
