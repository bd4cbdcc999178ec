//! Reals as C prints them.

/// `%.15E`, the new syntax. Zero is `0.0` or `-0.0`; infinity and NaN are calls that give them back.
pub(super) fn new(real: f64) -> String {
    if let Some(special) = special(real) {
        return special.to_owned();
    }
    let (mantissa, exponent) = scientific(real);
    format!("{mantissa}{}", exponent_text(exponent))
}

/// `%.16G`, the old syntax, with `.0` where neither point nor exponent is left.
pub(super) fn old(real: f64) -> String {
    if let Some(special) = special(real) {
        return special.to_owned();
    }
    let (mantissa, exponent) = scientific(real);
    if !(-4..16).contains(&exponent) {
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        return format!("{mantissa}{}", exponent_text(exponent));
    }
    let decimals = usize::try_from(15 - exponent).expect("the exponent is below 16");
    let fixed = format!("{real:.decimals$}");
    if decimals == 0 {
        return fixed + ".0";
    }
    let short = fixed.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

fn special(real: f64) -> Option<&'static str> {
    if real.is_nan() {
        Some("real(\"NaN\")")
    } else if real == f64::INFINITY {
        Some("real(\"INF\")")
    } else if real == f64::NEG_INFINITY {
        Some("real(\"-INF\")")
    } else if real == 0.0 {
        Some(if real.is_sign_negative() { "-0.0" } else { "0.0" })
    } else {
        None
    }
}

/// Mantissa with 15 decimals and the exponent.
fn scientific(real: f64) -> (String, i32) {
    let text = format!("{real:.15e}");
    let (mantissa, exponent) = text.split_once('e').expect("`e` formatting writes an e");
    (mantissa.to_owned(), exponent.parse().expect("`e` formatting writes a decimal exponent"))
}

/// At least two digits, always a sign.
fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("E{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_c_prints() {
        for (real, old, new) in [
            (2.5, "2.5", "2.500000000000000E+00"),
            (3.0, "3.0", "3.000000000000000E+00"),
            (-0.0, "-0.0", "-0.0"),
            (1e15, "1000000000000000.0", "1.000000000000000E+15"),
            (1e16, "1E+16", "1.000000000000000E+16"),
            (1e-5, "1E-05", "1.000000000000000E-05"),
            (1e308, "1E+308", "1.000000000000000E+308"),
            (0.0001, "0.0001", "1.000000000000000E-04"),
            (1.0 / 3.0, "0.3333333333333333", "3.333333333333333E-01"),
            (f64::NEG_INFINITY, "real(\"-INF\")", "real(\"-INF\")"),
        ] {
            assert_eq!((super::old(real).as_str(), super::new(real).as_str()), (old, new));
        }
    }
}
