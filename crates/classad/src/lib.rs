//! ClassAd values, expressions, ads: parser, evaluator and printers, as in HTCondor 25.
//!
//! Pure: time, zone, random seed and users' homes come in an [`Env`]; what is not known there is undefined.
//! Bounded: nesting, steps, texts, lists and regular expressions have limits ([`parse_expr`], [`eval`]), so that no
//! expression of a user hangs, crashes or bloats the program that holds it.
//!
//! Start with [`parse_expr`], [`eval`] and [`ClassAd`]. [`ad_to_long`], [`ad_to_json`] and [`ad_to_xml`] are the
//! forms of listings. The facts were recorded from HTCondor 25.13.2; `tests/data/classad` in the repository's root
//! holds them and the known differences.

mod ad;
pub mod analysis;
mod env;
mod eval;
mod expr;
mod func;
mod name;
pub mod packed;
mod parse;
mod print;
mod value;

pub use ad::{AdError, AttributeName, ClassAd, Scope};
pub use env::{Env, HomeOf, OffsetAt, ZoneNameAt};
pub use eval::eval;
pub use expr::{Expr, References};
pub use func::time::Date;
pub use packed::{pack_row, unpack_row};
pub use parse::{ParseError, Plain, parse_expr, parse_expr_new, plain_literal, plain_text};
pub use print::{ad_to_json, ad_to_json_line, ad_to_long, ad_to_new, ad_to_xml, quote_old};
pub use value::{AbsTime, Value};
