//! Values of attributes in events, and how the three layouts write them.

use std::cmp::Ordering;

/// Attributes with their values.
pub type Attributes = Vec<(String, Value)>;

/// The values that occur in events: a small part of the ClassAd language, plus any expression as text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A real number.
    Real(f64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Text(String),
    /// A nested ad.
    Ad(Attributes),
    /// Anything else, as an expression in new ClassAd syntax, unparsed.
    Expr(String),
}

impl Value {
    /// Makes a string value.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// The value as it stands in a line of the classic layout.
    pub(crate) fn classic(&self) -> String {
        match self {
            Value::Int(number) => number.to_string(),
            Value::Real(number) => real(*number),
            Value::Bool(truth) => truth.to_string(),
            Value::Text(text) => quoted(text),
            Value::Ad(attributes) => classic_ad(attributes),
            Value::Expr(expr) => expr.clone(),
        }
    }

    /// Reads what [`Value::classic`] prints; what is no literal becomes an expression.
    pub(crate) fn read_classic(text: &str) -> Value {
        let literal = if text == "true" || text == "false" {
            Value::Bool(text == "true")
        } else if let Some(string) = unquoted(text) {
            Value::Text(string)
        } else if let Ok(number) = text.parse::<i64>() {
            Value::Int(number)
        } else if let Some(number) = real_literal(text) {
            Value::Real(number)
        } else {
            return Value::Expr(text.to_owned());
        };
        // `007` or `1.50` are numbers too, but would print differently.
        if literal.classic() == text { literal } else { Value::Expr(text.to_owned()) }
    }
}

/// A real in the old ClassAd form: shortest digits, with `.0` where it would look whole.
pub(crate) fn real(number: f64) -> String {
    if !number.is_finite() {
        let name = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "INF"
        } else {
            "-INF"
        };
        return format!("real(\"{name}\")");
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{number:E}");
        let (digits, exponent) = text.split_once('E').expect("the E form has an E");
        let exponent: i32 = exponent.parse().expect("the E form ends in a number");
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}E{sign}{:02}", exponent.abs());
    }
    let text = number.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn real_literal(text: &str) -> Option<f64> {
    let looks_real = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if looks_real { text.parse().ok() } else { None }
}

/// A string as a ClassAd literal.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The string of a ClassAd literal that spans the whole text.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    loop {
        match chars.next()? {
            '"' => return chars.as_str().is_empty().then_some(out),
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                c => c,
            }),
            c => out.push(c),
        }
    }
}

/// An ad on one line, as in the notes of a submit event.
pub(crate) fn classic_ad(attributes: &Attributes) -> String {
    if attributes.is_empty() {
        return "[  ]".to_owned();
    }
    let inner: Vec<String> =
        by_length(attributes).iter().map(|(name, value)| format!("{name} = {}", value.classic())).collect();
    format!("[ {} ]", inner.join("; "))
}

/// Reads what [`classic_ad`] prints; `None` if it is anything else.
pub(crate) fn read_classic_ad(text: &str) -> Option<Attributes> {
    let mut rest = text.strip_prefix("[ ")?.strip_suffix(" ]")?;
    let mut attributes = Attributes::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once(" = ")?;
        let end = end_of_value(after);
        attributes.push((name.to_owned(), Value::read_classic(&after[..end])));
        rest = after[end..].strip_prefix("; ").unwrap_or("");
    }
    (classic_ad(&attributes) == text).then_some(attributes)
}

/// Where the first `; ` outside a string stands, or the end.
fn end_of_value(text: &str) -> usize {
    let (mut in_string, mut escaped) = (false, false);
    for (at, b) in text.bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b';' if !in_string => return at,
            _ => {}
        }
    }
    text.len()
}

/// The order in which the library prints an event's attributes: by length of the name, then by name ignoring case.
pub(crate) fn by_length(attributes: &Attributes) -> Vec<&(String, Value)> {
    let mut sorted: Vec<_> = attributes.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| ignoring_case(a, b)));
    sorted
}

/// Compares names as HTCondor does.
pub(crate) fn ignoring_case(a: &str, b: &str) -> Ordering {
    let lower = |text: &str| text.bytes().map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>();
    lower(a).cmp(&lower(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reals_look_as_in_old_classads() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (2.5, "2.5"),
            (3.0, "3.0"),
            (1e10, "10000000000.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1E+16"),
            (1e-5, "1E-05"),
            (f64::NAN, "real(\"NaN\")"),
        ] {
            assert_eq!(real(number), text);
        }
    }

    #[test]
    fn notes_with_semicolons_in_strings_read_back() {
        let ad =
            vec![("A".to_owned(), Value::text("x; B = \"y\" ]")), ("JobBatchName".to_owned(), Value::text("a\\batch"))];
        assert_eq!(read_classic_ad(&classic_ad(&ad)), Some(ad));
    }

    proptest! {
        #[test]
        fn classic_values_read_back(text in "\\PC*", number: i64, real in -1e18f64..1e18) {
            for value in [Value::Text(text.clone()), Value::Int(number), Value::Real(real)] {
                prop_assert_eq!(Value::read_classic(&value.classic()), value);
            }
            prop_assert_eq!(Value::read_classic(&text).classic(), text);
        }
    }
}
