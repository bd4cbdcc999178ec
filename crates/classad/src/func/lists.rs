//! Lists: membership, comparison, sums.

use super::call::{Args, Function};
use crate::eval::ops::{binary, identical, number};
use crate::eval::{Machine, Truth, Val};
use crate::expr::BinaryOp;

pub(super) const TABLE: &[Function] = &[
    Function { name: "size", args_min: 1, args_max: 1, run: size },
    Function { name: "member", args_min: 2, args_max: 2, run: member },
    Function { name: "identicalmember", args_min: 2, args_max: 2, run: identical_member },
    Function { name: "anycompare", args_min: 3, args_max: 3, run: |args| compare(args, true) },
    Function { name: "allcompare", args_min: 3, args_max: 3, run: |args| compare(args, false) },
    Function { name: "sum", args_min: 1, args_max: 1, run: sum },
    Function { name: "avg", args_min: 1, args_max: 1, run: avg },
    Function { name: "min", args_min: 1, args_max: 1, run: |args| extreme(args, BinaryOp::Lt) },
    Function { name: "max", args_min: 1, args_max: 1, run: |args| extreme(args, BinaryOp::Gt) },
    Function { name: "evalineachcontext", args_min: 2, args_max: 2, run: eval_in_each },
    Function { name: "countmatches", args_min: 2, args_max: 2, run: count_matches },
];

/// Bytes of a text, elements of a list, attributes of an ad.
fn size(args: &mut Args<'_, '_, '_>) -> Val {
    match args.val(0) {
        Val::Str(text) => Val::Int(text.len() as i64),
        Val::List(items, _) => Val::Int(items.len() as i64),
        Val::Ad(scope) => args.machine.ad(scope).map_or(Val::Undefined, |ad| Val::Int(ad.len() as i64)),
        Val::Undefined => Val::Undefined,
        _ => Val::Error,
    }
}

fn member(args: &mut Args<'_, '_, '_>) -> Val {
    let (wanted, list) = (args.val(0), args.val(1));
    match (&wanted, list) {
        (Val::Undefined, _) | (_, Val::Undefined) => Val::Undefined,
        (Val::Error, _) | (_, Val::Error) | (Val::List(..) | Val::Ad(_), _) => Val::Error,
        (_, Val::List(items, _)) => Val::Bool(items.iter().any(|item| {
            let item = args.element(item);
            matches!(args.machine.binary(BinaryOp::Eq, wanted.clone(), item), Val::Bool(true))
        })),
        _ => Val::Error,
    }
}

fn identical_member(args: &mut Args<'_, '_, '_>) -> Val {
    let (wanted, list) = (args.val(0), args.val(1));
    match (&wanted, list) {
        (_, Val::Undefined) => Val::Undefined,
        (Val::List(..) | Val::Ad(_), _) => Val::Error,
        (_, Val::List(items, _)) => Val::Bool(items.iter().any(|item| {
            let item = args.element(item);
            identical(&wanted, &item) == Some(true)
        })),
        _ => Val::Error,
    }
}

/// `anyCompare(operator, list, value)` and `allCompare`. A comparison that is undefined ends both with false.
fn compare(args: &mut Args<'_, '_, '_>, any: bool) -> Val {
    let (operator, list, wanted) = (args.val(0), args.val(1), args.val(2));
    let operator = match operator {
        Val::Str(operator) => operator,
        Val::Undefined => return Val::Undefined,
        _ => return Val::Error,
    };
    let op = match &*operator {
        "<" => BinaryOp::Lt,
        "<=" => BinaryOp::Le,
        ">" => BinaryOp::Gt,
        ">=" => BinaryOp::Ge,
        "==" => BinaryOp::Eq,
        "!=" => BinaryOp::Ne,
        "is" => BinaryOp::Is,
        "isnt" => BinaryOp::Isnt,
        _ => return Val::Error,
    };
    let items = match list {
        Val::List(items, _) => items,
        Val::Undefined => return Val::Undefined,
        _ => return Val::Error,
    };
    for item in items.iter() {
        let item = args.element(item);
        match args.machine.binary(op, item, wanted.clone()).truth() {
            Truth::Wrong => return Val::Error,
            Truth::Unknown => return Val::Bool(false),
            Truth::Known(known) if known == any => return Val::Bool(any),
            Truth::Known(_) => {}
        }
    }
    Val::Bool(!any)
}

/// The defined elements of a list argument, which must be numbers; otherwise the result.
fn numbers(args: &mut Args<'_, '_, '_>) -> Result<Vec<Val>, Val> {
    match args.val(0) {
        Val::Undefined => Err(Val::Undefined),
        Val::List(items, _) => {
            let mut numbers = Vec::new();
            for item in items.iter() {
                let val = args.element(item);
                match &val {
                    Val::Undefined => {}
                    other if number(other).is_some() => numbers.push(val),
                    _ => return Err(Val::Error),
                }
            }
            Ok(numbers)
        }
        _ => Err(Val::Error),
    }
}

/// A single element stays what it is.
fn total(numbers: Vec<Val>) -> Val {
    numbers.into_iter().reduce(|sum, next| binary(BinaryOp::Add, sum, next)).unwrap_or(Val::Int(0))
}

fn sum(args: &mut Args<'_, '_, '_>) -> Val {
    numbers(args).map_or_else(|failed| failed, total)
}

/// A real, except that of nothing, which is the integer 0.
fn avg(args: &mut Args<'_, '_, '_>) -> Val {
    match numbers(args) {
        Ok(numbers) if numbers.is_empty() => Val::Int(0),
        Ok(numbers) => {
            let count = numbers.len() as f64;
            binary(BinaryOp::Div, total(numbers), Val::Real(count))
        }
        Err(failed) => failed,
    }
}

/// The smallest or largest number. One real makes the result real, more than one boolean makes it an integer.
fn extreme(args: &mut Args<'_, '_, '_>, better: BinaryOp) -> Val {
    let numbers = match numbers(args) {
        Ok(numbers) => numbers,
        Err(failed) => return failed,
    };
    let any_real = numbers.iter().any(|val| matches!(val, Val::Real(_)));
    let single = numbers.len() == 1;
    let best = numbers.into_iter().reduce(|best, next| match binary(better, next.clone(), best.clone()) {
        Val::Bool(true) => next,
        _ => best,
    });
    match best {
        None => Val::Undefined,
        Some(best) if single => best,
        Some(best) if any_real => number(&best).map_or(Val::Error, Val::Real),
        Some(Val::Bool(b)) => Val::Int(i64::from(b)),
        Some(best) => best,
    }
}

/// The first argument evaluated with each element of a list of ads as its context.
fn each(args: &mut Args<'_, '_, '_>, result: &mut dyn FnMut(&mut Machine<'_>, Val)) -> Result<(), Val> {
    match args.val(1) {
        Val::List(items, _) => {
            let expr = args.expr(0);
            for item in items.iter() {
                let val = match args.element(item) {
                    Val::Ad(context) => args.machine.eval_with_context(expr, args.scope, context),
                    Val::Undefined => Val::Undefined,
                    _ => Val::Error,
                };
                result(args.machine, val);
            }
            Ok(())
        }
        Val::Undefined => Err(Val::Undefined),
        _ => Err(Val::Error),
    }
}

fn eval_in_each(args: &mut Args<'_, '_, '_>) -> Val {
    let mut values = Vec::new();
    match each(args, &mut |machine, val| values.push(machine.value(&val))) {
        Ok(()) => args.machine.list(values),
        Err(failed) => failed,
    }
}

fn count_matches(args: &mut Args<'_, '_, '_>) -> Val {
    let mut count = 0;
    let counted = each(args, &mut |_, val| count += i64::from(val.truth() == Truth::Known(true)));
    match counted {
        Ok(()) | Err(Val::Undefined) => Val::Int(count),
        Err(failed) => failed,
    }
}
