//! JSON, as `condor_q -json` and JSON event logs print it.

use std::fmt::Write as _;

use crate::expr::Node;
use crate::{ClassAd, Expr, Value};

use super::real;
use super::syntax::{Style, write_expr};

/// Layout of objects and arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Two columns a level.
    Lines,
    /// All on one line: `condor_history -jsonl`.
    OneLine,
}

/// An ad. The outermost is sorted by name alone if `sorted`; nested ones never are.
pub(super) fn write_ad(out: &mut String, ad: &ClassAd, sorted: bool, layout: Layout) {
    Json { out, layout, indent: 0 }.ad(ad, sorted);
}

/// An expression.
pub(super) fn write(out: &mut String, expr: &Expr) {
    Json { out, layout: Layout::Lines, indent: 0 }.expr(expr);
}

struct Json<'o> {
    out: &'o mut String,
    layout: Layout,
    indent: usize,
}

impl Json<'_> {
    fn ad(&mut self, ad: &ClassAd, sorted: bool) {
        self.out.push('{');
        self.indent += 2;
        let mut first = true;
        let mut attribute = |json: &mut Self, name: &str, expr: &Expr| {
            json.separate(&mut first);
            json.string(name);
            json.out.push_str(": ");
            json.expr(expr);
        };
        if sorted {
            ad.iter().for_each(|(name, expr)| attribute(self, name, expr));
        } else {
            ad.iter_by_length().for_each(|(name, expr)| attribute(self, name, expr));
        }
        self.indent -= 2;
        self.line();
        self.out.push('}');
    }

    fn list(&mut self, items: &[Expr]) {
        self.out.push('[');
        self.indent += 2;
        let mut first = true;
        for item in items {
            self.separate(&mut first);
            self.expr(item);
        }
        self.indent -= 2;
        self.line();
        self.out.push(']');
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.0 {
            Node::Literal(Value::Undefined) => self.out.push_str("null"),
            Node::Literal(Value::Bool(b)) => self.out.push_str(if *b { "true" } else { "false" }),
            Node::Literal(Value::Int(i)) => {
                let _infallible = write!(self.out, "{i}");
            }
            Node::Literal(Value::Real(r)) if r.is_finite() => self.out.push_str(&real::old(*r)),
            Node::Literal(Value::RelTime(secs)) => self.out.push_str(&real::old(*secs)),
            Node::Literal(Value::Str(text)) => self.string(text),
            Node::List(items) => self.list(items),
            Node::Ad(ad) => self.ad(ad, false),
            _ => {
                let mut text = String::new();
                write_expr(&mut text, expr, Style::New);
                self.out.push_str("\"\\/Expr(");
                self.escape(&text);
                self.out.push_str(")\\/\"");
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        self.escape(text);
        self.out.push('"');
    }

    fn escape(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\x08' => self.out.push_str("\\b"),
                '\x0c' => self.out.push_str("\\f"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                control if (control as u32) < 0x20 => {
                    let _infallible = write!(self.out, "\\u{:04X}", control as u32);
                }
                other => self.out.push(other),
            }
        }
    }

    fn separate(&mut self, first: &mut bool) {
        if !std::mem::replace(first, false) {
            self.out.push(',');
        }
        self.line();
    }

    fn line(&mut self) {
        if self.layout == Layout::Lines {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', self.indent));
        }
    }
}
