//! XML, as `condor_q -xml` and XML event logs print it.

use std::fmt::Write as _;

use crate::expr::Node;
use crate::{ClassAd, Expr, Value};

use super::real;
use super::syntax::{Style, escape_new, write_expr};

/// Columns an attribute stands deeper than its ad.
const INDENT: usize = 4;

/// `<c>` … `</c>`, no line end after it. The outermost ad is sorted by name alone if `sorted`.
pub(super) fn write_ad(out: &mut String, ad: &ClassAd, sorted: bool) {
    Xml { out, indent: 0 }.ad(ad, sorted);
}

/// An expression as one element.
pub(super) fn write(out: &mut String, expr: &Expr) {
    Xml { out, indent: 0 }.expr(expr);
}

struct Xml<'o> {
    out: &'o mut String,
    indent: usize,
}

impl Xml<'_> {
    fn ad(&mut self, ad: &ClassAd, sorted: bool) {
        self.out.push_str("<c>\n");
        self.indent += INDENT;
        if sorted {
            ad.iter().for_each(|(name, expr)| self.attribute(name, expr));
        } else {
            ad.iter_by_length().for_each(|(name, expr)| self.attribute(name, expr));
        }
        self.indent -= INDENT;
        self.blanks();
        self.out.push_str("</c>");
    }

    fn attribute(&mut self, name: &str, expr: &Expr) {
        self.blanks();
        self.out.push_str("<a n=\"");
        self.text(name);
        self.out.push_str("\">");
        self.expr(expr);
        self.out.push_str("</a>\n");
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.0 {
            Node::Literal(Value::Undefined) => self.out.push_str("<un/>"),
            Node::Literal(Value::Error) => self.out.push_str("<er/>"),
            Node::Literal(Value::Bool(b)) => self.out.push_str(if *b { "<b v=\"t\"/>" } else { "<b v=\"f\"/>" }),
            Node::Literal(Value::Int(i)) => {
                let _infallible = write!(self.out, "<i>{i}</i>");
            }
            Node::Literal(Value::Real(r)) => {
                let _infallible = write!(self.out, "<r>{}</r>", real_text(*r));
            }
            Node::Literal(Value::Str(text)) => {
                let mut escaped = String::with_capacity(text.len());
                escape_new(&mut escaped, text, None);
                self.out.push_str("<s>");
                self.text(&escaped);
                self.out.push_str("</s>");
            }
            Node::Literal(Value::AbsTime(time)) => {
                let _infallible = write!(self.out, "<at>{time}</at>");
            }
            Node::Literal(Value::RelTime(secs)) => {
                let _infallible = write!(self.out, "<rt>{}</rt>", crate::func::time::rel_time_text(*secs));
            }
            Node::List(items) => {
                self.out.push_str("<l>");
                items.iter().for_each(|item| self.expr(item));
                self.out.push_str("</l>");
            }
            Node::Ad(ad) => self.ad(ad, false),
            _ => {
                let mut text = String::new();
                write_expr(&mut text, expr, Style::New);
                self.out.push_str("<e>");
                self.text(&text);
                self.out.push_str("</e>");
            }
        }
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                other => self.out.push(other),
            }
        }
    }

    fn blanks(&mut self) {
        self.out.extend(std::iter::repeat_n(' ', self.indent));
    }
}

/// Infinity and NaN are bare words in XML.
fn real_text(real: f64) -> String {
    if real.is_nan() {
        "NaN".to_owned()
    } else if real.is_infinite() {
        if real > 0.0 { "INF" } else { "-INF" }.to_owned()
    } else {
        real::new(real)
    }
}
