//! From expressions, values and ads to text: the old and the new syntax, JSON and XML.

mod ads;
mod json;
mod real;
mod syntax;
mod xml;

pub use ads::{ad_to_json, ad_to_json_line, ad_to_long, ad_to_new, ad_to_xml};
pub use syntax::quote_old;

pub(crate) use syntax::{Style, write_name, write_value};
