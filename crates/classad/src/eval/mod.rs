//! The evaluator: three-valued logic over lazily looked-up attributes.
//!
//! [`machine`] walks the tree, [`ops`] knows the operators; the functions are in [`crate::func`].

mod machine;
pub(crate) mod ops;

pub(crate) use machine::{Machine, ScopeId};

use std::sync::Arc;

use crate::expr::Node;
use crate::{AbsTime, Env, Expr, Scope, Value};

/// Evaluation steps after which an expression is cut off and yields an error: about 10 ms (requirement R-30).
pub(crate) const STEPS_MAX: u32 = 75_000;

/// Deepest nesting of evaluation, attribute references included.
pub(crate) const DEPTH_MAX: u32 = 500;

/// Longest text a function may make, bytes.
pub(crate) const TEXT_MAX: usize = 1024 * 1024;

/// Longest list a function may make.
pub(crate) const LIST_MAX: usize = 100_000;

/// Evaluates `expr` as an attribute of `my`, matched against `target`.
///
/// Unscoped names are looked up in `my`, then in `target`; expressions found there are evaluated where they were
/// found, with the roles exchanged. A reference that leads back to itself is undefined. An expression that nests too
/// deeply, takes too many steps or makes too long a text or list yields [`Value::Error`]. Never fails otherwise.
pub fn eval(expr: &Expr, my: &dyn Scope, target: Option<&dyn Scope>, env: &Env) -> Value {
    // What constraints and columns are mostly made of needs no machine.
    if let Node::Literal(value) = &expr.0
        && !matches!(value, Value::RelTime(_))
    {
        return value.clone();
    }
    let mut machine = Machine::new(my, target, env);
    let result = machine.eval(expr, ScopeId::MY);
    machine.finish(result)
}

/// A value during evaluation: lists and ads know the scope their elements are evaluated in.
#[derive(Debug, Clone)]
pub(crate) enum Val {
    Undefined,
    Error,
    Bool(bool),
    Int(i64),
    Real(f64),
    Str(Arc<str>),
    AbsTime(AbsTime),
    RelTime(f64),
    List(Arc<[Expr]>, ScopeId),
    Ad(ScopeId),
}

impl Val {
    pub(crate) fn str(text: &str) -> Val {
        Val::Str(text.into())
    }

    /// Numbers count as booleans, other types do not.
    pub(crate) fn truth(&self) -> Truth {
        match self {
            Val::Bool(b) => Truth::Known(*b),
            Val::Int(i) => Truth::Known(*i != 0),
            Val::Real(r) => Truth::Known(*r != 0.0),
            Val::Undefined => Truth::Unknown,
            _ => Truth::Wrong,
        }
    }
}

/// A value as a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    Known(bool),
    /// Undefined.
    Unknown,
    /// Error or a type that is no condition.
    Wrong,
}

#[cfg(test)]
mod tests;
