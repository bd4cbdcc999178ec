//! Conditions and expressions as data: `ifThenElse`, `eval`, `unparse`, `debug`.

use super::call::{Args, Function};
use crate::eval::{Truth, Val};
use crate::expr::Node;
use crate::parse_expr_new;

pub(super) const TABLE: &[Function] = &[
    Function { name: "ifthenelse", args_min: 3, args_max: 3, run: if_then_else },
    Function { name: "eval", args_min: 1, args_max: 1, run: eval },
    Function { name: "unparse", args_min: 1, args_max: 1, run: unparse },
    Function { name: "debug", args_min: 1, args_max: 1, run: debug },
];

/// Only the chosen side is evaluated.
fn if_then_else(args: &mut Args<'_, '_, '_>) -> Val {
    match args.val(0).truth() {
        Truth::Known(true) => args.val(1),
        Truth::Known(false) => args.val(2),
        Truth::Unknown => Val::Undefined,
        Truth::Wrong => Val::Error,
    }
}

/// Text as an expression; what is not text is printed first, so `eval(3)` is 3.
fn eval(args: &mut Args<'_, '_, '_>) -> Val {
    let val = args.val(0);
    if matches!(val, Val::Undefined | Val::Error) {
        return Val::Error;
    }
    let Some(text) = args.machine.text_of(&val) else { return Val::Error };
    if !args.machine.charge(text.len()) {
        return Val::Error;
    }
    match parse_expr_new(&text) {
        Ok(expr) => args.machine.eval(&expr, args.scope),
        Err(_) => Val::Error,
    }
}

/// The text of an attribute's expression.
fn unparse(args: &mut Args<'_, '_, '_>) -> Val {
    match &args.expr(0).0 {
        Node::Attr(attr) => match args.machine.resolve(attr.name.lower(), args.scope) {
            Some((expr, _)) => {
                let text = expr.to_pretty_string();
                args.machine.text(&text)
            }
            None => Val::str(""),
        },
        Node::Select(_) => Val::str(""),
        _ => Val::Error,
    }
}

/// HTCondor also logs the value.
fn debug(args: &mut Args<'_, '_, '_>) -> Val {
    args.val(0)
}
