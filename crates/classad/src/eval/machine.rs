//! Walking the tree.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ops;
use super::{DEPTH_MAX, LIST_MAX, STEPS_MAX, TEXT_MAX, Truth, Val};
use crate::expr::{BinaryOp, Chain, Node, SelectKind};
use crate::print::{Style, write_value};
use crate::{ClassAd, Env, Expr, Scope, Value};

/// A place where names are looked up: one of the two matched ads or an ad nested in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScopeId(u32);

impl ScopeId {
    pub(crate) const MY: ScopeId = ScopeId(0);
    const TARGET: ScopeId = ScopeId(1);
    /// No place at all: the mark of lists that a function made. Their elements are values.
    pub(crate) const MADE: ScopeId = ScopeId(u32::MAX);
}

/// Scopes of nested ads are numbered after the two roots.
const ROOTS: u32 = 2;

/// An ad that was entered.
struct Nested {
    ad: Arc<ClassAd>,
    /// `None` for an ad made by a function.
    parent: Option<ScopeId>,
    /// The scope is that of an expression (in `parent`) which was given a context: the scope named here is asked
    /// for names that are not found around the expression.
    context: Option<ScopeId>,
}

/// One evaluation.
pub(crate) struct Machine<'e> {
    my: &'e dyn Scope,
    target: Option<&'e dyn Scope>,
    pub(crate) env: &'e Env,
    /// Nested ads that were entered, and the scope they stand in.
    nested: Vec<Nested>,
    /// The number of an ad that was entered before, by its address and its scope: the same ad is the same scope,
    /// or a reference that leads back to itself would not be seen.
    entered: BTreeMap<(usize, ScopeId), ScopeId>,
    /// Attributes under evaluation.
    active: Vec<(ScopeId, Arc<str>)>,
    steps_left: u32,
    depth: u32,
    random_state: Option<u64>,
    /// The two roots as ads, once asked for.
    whole: [Option<Arc<ClassAd>>; 2],
}

impl<'e> Machine<'e> {
    pub(crate) fn new(my: &'e dyn Scope, target: Option<&'e dyn Scope>, env: &'e Env) -> Machine<'e> {
        Machine {
            my,
            target,
            env,
            nested: Vec::new(),
            entered: BTreeMap::new(),
            active: Vec::new(),
            steps_left: STEPS_MAX,
            depth: 0,
            random_state: env.random_seed,
            whole: [None, None],
        }
    }

    /// The value for the outside. An exhausted budget is an error whatever was made of it.
    pub(crate) fn finish(&mut self, val: Val) -> Value {
        if self.steps_left == 0 { Value::Error } else { self.value(&val) }
    }

    /// Takes `steps` from the budget; false when it is used up.
    pub(crate) fn charge(&mut self, steps: usize) -> bool {
        self.steps_left = self.steps_left.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX));
        self.steps_left > 0
    }

    /// As [`charge`](Self::charge) for looking at a text once.
    pub(crate) fn charge_text(&mut self, text: &str) -> bool {
        text.len() < 64 || self.charge(text.len() / 64)
    }

    /// A binary operator other than `&&` and `||`. Long texts cost more.
    pub(crate) fn binary(&mut self, op: BinaryOp, left: Val, right: Val) -> Val {
        match (&left, &right) {
            (Val::Str(a), _) if !self.charge_text(a) => Val::Error,
            _ => ops::binary(op, left, right),
        }
    }

    /// The value of an expression in a scope.
    pub(crate) fn eval(&mut self, expr: &Expr, scope: ScopeId) -> Val {
        if !self.charge(1) || self.depth >= DEPTH_MAX {
            return Val::Error;
        }
        self.depth += 1;
        let val = match &expr.0 {
            Node::Literal(value) => literal(value),
            Node::Attr(attr) => {
                let from = if attr.absolute { self.root(scope) } else { scope };
                self.attribute(attr.name.lower(), from, attr.absolute)
            }
            Node::Paren(inner) => self.eval(inner, scope),
            Node::Chain(chain) => self.chain(chain, scope),
            Node::Unary(op, operand) => {
                let operand = self.eval(operand, scope);
                ops::unary(*op, operand)
            }
            Node::Conditional(parts) => match self.eval(&parts[0], scope).truth() {
                Truth::Known(true) => self.eval(&parts[1], scope),
                Truth::Known(false) => self.eval(&parts[2], scope),
                Truth::Unknown => Val::Undefined,
                Truth::Wrong => Val::Error,
            },
            Node::Elvis(pair) => match self.eval(&pair.0, scope) {
                Val::Undefined => self.eval(&pair.1, scope),
                known => known,
            },
            Node::Select(select) => match select.kind {
                // As any other selection it goes on to the enclosing ads.
                SelectKind::My => {
                    let from = self.context(scope).unwrap_or(scope);
                    self.attribute(select.name.lower(), from, true)
                }
                SelectKind::Target => match self.other_root(scope) {
                    Some(other) => self.attribute(select.name.lower(), other, true),
                    None => Val::Undefined,
                },
                SelectKind::Other => {
                    let base = self.eval(&select.base, scope);
                    self.select(&base, select.name.lower(), scope)
                }
            },
            Node::Index(pair) => {
                let base = self.eval(&pair.0, scope);
                let index = self.eval(&pair.1, scope);
                self.index(base, index)
            }
            Node::List(items) => Val::List(Arc::clone(items), scope),
            Node::Ad(ad) => Val::Ad(self.enter(ad, scope)),
            Node::Call(call) => call.run(self, scope),
        };
        self.depth -= 1;
        val
    }

    fn chain(&mut self, chain: &Chain, scope: ScopeId) -> Val {
        let mut left = self.eval(&chain.first, scope);
        for (op, operand) in &chain.rest {
            left = match op {
                BinaryOp::And | BinaryOp::Or => {
                    // `false && …` and `true || …` are decided, and so is an error on the left.
                    let decisive = *op == BinaryOp::Or;
                    let truth = left.truth();
                    match truth {
                        Truth::Wrong => return Val::Error,
                        Truth::Known(known) if known == decisive => return Val::Bool(decisive),
                        Truth::Known(_) | Truth::Unknown => {}
                    }
                    match (self.eval(operand, scope).truth(), truth) {
                        (Truth::Wrong, _) => return Val::Error,
                        (Truth::Known(known), _) if known == decisive => return Val::Bool(decisive),
                        (Truth::Known(_), Truth::Known(_)) => Val::Bool(!decisive),
                        _ => Val::Undefined,
                    }
                }
                _ => {
                    let right = self.eval(operand, scope);
                    self.binary(*op, left, right)
                }
            };
        }
        left
    }

    /// An unscoped name: the innermost ad, the enclosing ones, the other root. `this_side` leaves the other root out.
    fn attribute(&mut self, name: &Arc<str>, scope: ScopeId, this_side: bool) -> Val {
        let mut at = scope;
        let mut context = None;
        loop {
            if let Some(given) = self.context(at) {
                context = context.or(Some(given));
            } else if let Some(val) = self.attribute_of(name, at) {
                return val;
            }
            match self.parent(at) {
                Some(parent) => at = parent,
                None => break,
            }
        }
        if let Some(context) = context
            && let Some(val) = self.attribute_of(name, context)
        {
            return val;
        }
        if let Some(special) = self.special(name, scope) {
            return special;
        }
        match self.other_root(at) {
            Some(other) if !this_side => self.attribute_of(name, other).unwrap_or(Val::Undefined),
            _ => Val::Undefined,
        }
    }

    fn context(&self, scope: ScopeId) -> Option<ScopeId> {
        self.nested[scope.0.checked_sub(ROOTS)? as usize].context
    }

    /// Names that have a meaning when no attribute is called so.
    fn special(&mut self, name: &str, scope: ScopeId) -> Option<Val> {
        match name {
            "currenttime" => Some(self.env.now_s.map_or(Val::Undefined, Val::Int)),
            "my" | "self" => Some(Val::Ad(scope)),
            "target" => Some(self.other_root(scope).map_or(Val::Undefined, Val::Ad)),
            "parent" => Some(self.parent(scope).map_or(Val::Undefined, Val::Ad)),
            "root" | "toplevel" => Some(Val::Ad(self.root(scope))),
            _ => None,
        }
    }

    /// An attribute of exactly this ad.
    fn own(&mut self, name: &Arc<str>, scope: ScopeId) -> Val {
        self.attribute_of(name, scope).unwrap_or(Val::Undefined)
    }

    /// The value of an attribute of exactly this ad, `None` if it has none.
    pub(crate) fn attribute_of(&mut self, name: &Arc<str>, scope: ScopeId) -> Option<Val> {
        let found = self.lookup(name, scope)?;
        if let Node::Literal(value) = &found.0 {
            return Some(literal(value));
        }
        if !self.charge(self.active.len() / 16) {
            return Some(Val::Error);
        }
        let circular = self.active.iter().any(|(at, active)| *at == scope && active == name);
        if circular {
            return Some(Val::Undefined);
        }
        self.active.push((scope, Arc::clone(name)));
        let val = self.eval(&found, scope);
        self.active.pop();
        Some(val)
    }

    /// The expression of an attribute of exactly this ad.
    pub(crate) fn lookup(&self, name: &str, scope: ScopeId) -> Option<Cow<'e, Expr>> {
        match scope {
            ScopeId::MY => self.my.lookup(name),
            ScopeId::TARGET => self.target?.lookup(name),
            ScopeId(nested) => self.nested[(nested - ROOTS) as usize].ad.get(name).cloned().map(Cow::Owned),
        }
    }

    /// The expression an unscoped name stands for and the scope it was found in.
    pub(crate) fn resolve(&self, name: &str, scope: ScopeId) -> Option<(Cow<'e, Expr>, ScopeId)> {
        let mut at = scope;
        loop {
            if let Some(found) = self.lookup(name, at) {
                return Some((found, at));
            }
            match self.parent(at) {
                Some(parent) => at = parent,
                None => break,
            }
        }
        let other = self.other_root(at)?;
        Some((self.lookup(name, other)?, other))
    }

    /// Whether the scope is that of an ad within another one.
    pub(crate) fn is_nested(&self, scope: ScopeId) -> bool {
        self.parent(scope).is_some()
    }

    fn parent(&self, scope: ScopeId) -> Option<ScopeId> {
        let nested = scope.0.checked_sub(ROOTS)?;
        self.nested[nested as usize].parent
    }

    fn root(&self, scope: ScopeId) -> ScopeId {
        let mut at = scope;
        while let Some(parent) = self.parent(at) {
            at = parent;
        }
        at
    }

    fn other_root(&self, scope: ScopeId) -> Option<ScopeId> {
        match self.root(scope) {
            ScopeId::MY => self.target.map(|_| ScopeId::TARGET),
            ScopeId::TARGET => Some(ScopeId::MY),
            _ => None,
        }
    }

    /// The scope of an ad that stands in another one.
    pub(crate) fn enter(&mut self, ad: &Arc<ClassAd>, parent: ScopeId) -> ScopeId {
        let next = self.next_scope();
        let id = *self.entered.entry((Arc::as_ptr(ad) as usize, parent)).or_insert(next);
        if id == next {
            self.nested.push(Nested { ad: Arc::clone(ad), parent: Some(parent), context: None });
        }
        id
    }

    /// The scope of an ad made by a function: nothing is around it.
    pub(crate) fn alone(&mut self, ad: ClassAd) -> Val {
        let id = self.next_scope();
        self.nested.push(Nested { ad: Arc::new(ad), parent: None, context: None });
        Val::Ad(id)
    }

    fn next_scope(&self) -> ScopeId {
        ScopeId(ROOTS + u32::try_from(self.nested.len()).expect("every scope costs a step"))
    }

    /// The value of an expression that stands in `scope`, with what is not found there looked up in an ad.
    pub(crate) fn eval_with_context(&mut self, expr: &Expr, scope: ScopeId, context: ScopeId) -> Val {
        let id = self.next_scope();
        self.nested.push(Nested { ad: Arc::default(), parent: Some(scope), context: Some(context) });
        self.eval(expr, id)
    }

    /// The ad of a scope; `None` for a root that cannot list its attributes.
    pub(crate) fn ad(&mut self, scope: ScopeId) -> Option<Arc<ClassAd>> {
        if let Some(nested) = scope.0.checked_sub(ROOTS) {
            return Some(Arc::clone(&self.nested[nested as usize].ad));
        }
        let root = if scope == ScopeId::MY { self.my } else { self.target? };
        let whole = &mut self.whole[scope.0 as usize];
        if whole.is_none() {
            *whole = root.whole();
        }
        whole.clone()
    }

    /// `base.name`; over a list it is done for each element, evaluated in `scope`.
    fn select(&mut self, base: &Val, name: &Arc<str>, scope: ScopeId) -> Val {
        match base {
            Val::Ad(ad) => self.attribute(name, *ad, true),
            Val::Undefined => Val::Undefined,
            // A list may hold itself: `A = {B}; B = A`.
            Val::List(..) if self.depth >= DEPTH_MAX => Val::Error,
            Val::List(items, _) => {
                self.depth += 1;
                let mut values = Vec::new();
                for item in items.iter() {
                    let item = self.eval(item, scope);
                    let val = self.select(&item, name, scope);
                    values.push(self.value(&val));
                }
                self.depth -= 1;
                // Of the same kind as the list that was written.
                match self.list(values) {
                    Val::List(values, _) => Val::List(values, ScopeId::MY),
                    failed => failed,
                }
            }
            _ => Val::Error,
        }
    }

    fn index(&mut self, base: Val, index: Val) -> Val {
        match (base, index) {
            (Val::Error, _) | (_, Val::Error) => Val::Error,
            (Val::Undefined, _) | (_, Val::Undefined) => Val::Undefined,
            (Val::List(items, scope), Val::Int(index)) => {
                // The library counts elements in 32 bits.
                match usize::try_from(index as i32).ok().and_then(|index| items.get(index)) {
                    Some(item) if scope == ScopeId::MADE => self.eval(item, ScopeId::MY),
                    Some(item) => self.eval(item, scope),
                    None => Val::Error,
                }
            }
            (Val::Ad(scope), Val::Str(name)) => self.own(&name.to_ascii_lowercase().into(), scope),
            _ => Val::Error,
        }
    }

    /// The value without its scope.
    pub(crate) fn value(&mut self, val: &Val) -> Value {
        match val {
            Val::Undefined => Value::Undefined,
            Val::Error => Value::Error,
            Val::Bool(b) => Value::Bool(*b),
            Val::Int(i) => Value::Int(*i),
            Val::Real(r) => Value::Real(*r),
            Val::Str(text) => Value::Str(Arc::clone(text)),
            Val::AbsTime(time) => Value::AbsTime(*time),
            Val::RelTime(secs) => Value::RelTime(*secs),
            Val::List(items, _) => Value::List(Arc::clone(items)),
            Val::Ad(scope) => self.ad(*scope).map_or(Value::Undefined, Value::Ad),
        }
    }

    /// A list of values made by a function, if it is not too long.
    pub(crate) fn list(&mut self, values: Vec<Value>) -> Val {
        if values.len() > LIST_MAX || !self.charge(values.len()) {
            return Val::Error;
        }
        Val::List(values.into_iter().map(Expr::from).collect(), ScopeId::MADE)
    }

    /// A text made by a function, if it is not too long.
    pub(crate) fn text(&mut self, text: &str) -> Val {
        if text.len() > TEXT_MAX || !self.charge(text.len() / 64) { Val::Error } else { Val::str(text) }
    }

    /// The value as `string()` makes it: strings bare, all else in the new syntax on one line. Not for undefined
    /// and error, which have no text. `None` if it would be too long.
    pub(crate) fn text_of(&mut self, val: &Val) -> Option<Arc<str>> {
        let mut out = String::new();
        match val {
            Val::Str(text) => return Some(Arc::clone(text)),
            Val::AbsTime(time) => out.push_str(&time.to_string()),
            Val::RelTime(secs) => out.push_str(&crate::func::time::rel_time_text(secs.trunc())),
            other => {
                let value = self.value(other);
                write_value(&mut out, &value, Style::New);
            }
        }
        if out.len() > TEXT_MAX || !self.charge(out.len() / 64) { None } else { Some(out.into()) }
    }

    /// The next pseudo-random number; `None` without a seed. SplitMix64: small, good enough for `random()`.
    pub(crate) fn random(&mut self) -> Option<u64> {
        let state = self.random_state.as_mut()?;
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Some(mixed ^ (mixed >> 31))
    }
}

/// A literal. A relative time written as one is a real number of seconds, as in HTCondor; `relTime(60)` is a call
/// and gives a relative time.
fn literal(value: &Value) -> Val {
    match value {
        Value::Undefined => Val::Undefined,
        Value::Error => Val::Error,
        Value::Bool(b) => Val::Bool(*b),
        Value::Int(i) => Val::Int(*i),
        Value::Real(r) => Val::Real(*r),
        Value::Str(text) => Val::Str(Arc::clone(text)),
        Value::AbsTime(time) => Val::AbsTime(*time),
        Value::RelTime(secs) => Val::Real(*secs),
        // `Expr::from` makes these other nodes.
        Value::List(items) => Val::List(Arc::clone(items), ScopeId::MY),
        Value::Ad(_) => Val::Error,
    }
}
