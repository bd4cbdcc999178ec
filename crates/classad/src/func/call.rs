//! A call in the tree.

use std::sync::{Arc, OnceLock};

use super::regex::Pattern;
use crate::Expr;
use crate::eval::{Machine, ScopeId, Val};
use crate::name::Name;

/// One function: its name in lower case, how many arguments it takes and what it does.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) args_min: usize,
    pub(crate) args_max: usize,
    pub(crate) run: fn(&mut Args<'_, '_, '_>) -> Val,
}

/// `args_max` of functions that take any number.
pub(crate) const MANY: usize = usize::MAX;

/// A call. What is not a function or has a wrong number of arguments is an error when evaluated, not when parsed.
pub(crate) struct Call {
    name: Name,
    args: Vec<Expr>,
    function: Option<&'static Function>,
    /// The compiled pattern of a call whose pattern is literal: a constraint is evaluated for each job.
    pattern: OnceLock<Option<Arc<Pattern>>>,
}

impl Call {
    pub(crate) fn new(name: &str, args: Vec<Expr>) -> Call {
        let name = Name::new(name);
        let function =
            super::find(name.lower()).filter(|function| (function.args_min..=function.args_max).contains(&args.len()));
        Call { name, args, function, pattern: OnceLock::new() }
    }

    pub(crate) fn name(&self) -> &str {
        self.name.text()
    }

    pub(crate) fn args(&self) -> &[Expr] {
        &self.args
    }

    /// Whether attributes are looked at that the arguments do not name.
    pub(crate) fn looks_at_any_attribute(&self) -> bool {
        matches!(&**self.name.lower(), "eval" | "unresolved" | "evalineachcontext" | "countmatches")
    }

    pub(crate) fn run(&self, machine: &mut Machine<'_>, scope: ScopeId) -> Val {
        match self.function {
            Some(function) => (function.run)(&mut Args { call: self, machine, scope }),
            None => Val::Error,
        }
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Call) -> bool {
        self.name == other.name && self.args == other.args
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("name", &self.name.text()).field("args", &self.args).finish()
    }
}

/// The arguments of a call under evaluation; each is evaluated when asked for.
pub(crate) struct Args<'a, 'm, 'e> {
    call: &'a Call,
    pub(crate) machine: &'m mut Machine<'e>,
    pub(crate) scope: ScopeId,
}

impl<'a> Args<'a, '_, '_> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.call.args.len()
    }

    /// An argument as written.
    pub(crate) fn expr(&self, index: usize) -> &'a Expr {
        &self.call.args[index]
    }

    /// Where a literal pattern's compiled form is kept.
    pub(crate) fn pattern_cache(&self) -> &'a OnceLock<Option<Arc<Pattern>>> {
        &self.call.pattern
    }

    /// An argument's value.
    pub(crate) fn val(&mut self, index: usize) -> Val {
        self.element(&self.call.args[index])
    }

    /// The value of an element of a list argument. Functions evaluate them where the call stands, not where the list
    /// does: `sum(N.s)` with `s = {A}` takes the caller's `A`, unlike `N.s[0]`.
    pub(crate) fn element(&mut self, item: &Expr) -> Val {
        let val = self.machine.eval(item, self.scope);
        match &val {
            // Whatever is done with it takes the longer the longer it is.
            Val::Str(text) if !self.machine.charge_text(text) => Val::Error,
            _ => val,
        }
    }

    /// All arguments' values.
    pub(crate) fn vals(&mut self) -> Vec<Val> {
        (0..self.len()).map(|index| self.val(index)).collect()
    }
}
