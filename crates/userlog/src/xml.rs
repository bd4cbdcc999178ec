//! The XML layout: one `<c>` … `</c>` an event, without a frame around the file.

use crate::value::{Attributes, Value, by_length};

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 64;

/// Prints an ad with its line end.
pub(crate) fn print(ad: &Attributes) -> String {
    let mut out = String::new();
    element(&mut out, ad, 0);
    out.push('\n');
    out
}

fn element(out: &mut String, ad: &Attributes, depth: usize) {
    out.push_str("<c>\n");
    for (name, value) in by_length(ad) {
        out.push_str(&"    ".repeat(depth + 1));
        out.push_str("<a n=\"");
        escape(out, name);
        out.push_str("\">");
        match value {
            Value::Int(number) => out.push_str(&format!("<i>{number}</i>")),
            Value::Real(number) => out.push_str(&format!("<r>{}</r>", real(*number))),
            Value::Bool(truth) => out.push_str(if *truth { "<b v=\"t\"/>" } else { "<b v=\"f\"/>" }),
            Value::Text(text) => {
                out.push_str("<s>");
                escape(out, text);
                out.push_str("</s>");
            }
            Value::Ad(ad) => element(out, ad, depth + 1),
            Value::Expr(expr) if expr == "undefined" => out.push_str("<un/>"),
            Value::Expr(expr) if expr == "error" => out.push_str("<er/>"),
            Value::Expr(expr) => {
                out.push_str("<e>");
                escape(out, expr);
                out.push_str("</e>");
            }
        }
        out.push_str("</a>\n");
    }
    out.push_str(&"    ".repeat(depth));
    out.push_str("</c>");
}

/// A real as new ClassAds write it.
fn real(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return crate::value::real(number);
    }
    let text = format!("{number:.15E}");
    let (digits, exponent) = text.split_once('E').expect("the E form has an E");
    let exponent: i32 = exponent.parse().expect("the E form ends in a number");
    format!("{digits}E{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
}

/// Reads one ad at the beginning of `text`, and says how many bytes it took; `None` if there is none.
pub(crate) fn read(text: &str) -> Option<(Attributes, usize)> {
    let mut reader = Reader { text, at: 0 };
    let ad = reader.ad(0)?;
    Some((ad, reader.at))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn token(&mut self, token: &str) -> Option<()> {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found.then_some(())
    }

    fn until(&mut self, token: &str) -> Option<&'a str> {
        let length = self.rest().find(token)?;
        let inner = &self.rest()[..length];
        self.at += length + token.len();
        Some(inner)
    }

    fn ad(&mut self, depth: usize) -> Option<Attributes> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.token("<c>")?;
        let mut ad = Attributes::new();
        loop {
            self.blanks();
            if self.token("</c>").is_some() {
                return Some(ad);
            }
            self.token("<a n=\"")?;
            let name = unescape(self.until("\">")?);
            self.blanks();
            let value = self.value(depth)?;
            self.blanks();
            self.token("</a>")?;
            ad.push((name, value));
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if self.rest().starts_with("<c>") {
            return self.ad(depth + 1).map(Value::Ad);
        }
        for (token, value) in [
            ("<b v=\"t\"/>", Value::Bool(true)),
            ("<b v=\"f\"/>", Value::Bool(false)),
            ("<un/>", Value::Expr("undefined".to_owned())),
            ("<er/>", Value::Expr("error".to_owned())),
        ] {
            if self.token(token).is_some() {
                return Some(value);
            }
        }
        if self.token("<i>").is_some() {
            return self.until("</i>")?.parse().ok().map(Value::Int);
        }
        if self.token("<r>").is_some() {
            let text = self.until("</r>")?;
            return Some(text.parse().map_or_else(|_| Value::Expr(text.to_owned()), Value::Real));
        }
        if self.token("<s>").is_some() {
            return self.until("</s>").map(|text| Value::Text(unescape(text)));
        }
        self.token("<e>")?;
        self.until("</e>").map(|text| Value::Expr(unescape(text)))
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        const ESCAPES: [(&str, char); 9] = [
            ("&amp;", '&'),
            ("&lt;", '<'),
            ("&gt;", '>'),
            ("&quot;", '"'),
            ("&apos;", '\''),
            ("\\\\", '\\'),
            ("\\n", '\n'),
            ("\\r", '\r'),
            ("\\t", '\t'),
        ];
        match ESCAPES.iter().find(|(escape, _)| rest.starts_with(escape)) {
            Some((escape, meaning)) => {
                out.push(*meaning);
                rest = &rest[escape.len()..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}
