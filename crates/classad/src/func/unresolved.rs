//! `unresolved`: what an attribute depends on that the ad does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::call::{Args, Function};
use super::regex::Pattern;
use crate::Expr;
use crate::eval::{Machine, ScopeId, Val};
use crate::expr::{Node, SelectKind};
use crate::print::{Style, write_name};

pub(super) const TABLE: &[Function] = &[Function { name: "unresolved", args_min: 1, args_max: 2, run: unresolved }];

/// The names separated by commas, or, with a pattern, whether one of them matches.
fn unresolved(args: &mut Args<'_, '_, '_>) -> Val {
    let mut search = Search { scope: args.scope, seen: BTreeSet::new(), missing: BTreeMap::new() };
    match &args.expr(0).0 {
        Node::Attr(attr) if attr.absolute && args.machine.is_nested(args.scope) => return Val::Undefined,
        Node::Attr(attr) => {
            let Some((expr, scope)) = args.machine.resolve(attr.name.lower(), args.scope) else {
                return Val::Undefined;
            };
            search.begin(args.machine, attr.name.lower(), &expr, scope);
        }
        Node::Select(select) if select.kind == SelectKind::My => {
            let Some((expr, scope)) = args.machine.resolve(select.name.lower(), args.scope) else {
                return Val::Undefined;
            };
            search.begin(args.machine, select.name.lower(), &expr, scope);
        }
        Node::Select(select) if select.kind == SelectKind::Other => match args.element(&select.base) {
            Val::Ad(scope) => {
                let Some(expr) = args.machine.lookup(select.name.lower(), scope) else { return Val::Undefined };
                search.begin(args.machine, select.name.lower(), &expr, scope);
            }
            // Each element may have it: nothing is missing.
            Val::List(..) => {}
            _ => return Val::Undefined,
        },
        Node::Select(_) => return Val::Undefined,
        _ => return Val::Error,
    }
    if args.len() == 1 {
        let names: Vec<String> = search.missing.into_values().collect();
        return args.machine.text(&names.join(","));
    }
    let Val::Str(pattern) = args.val(1) else { return Val::Error };
    if !args.machine.charge(1000 + pattern.len()) {
        return Val::Error;
    }
    let Some(pattern) = Pattern::new(&pattern, &"i".into()) else { return Val::Error };
    for name in search.missing.values() {
        match pattern.occurs(args.machine, name) {
            Some(true) => return Val::Bool(true),
            Some(false) => {}
            None => return Val::Error,
        }
    }
    Val::Bool(false)
}

struct Search {
    scope: ScopeId,
    /// Attributes followed so far: circles end.
    seen: BTreeSet<Arc<str>>,
    /// By the key they are sorted by, which has the scope in it.
    missing: BTreeMap<String, String>,
}

impl Search {
    /// What the expression of an attribute in its scope depends on.
    fn begin(&mut self, machine: &mut Machine<'_>, name: &Arc<str>, expr: &Expr, scope: ScopeId) {
        self.scope = scope;
        self.seen.insert(Arc::clone(name));
        self.collect(machine, expr);
    }

    fn collect(&mut self, machine: &mut Machine<'_>, expr: &Expr) {
        // An expression of the ad is no deeper than the parser allows, but attributes lead on.
        if !machine.charge(1) || self.seen.len() > 200 {
            return;
        }
        match &expr.0 {
            Node::Literal(_) => {}
            Node::Attr(attr) => self.attribute(machine, attr.name.lower(), attr.name.text(), attr.name.text()),
            Node::Select(select) => {
                let name = select.name.text();
                match (select.kind, &select.base.0) {
                    (SelectKind::My, _) => self.attribute(machine, select.name.lower(), &format!("my.{name}"), name),
                    (SelectKind::Target, _) => self.miss(&format!("target.{name}"), name),
                    (SelectKind::Other, Node::Attr(base)) => {
                        let mut written = String::new();
                        write_name(&mut written, base.name.text(), Style::New);
                        written.push('.');
                        written.push_str(name);
                        self.attribute(machine, base.name.lower(), &written, &written);
                    }
                    (SelectKind::Other, _) => self.collect(machine, &select.base),
                }
            }
            Node::Index(pair) | Node::Elvis(pair) => {
                self.collect(machine, &pair.0);
                self.collect(machine, &pair.1);
            }
            Node::Unary(_, inner) | Node::Paren(inner) => self.collect(machine, inner),
            Node::Chain(chain) => {
                self.collect(machine, &chain.first);
                chain.rest.iter().for_each(|(_, operand)| self.collect(machine, operand));
            }
            Node::Conditional(parts) => parts.iter().for_each(|part| self.collect(machine, part)),
            Node::Call(call) => call.args().iter().for_each(|arg| self.collect(machine, arg)),
            Node::List(items) => items.iter().for_each(|item| self.collect(machine, item)),
            Node::Ad(ad) => ad.iter().for_each(|(_, inner)| self.collect(machine, inner)),
        }
    }

    /// Follows an attribute the ad has, notes one it has not.
    fn attribute(&mut self, machine: &mut Machine<'_>, name: &Arc<str>, key: &str, written: &str) {
        match machine.lookup(name, self.scope) {
            Some(expr) => {
                if self.seen.insert(Arc::clone(name)) {
                    self.collect(machine, &expr);
                }
            }
            None => self.miss(key, written),
        }
    }

    fn miss(&mut self, key: &str, written: &str) {
        self.missing.entry(key.to_ascii_lowercase()).or_insert_with(|| written.to_owned());
    }
}
