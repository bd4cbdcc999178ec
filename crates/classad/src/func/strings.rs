//! Texts.

use super::call::{Args, Function, MANY};
use crate::eval::Val;

pub(super) const TABLE: &[Function] = &[Function { name: "strcat", args_min: 0, args_max: MANY, run: strcat }];

/// The arguments one after another, converted as by `string()`.
fn strcat(args: &mut Args<'_, '_, '_>) -> Val {
    let mut out = String::new();
    for val in args.vals() {
        match val {
            Val::Error => return Val::Error,
            Val::Undefined => return Val::Undefined,
            other => match args.machine.to_text(&other) {
                Some(text) => out.push_str(&text),
                None => return Val::Error,
            },
        }
        if out.len() > crate::eval::TEXT_MAX {
            return Val::Error;
        }
    }
    args.machine.text(&out)
}
