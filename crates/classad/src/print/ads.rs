//! Whole ads, as listings and event logs print them.

use super::json::{self, Layout};
use super::syntax::{Style, write_expr, write_name};
use super::xml;
use crate::{ClassAd, Expr, Value};

/// `-long`: a line `Name = expression` for each attribute, sorted by name ignoring case. No empty line after it.
pub fn ad_to_long(ad: &ClassAd) -> String {
    let mut out = String::new();
    for (name, expr) in ad.iter() {
        write_name(&mut out, name, Style::Old);
        out.push_str(" = ");
        write_expr(&mut out, expr, Style::Old);
        out.push('\n');
    }
    out
}

/// `-long:new`: `[ Name = expression; … ]` on one line without line end, sorted by name ignoring case.
pub fn ad_to_new(ad: &ClassAd) -> String {
    let mut out = String::from("[ ");
    for (index, (name, expr)) in ad.iter().enumerate() {
        if index > 0 {
            out.push_str("; ");
        }
        write_name(&mut out, name, Style::New);
        out.push_str(" = ");
        write_expr(&mut out, expr, Style::New);
    }
    out.push_str(" ]");
    out
}

/// `-json`: an object over several lines, sorted by name ignoring case, without line end.
pub fn ad_to_json(ad: &ClassAd) -> String {
    let mut out = String::new();
    json::write_ad(&mut out, ad, true, Layout::Lines);
    out
}

/// `condor_history -jsonl`: an object on one line, sorted by name ignoring case, without line end.
pub fn ad_to_json_line(ad: &ClassAd) -> String {
    let mut out = String::new();
    json::write_ad(&mut out, ad, true, Layout::OneLine);
    out
}

/// `-xml`: `<c>` … `</c>` over several lines, sorted by name ignoring case, without line end. The frame
/// (`<?xml …`, `<classads>`) is the caller's.
pub fn ad_to_xml(ad: &ClassAd) -> String {
    let mut out = String::new();
    xml::write_ad(&mut out, ad, true);
    out
}

impl Expr {
    /// As a JSON value; what JSON cannot say is `"\/Expr(…)\/"`.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        json::write(&mut out, self);
        out
    }

    /// As an XML element, `<i>1</i>`; what has no element of its own is `<e>…</e>`.
    pub fn to_xml(&self) -> String {
        let mut out = String::new();
        xml::write(&mut out, self);
        out
    }
}

impl Value {
    /// As a JSON value.
    pub fn to_json(&self) -> String {
        Expr::from(self.clone()).to_json()
    }

    /// As an XML element.
    pub fn to_xml(&self) -> String {
        Expr::from(self.clone()).to_xml()
    }
}

impl ClassAd {
    /// The ad as an event of a JSON log: attributes by length of the name, then by name.
    pub fn to_event_json(&self) -> String {
        let mut out = String::new();
        json::write_ad(&mut out, self, false, Layout::Lines);
        out
    }

    /// The ad as an event of an XML log: attributes by length of the name, then by name.
    pub fn to_event_xml(&self) -> String {
        let mut out = String::new();
        xml::write_ad(&mut out, self, false);
        out
    }
}
