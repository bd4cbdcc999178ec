//! The JSON layout: one object an event, one after another, no commas.

use crate::value::{Attributes, Value, by_length, classic_ad, real};

/// Deepest nesting that is printed; serde_json reads no deeper either.
const DEPTH_MAX: usize = 128;

/// Prints an ad with its line end.
pub(crate) fn print(ad: &Attributes) -> String {
    let mut out = String::new();
    object(&mut out, ad, 0);
    out.push('\n');
    out
}

fn object(out: &mut String, ad: &Attributes, depth: usize) {
    out.push('{');
    for (index, (name, value)) in by_length(ad).into_iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.push_str(&"  ".repeat(depth + 1));
        string(out, name);
        out.push_str(": ");
        match value {
            Value::Int(number) => out.push_str(&number.to_string()),
            Value::Real(number) if number.is_finite() => out.push_str(&real(*number)),
            Value::Real(number) => expression(out, &real(*number)),
            Value::Bool(truth) => out.push_str(&truth.to_string()),
            Value::Text(text) => string(out, text),
            Value::Ad(ad) if depth < DEPTH_MAX => object(out, ad, depth + 1),
            Value::Ad(ad) => expression(out, &classic_ad(ad)),
            Value::Expr(expr) => expression(out, expr),
        }
    }
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push('}');
}

fn expression(out: &mut String, expr: &str) {
    match expr {
        "undefined" => out.push_str("null"),
        _ => {
            let mut quoted = String::new();
            string(&mut quoted, expr);
            out.push_str("\"\\/Expr(");
            out.push_str(&quoted[1..quoted.len() - 1]);
            out.push_str(")\\/\"");
        }
    }
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// What stands at the beginning of a text.
pub(crate) enum Found {
    /// An ad, and how many bytes it took.
    Ad(Attributes, usize),
    /// The beginning of an ad.
    Incomplete,
    /// Anything else.
    Garbage,
}

/// Reads one object at the beginning of `text`.
pub(crate) fn read(text: &str) -> Found {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    match stream.next() {
        Some(Ok(serde_json::Value::Object(object))) => Found::Ad(attributes(object), stream.byte_offset()),
        Some(Err(error)) if error.is_eof() => Found::Incomplete,
        None => Found::Incomplete,
        Some(_) => Found::Garbage,
    }
}

fn attributes(object: serde_json::Map<String, serde_json::Value>) -> Attributes {
    object.into_iter().map(|(name, json)| (name, value(json))).collect()
}

fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Expr("undefined".to_owned()),
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Real(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => match text.strip_prefix("/Expr(").and_then(|text| text.strip_suffix(")/")) {
            Some(expr) => Value::Expr(expr.to_owned()),
            None => Value::Text(text),
        },
        serde_json::Value::Array(items) => {
            let items: Vec<String> = items.into_iter().map(|item| value(item).classic()).collect();
            Value::Expr(format!("{{ {} }}", items.join(",")))
        }
        serde_json::Value::Object(object) => Value::Ad(attributes(object)),
    }
}
