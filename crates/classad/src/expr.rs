//! Expressions: the tree, how it is built, and which attributes it needs.
//!
//! Cloning is cheap: everything below the first level is shared.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::func::Call;
use crate::name::Name;
use crate::{ClassAd, Value};

/// An expression, parsed from text or made from a [`Value`]. [`Display`](std::fmt::Display) prints the old syntax.
///
/// Equality is that of the text it prints as, except for blanks: `a + b` and `A + b` differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr(pub(crate) Node);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// Never a list or an ad: these are [`Node::List`] and [`Node::Ad`].
    Literal(Value),
    Attr(Arc<AttrRef>),
    Select(Arc<Select>),
    Index(Arc<(Expr, Expr)>),
    Unary(UnaryOp, Arc<Expr>),
    Chain(Arc<Chain>),
    Conditional(Arc<[Expr; 3]>),
    Elvis(Arc<(Expr, Expr)>),
    Call(Arc<Call>),
    List(Arc<[Expr]>),
    Ad(Arc<ClassAd>),
    Paren(Arc<Expr>),
}

/// `name` or, absolute, `.name`.
#[derive(Debug, PartialEq)]
pub(crate) struct AttrRef {
    pub(crate) name: Name,
    pub(crate) absolute: bool,
}

/// `base.name`
#[derive(Debug, PartialEq)]
pub(crate) struct Select {
    pub(crate) base: Expr,
    pub(crate) name: Name,
    /// Found when parsed, so that `MY.x` costs no more than `x`.
    pub(crate) kind: SelectKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SelectKind {
    My,
    Target,
    Other,
}

/// Operators of one precedence applied from left to right: `a + b - c`. One node and not a tree that leans to the
/// left, so that a constraint with ten thousand `||` needs no depth.
#[derive(Debug, PartialEq)]
pub(crate) struct Chain {
    pub(crate) first: Expr,
    pub(crate) rest: Vec<(BinaryOp, Expr)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    Minus,
    Plus,
    Not,
    BitNot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Or,
    And,
    BitOr,
    BitXor,
    BitAnd,
    Eq,
    Ne,
    Is,
    Isnt,
    Lt,
    Le,
    Gt,
    Ge,
    Shl,
    Shr,
    ShrZero,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl UnaryOp {
    pub(crate) fn text(self) -> &'static str {
        match self {
            UnaryOp::Minus => "-",
            UnaryOp::Plus => "+",
            UnaryOp::Not => "!",
            UnaryOp::BitNot => "~",
        }
    }
}

impl BinaryOp {
    /// Loosest first, as in HTCondor: bit operators bind looser than comparisons.
    pub(crate) fn precedence(self) -> u8 {
        use BinaryOp::*;
        match self {
            Or => 0,
            And => 1,
            BitOr => 2,
            BitXor => 3,
            BitAnd => 4,
            Eq | Ne | Is | Isnt => 5,
            Lt | Le | Gt | Ge => 6,
            Shl | Shr | ShrZero => 7,
            Add | Sub => 8,
            Mul | Div | Rem => 9,
        }
    }

    /// As the old syntax prints it.
    pub(crate) fn text_old(self) -> &'static str {
        use BinaryOp::*;
        match self {
            Or => "||",
            And => "&&",
            BitOr => "|",
            BitXor => "^",
            BitAnd => "&",
            Eq => "==",
            Ne => "!=",
            Is => "=?=",
            Isnt => "=!=",
            Lt => "<",
            Le => "<=",
            Gt => ">",
            Ge => ">=",
            Shl => "<<",
            Shr => ">>",
            ShrZero => ">>>",
            Add => "+",
            Sub => "-",
            Mul => "*",
            Div => "/",
            Rem => "%",
        }
    }

    /// As the new syntax prints it.
    pub(crate) fn text_new(self) -> &'static str {
        match self {
            BinaryOp::Is => "is",
            BinaryOp::Isnt => "isnt",
            other => other.text_old(),
        }
    }
}

impl Expr {
    /// The value, if the expression is a literal other than a list or an ad. Parentheses make it none: `(1)` is an
    /// expression to HTCondor too.
    pub fn literal(&self) -> Option<&Value> {
        match &self.0 {
            Node::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// The elements, if the expression is a list `{ … }`.
    pub fn list(&self) -> Option<&Arc<[Expr]>> {
        match &self.0 {
            Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The ad, if the expression is one `[ … ]`.
    pub fn ad(&self) -> Option<&Arc<ClassAd>> {
        match &self.0 {
            Node::Ad(ad) => Some(ad),
            _ => None,
        }
    }

    /// An unscoped reference to an attribute.
    pub fn attribute(name: &str) -> Expr {
        Expr(Node::Attr(Arc::new(AttrRef { name: Name::new(name), absolute: false })))
    }

    /// `self && other`, both in parentheses unless literals or names: how several constraints are joined.
    pub fn and(self, other: Expr) -> Expr {
        let wrap = |expr: Expr| match expr.0 {
            Node::Literal(_) | Node::Attr(_) | Node::Paren(_) | Node::Call(_) => expr,
            _ => Expr(Node::Paren(Arc::new(expr))),
        };
        Expr(Node::Chain(Arc::new(Chain { first: wrap(self), rest: vec![(BinaryOp::And, wrap(other))] })))
    }

    /// The parts that are joined by `&&` at the top, without the parentheses around them: all must be true for the
    /// whole to be true.
    pub fn conjuncts(&self) -> Vec<Expr> {
        let mut found = Vec::new();
        self.collect_conjuncts(&mut found);
        found
    }

    fn collect_conjuncts(&self, found: &mut Vec<Expr>) {
        match &self.0 {
            Node::Paren(inner) => inner.collect_conjuncts(found),
            Node::Chain(chain) if chain.rest.iter().all(|(op, _)| *op == BinaryOp::And) => {
                chain.first.collect_conjuncts(found);
                chain.rest.iter().for_each(|(_, operand)| operand.collect_conjuncts(found));
            }
            _ => found.push(self.clone()),
        }
    }

    /// Whether nothing but this attribute of the ad (in lower case) decides the value: literals and operators beside it,
    /// no functions, no other ad.
    pub fn depends_on_nothing_but(&self, folded: &str) -> bool {
        let name_is = |name: &Name| &**name.lower() == folded;
        let all = |parts: &[Expr]| parts.iter().all(|part| part.depends_on_nothing_but(folded));
        match &self.0 {
            Node::Literal(_) => true,
            Node::Attr(attr) => name_is(&attr.name),
            Node::Select(select) => select.kind == SelectKind::My && name_is(&select.name),
            Node::Unary(_, inner) | Node::Paren(inner) => inner.depends_on_nothing_but(folded),
            Node::Chain(chain) => {
                let mut operands = chain.rest.iter().map(|(_, operand)| operand);
                chain.first.depends_on_nothing_but(folded) && operands.all(|part| part.depends_on_nothing_but(folded))
            }
            Node::Conditional(parts) => all(&parts[..]),
            Node::Elvis(pair) => pair.0.depends_on_nothing_but(folded) && pair.1.depends_on_nothing_but(folded),
            Node::Index(_) | Node::Call(_) | Node::List(_) | Node::Ad(_) => false,
        }
    }

    /// The names of all attributes the expression refers to, in lower case. See [`References`].
    pub fn references(&self) -> References {
        let mut found = References::default();
        found.collect(self);
        found
    }
}

impl<V: Into<Value>> From<V> for Expr {
    fn from(value: V) -> Expr {
        Expr(match value.into() {
            Value::List(items) => Node::List(items),
            Value::Ad(ad) => Node::Ad(ad),
            scalar => Node::Literal(scalar),
        })
    }
}

/// Attribute names an expression refers to, in lower case, sorted.
///
/// A superset: names defined by a nested ad itself are listed too. Only the first step of `a.b.c` is listed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct References {
    /// Written without a scope: found in the ad itself or else in the other one.
    pub unscoped: BTreeSet<Arc<str>>,
    /// Written `MY.x`, or `.x`.
    pub my: BTreeSet<Arc<str>>,
    /// Written `TARGET.x`.
    pub target: BTreeSet<Arc<str>>,
    /// The expression may look at any attribute: it calls `eval` or uses a whole ad as a value (`my`, `TARGET`).
    pub dynamic: bool,
    /// What the expression gives to `eval`: texts whose own references are not listed.
    pub evaluated: Vec<Expr>,
    /// The expression looks at a whole ad, or at what an attribute lacks (`unresolved`): no list of names would do.
    pub whole: bool,
}

/// Names that mean a whole ad when no attribute is called so.
const WHOLE_ADS: [&str; 6] = ["my", "parent", "root", "self", "target", "toplevel"];

impl References {
    fn collect(&mut self, expr: &Expr) {
        match &expr.0 {
            Node::Literal(_) => {}
            Node::Attr(attr) => {
                let name = attr.name.lower();
                let whole = WHOLE_ADS.contains(&&**name);
                self.dynamic |= whole;
                self.whole |= whole;
                let set = if attr.absolute { &mut self.my } else { &mut self.unscoped };
                set.insert(Arc::clone(name));
            }
            Node::Select(select) => match select.kind {
                SelectKind::My => {
                    self.my.insert(Arc::clone(select.name.lower()));
                }
                SelectKind::Target => {
                    self.target.insert(Arc::clone(select.name.lower()));
                }
                SelectKind::Other => self.collect(&select.base),
            },
            Node::Index(pair) | Node::Elvis(pair) => {
                self.collect(&pair.0);
                self.collect(&pair.1);
            }
            Node::Unary(_, inner) | Node::Paren(inner) => self.collect(inner),
            Node::Chain(chain) => {
                self.collect(&chain.first);
                chain.rest.iter().for_each(|(_, operand)| self.collect(operand));
            }
            Node::Conditional(parts) => parts.iter().for_each(|part| self.collect(part)),
            Node::Call(call) => {
                self.dynamic |= call.looks_at_any_attribute();
                match (&*call.name().to_ascii_lowercase(), call.args()) {
                    ("eval", [text]) => self.evaluated.push(text.clone()),
                    ("unresolved", _) => self.whole = true,
                    _ => {}
                }
                call.args().iter().for_each(|arg| self.collect(arg));
            }
            Node::List(items) => items.iter().for_each(|item| self.collect(item)),
            Node::Ad(ad) => ad.iter().for_each(|(_, inner)| self.collect(inner)),
        }
    }
}
