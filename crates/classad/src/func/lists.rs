//! Lists.

use super::call::{Args, Function};
use crate::eval::Val;

pub(super) const TABLE: &[Function] = &[Function { name: "size", args_min: 1, args_max: 1, run: size }];

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
