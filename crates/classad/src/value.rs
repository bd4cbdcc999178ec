//! Values: what an expression evaluates to.

use std::sync::Arc;

use crate::{ClassAd, Expr};

/// A point in time: seconds since the epoch and the offset east of Greenwich it is shown in, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub secs: i64,
    /// Seconds east of Greenwich; only used for showing it.
    pub offset_s: i32,
}

/// The result of an evaluation.
///
/// Elements of lists and ads stay unevaluated, as in HTCondor: the value of `{1+1}` is printed `{ 1 + 1 }`.
/// Equality is structural (strings by case, reals by value); the language's own `==` is an operator, not this.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing is known: a missing attribute and what follows from it.
    #[default]
    Undefined,
    /// A wrong type, a division by zero, an exceeded limit.
    Error,
    /// `true` or `false`.
    Bool(bool),
    /// 64-bit signed; arithmetic wraps.
    Int(i64),
    /// IEEE double, also infinite and NaN.
    Real(f64),
    /// Text.
    Str(Arc<str>),
    /// A point in time.
    AbsTime(AbsTime),
    /// A span, seconds.
    RelTime(f64),
    /// `{ … }`
    List(Arc<[Expr]>),
    /// `[ … ]`
    Ad(Arc<ClassAd>),
}

impl Value {
    /// `Some(true)` for true and non-zero numbers, `Some(false)` for false and zero, `None` for all else:
    /// what a constraint of `condor_q` asks (`None` selects nothing).
    pub fn truth(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            Value::Int(i) => Some(*i != 0),
            Value::Real(r) => Some(*r != 0.0),
            _ => None,
        }
    }

    /// The integer, for an integer or a boolean (0 or 1).
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(*i),
            Value::Bool(b) => Some(i64::from(*b)),
            _ => None,
        }
    }

    /// The number, for an integer, a real or a boolean (0 or 1).
    pub fn as_real(&self) -> Option<f64> {
        match self {
            Value::Real(r) => Some(*r),
            other => other.as_int().map(|i| i as f64),
        }
    }

    /// The text, for a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Value::Int(i)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}

impl From<f64> for Value {
    fn from(r: f64) -> Self {
        Value::Real(r)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Value::Str(s.into())
    }
}

impl From<String> for Value {
    fn from(s: String) -> Self {
        Value::Str(s.into())
    }
}
