//! The old and the new syntax.

use std::fmt::{self, Write as _};

use crate::expr::Node;
use crate::name::is_plain;
use crate::{AbsTime, ClassAd, Expr, Value};

use super::real;

/// Which syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `-long`, `-af`, submit files: `=?=`, short reals, strings with only quotes escaped.
    Old,
    /// One line, `is`, reals with 15 decimals, strings with C escapes.
    New,
    /// As new, lists and ads over several lines: what HTCondor's `unparse()` gives.
    Pretty,
}

/// A string as a literal of the old syntax: in quotes, quotes inside with a backslash, all else as it is.
pub fn quote_old(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(&mut out, text, '"', Style::Old);
    out
}

impl fmt::Display for Expr {
    /// The old syntax, as `condor_q -long` prints it: ` !x` has a blank before the operator, lists are `{ 1,2 }`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        write_expr(&mut out, self, Style::Old);
        f.pad(&out)
    }
}

impl fmt::Display for Value {
    /// The old syntax with strings in quotes: `-af:V`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        write_value(&mut out, self, Style::Old);
        f.pad(&out)
    }
}

impl Expr {
    /// The new syntax on one line, as in `-long:new`, JSON and XML.
    pub fn to_new_string(&self) -> String {
        let mut out = String::new();
        write_expr(&mut out, self, Style::New);
        out
    }

    /// The new syntax with lists and ads over several lines. Begins with a newline for a list or an ad.
    pub fn to_pretty_string(&self) -> String {
        let mut out = String::new();
        write_expr(&mut out, self, Style::Pretty);
        out
    }
}

impl Value {
    /// The old syntax, strings bare: `-af` and `-format %v`.
    pub fn display_old(&self) -> String {
        match self {
            Value::Str(text) => text.to_string(),
            other => other.to_string(),
        }
    }

    /// The new syntax on one line, strings in quotes.
    pub fn print_new(&self) -> String {
        let mut out = String::new();
        write_value(&mut out, self, Style::New);
        out
    }

    /// The new syntax with lists and ads over several lines.
    pub fn print_pretty(&self) -> String {
        let mut out = String::new();
        write_value(&mut out, self, Style::Pretty);
        out
    }
}

/// An expression in any style.
pub(crate) fn write_expr(out: &mut String, expr: &Expr, style: Style) {
    Printer { out, style, indent: 0 }.expr(expr);
}

/// A value in any style.
pub(crate) fn write_value(out: &mut String, value: &Value, style: Style) {
    Printer { out, style, indent: 0 }.value(value);
}

/// An attribute's name, in single quotes where it must be.
pub(crate) fn write_name(out: &mut String, name: &str, style: Style) {
    if is_plain(name) {
        out.push_str(name);
    } else {
        quote(out, name, '\'', style);
    }
}

/// The text in quotes. The new syntax escapes everything that is not printable ASCII.
pub(super) fn quote(out: &mut String, text: &str, delimiter: char, style: Style) {
    out.push(delimiter);
    if style == Style::Old {
        for c in text.chars() {
            if c == delimiter {
                out.push('\\');
            }
            out.push(c);
        }
    } else {
        escape_new(out, text, Some(delimiter));
    }
    out.push(delimiter);
}

/// C escapes for all that is not printable ASCII, byte by byte.
pub(super) fn escape_new(out: &mut String, text: &str, delimiter: Option<char>) {
    for byte in text.bytes() {
        let short = match byte {
            7 => 'a',
            8 => 'b',
            b'\t' => 't',
            b'\n' => 'n',
            11 => 'v',
            12 => 'f',
            b'\r' => 'r',
            b'\\' => '\\',
            b' '..=b'~' => {
                if delimiter == Some(char::from(byte)) {
                    out.push('\\');
                }
                out.push(char::from(byte));
                continue;
            }
            other => {
                out.push('\\');
                for shift in [6, 3, 0] {
                    out.push(char::from(b'0' + (other >> shift & 7)));
                }
                continue;
            }
        };
        out.push('\\');
        out.push(short);
    }
}

/// Columns a list and an ad are indented by in [`Style::Pretty`].
const LIST_INDENT: usize = 3;
const AD_INDENT: usize = 4;

struct Printer<'o> {
    out: &'o mut String,
    style: Style,
    indent: usize,
}

impl Printer<'_> {
    fn expr(&mut self, expr: &Expr) {
        match &expr.0 {
            // A literal keeps the fraction of its seconds, a value does not.
            Node::Literal(Value::RelTime(secs)) => self.rel_time(*secs),
            Node::Literal(value) => self.value(value),
            Node::Attr(attr) => {
                if attr.absolute {
                    self.out.push('.');
                }
                write_name(self.out, attr.name.text(), self.style);
            }
            Node::Select(select) => {
                self.expr(&select.base);
                self.out.push('.');
                match select.name.text() {
                    // Nothing but a name can stand here.
                    name if name.eq_ignore_ascii_case("parent") => self.out.push_str(name),
                    name => write_name(self.out, name, self.style),
                }
            }
            Node::Index(pair) => {
                self.expr(&pair.0);
                self.out.push('[');
                self.expr(&pair.1);
                self.out.push(']');
            }
            Node::Unary(op, operand) => {
                self.out.push(' ');
                self.out.push_str(op.text());
                self.expr(operand);
            }
            Node::Chain(chain) => {
                self.expr(&chain.first);
                for (op, operand) in &chain.rest {
                    self.out.push(' ');
                    self.out.push_str(if self.style == Style::Old { op.text_old() } else { op.text_new() });
                    self.out.push(' ');
                    self.expr(operand);
                }
            }
            Node::Conditional(parts) => {
                self.expr(&parts[0]);
                self.out.push_str(" ? ");
                self.expr(&parts[1]);
                self.out.push_str(" : ");
                self.expr(&parts[2]);
            }
            Node::Elvis(pair) => {
                self.expr(&pair.0);
                self.out.push_str(" ?: ");
                self.expr(&pair.1);
            }
            Node::Call(call) => {
                self.out.push_str(call.name());
                self.out.push('(');
                for (index, argument) in call.args().iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.expr(argument);
                }
                self.out.push(')');
            }
            Node::List(items) => self.list(items),
            Node::Ad(ad) => self.ad(ad),
            Node::Paren(inner) => {
                self.out.push('(');
                self.expr(inner);
                self.out.push(')');
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Undefined => self.out.push_str("undefined"),
            Value::Error => self.out.push_str("error"),
            Value::Bool(b) => self.out.push_str(if *b { "true" } else { "false" }),
            Value::Int(i) => {
                let _infallible = write!(self.out, "{i}");
            }
            Value::Real(r) => self.out.push_str(&if self.style == Style::Old { real::old(*r) } else { real::new(*r) }),
            Value::Str(text) => quote(self.out, text, '"', self.style),
            Value::AbsTime(time) => {
                self.out.push_str("absTime(\"");
                self.out.push_str(&time.to_string());
                self.out.push_str("\")");
            }
            Value::RelTime(secs) => self.rel_time(secs.trunc()),
            Value::List(items) => self.list(items),
            Value::Ad(ad) => self.ad(ad),
        }
    }

    fn rel_time(&mut self, secs: f64) {
        self.out.push_str("relTime(\"");
        self.out.push_str(&crate::func::time::rel_time_text(secs));
        self.out.push_str("\")");
    }

    fn list(&mut self, items: &[Expr]) {
        let outer = self.indent;
        self.open('{', LIST_INDENT);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.line();
            self.expr(item);
        }
        self.close('}', LIST_INDENT, outer);
    }

    fn ad(&mut self, ad: &ClassAd) {
        let outer = self.indent;
        self.open('[', AD_INDENT);
        for (index, (name, expr)) in ad.iter_by_length().enumerate() {
            if index > 0 {
                self.out.push_str("; ");
            }
            self.line();
            write_name(self.out, name, self.style);
            self.out.push_str(" = ");
            self.expr(expr);
        }
        self.close(']', AD_INDENT, outer);
    }

    fn open(&mut self, bracket: char, by: usize) {
        self.indent += by;
        self.line();
        self.out.push(bracket);
        self.indent += by;
        if self.style != Style::Pretty {
            self.out.push(' ');
        }
    }

    fn close(&mut self, bracket: char, by: usize, outer: usize) {
        self.indent -= by;
        self.line();
        if self.style != Style::Pretty {
            self.out.push(' ');
        }
        self.out.push(bracket);
        self.indent = outer;
    }

    fn line(&mut self) {
        if self.style == Style::Pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', self.indent));
        }
    }
}

impl fmt::Display for AbsTime {
    /// `2020-01-02T03:04:05-00:00`: local to the offset; zero is written with a minus, as HTCondor does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::func::time::abs_time_text(*self))
    }
}
