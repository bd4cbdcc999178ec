//! Files of ads, in each form that the programs print: `-jobads`, `-slotads`, `-ads`.

use classad::{ClassAd, Expr, Value, parse_expr, parse_expr_new};

/// How the ads of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Found out by the first characters.
    Auto,
    /// `Name = expression` lines, an empty line between two ads.
    Long,
    /// As `-xml` prints.
    Xml,
    /// As `-json` prints, or one object after the other.
    Json,
    /// New syntax: a list of ads, or one after the other.
    New,
}

/// Largest file that is read.
const BYTES_MAX: u64 = 1 << 30;

impl Form {
    /// By the word behind the colon of an option; what is no form is found out.
    pub fn named(word: &str) -> Form {
        match word.to_ascii_lowercase().as_str() {
            "long" => Form::Long,
            "xml" => Form::Xml,
            "json" => Form::Json,
            "new" => Form::New,
            _ => Form::Auto,
        }
    }

    fn of(self, text: &str) -> Form {
        let mut first = text.chars().filter(|c| !c.is_whitespace());
        match (self, first.next(), first.next()) {
            (Form::Auto, Some('<'), _) => Form::Xml,
            (Form::Auto, Some('['), Some('{' | ']')) | (Form::Auto, Some('{'), Some('"')) => Form::Json,
            (Form::Auto, Some('[' | '{'), _) => Form::New,
            (Form::Auto, ..) => Form::Long,
            (form, ..) => form,
        }
    }
}

/// The ads of a file, `-` being standard input; else HTCondor's sentence that it cannot be opened, or what is wrong.
pub fn load(path: &str, form: Form) -> Result<Vec<ClassAd>, String> {
    use std::io::Read;
    let cannot = |error: std::io::Error| format!("Can't open file of ClassAds: {path} ({error})");
    let mut bytes = Vec::new();
    match path {
        "-" => std::io::stdin().lock().take(BYTES_MAX).read_to_end(&mut bytes).map_err(cannot)?,
        path => std::fs::File::open(path).map_err(cannot)?.take(BYTES_MAX).read_to_end(&mut bytes).map_err(cannot)?,
    };
    parse(&String::from_utf8_lossy(&bytes), form).map_err(|why| format!("Error: {path} holds no ClassAds: {why}"))
}

/// The ads of a text.
pub fn parse(text: &str, form: Form) -> Result<Vec<ClassAd>, String> {
    match form.of(text) {
        Form::Xml => Xml { rest: text }.ads(),
        Form::Json => json(text),
        Form::New => new(text),
        _ => long(text),
    }
}

fn long(text: &str) -> Result<Vec<ClassAd>, String> {
    let mut ads = Vec::new();
    let mut lines = String::new();
    // An empty line, or one with stars as in history files, ends an ad.
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() || line.starts_with("***") {
            if !lines.is_empty() {
                ads.push(ClassAd::from_old_text(&lines).map_err(|error| error.to_string())?);
                lines.clear();
            }
        } else if !line.starts_with('#') && !line.starts_with("-- ") {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    Ok(ads)
}

fn new(text: &str) -> Result<Vec<ClassAd>, String> {
    let of_expr = |expr: &Expr| expr.ad().map(|ad| ClassAd::clone(ad)).ok_or_else(|| format!("{expr} is no ad"));
    match parse_expr_new(text.trim()) {
        Ok(expr) if expr.list().is_some() => {
            expr.list().into_iter().flat_map(|list| list.iter()).map(of_expr).collect()
        }
        Ok(expr) => Ok(vec![of_expr(&expr)?]),
        // One ad after the other, a line each.
        Err(_) => text
            .lines()
            .map(|line| line.trim().trim_end_matches(','))
            .filter(|line| !matches!(*line, "" | "{" | "}"))
            .map(|line| of_expr(&parse_expr_new(line).map_err(|error| error.to_string())?))
            .collect(),
    }
}

fn json(text: &str) -> Result<Vec<ClassAd>, String> {
    let mut ads = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>() {
        match value.map_err(|error| error.to_string())? {
            serde_json::Value::Array(values) => {
                for value in values {
                    ads.push(json_ad(&value)?);
                }
            }
            value => ads.push(json_ad(&value)?),
        }
    }
    Ok(ads)
}

fn json_ad(value: &serde_json::Value) -> Result<ClassAd, String> {
    let Some(fields) = value.as_object() else { return Err(format!("{value} is no object")) };
    let mut ad = ClassAd::new();
    for (name, value) in fields {
        ad.insert(name, json_expr(value)?);
    }
    Ok(ad)
}

fn json_expr(value: &serde_json::Value) -> Result<Expr, String> {
    Ok(match value {
        serde_json::Value::Null => Expr::from(Value::Undefined),
        serde_json::Value::Bool(value) => Expr::from(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Expr::from(number),
            None => Expr::from(Value::Real(number.as_f64().unwrap_or(f64::NAN))),
        },
        serde_json::Value::String(text) => match text.strip_prefix("/Expr(").and_then(|text| text.strip_suffix(")/")) {
            Some(text) => parse_expr_new(text).map_err(|error| error.to_string())?,
            None => Expr::from(text.as_str()),
        },
        serde_json::Value::Array(values) => {
            let items: Result<Vec<Expr>, String> = values.iter().map(json_expr).collect();
            Expr::from(Value::List(items?.into()))
        }
        value => Expr::from(Value::Ad(json_ad(value)?.into())),
    })
}

/// Reads what `-xml` prints, and no other XML.
struct Xml<'t> {
    rest: &'t str,
}

/// How deep lists and ads may nest.
const DEPTH_MAX: usize = 100;

impl<'t> Xml<'t> {
    fn ads(mut self) -> Result<Vec<ClassAd>, String> {
        let mut ads = Vec::new();
        while let Some(tag) = self.tag() {
            match tag {
                "c" => ads.push(self.ad(0)?),
                tag if tag.starts_with(['?', '!']) || tag.ends_with("classads") => {}
                other => return Err(format!("<{other}> where an ad should begin")),
            }
        }
        Ok(ads)
    }

    /// What stands within the next pair of angle brackets.
    fn tag(&mut self) -> Option<&'t str> {
        let (_, rest) = self.rest.split_once('<')?;
        let (tag, rest) = rest.split_once('>')?;
        self.rest = rest;
        Some(tag.trim())
    }

    fn ad(&mut self, depth: usize) -> Result<ClassAd, String> {
        let mut ad = ClassAd::new();
        loop {
            let tag = self.tag().ok_or("an ad without its end")?;
            if tag == "/c" {
                return Ok(ad);
            }
            let name = tag.strip_prefix("a n=\"").and_then(|name| name.strip_suffix('"'));
            let name = name.ok_or_else(|| format!("<{tag}> where an attribute should begin"))?;
            let first = self.tag().ok_or("an attribute without a value")?;
            let value = self.value(first, depth)?;
            ad.insert(&plain(name), value);
            if self.tag() != Some("/a") {
                return Err(format!("attribute {name} has no end"));
            }
        }
    }

    fn value(&mut self, tag: &str, depth: usize) -> Result<Expr, String> {
        if depth > DEPTH_MAX {
            return Err("lists and ads nest too deeply".into());
        }
        Ok(match tag {
            "un/" => Expr::from(Value::Undefined),
            "er/" => Expr::from(Value::Error),
            "b v=\"t\"/" => Expr::from(true),
            "b v=\"f\"/" => Expr::from(false),
            "s/" => Expr::from(""),
            "l/" => Expr::from(Value::List(Vec::new().into())),
            "c" => Expr::from(Value::Ad(self.ad(depth + 1)?.into())),
            "l" => {
                let mut items = Vec::new();
                loop {
                    match self.tag().ok_or("a list without its end")? {
                        "/l" => return Ok(Expr::from(Value::List(items.into()))),
                        tag => items.push(self.value(tag, depth + 1)?),
                    }
                }
            }
            "s" => Expr::from(unescaped(&self.text("/s")?).as_str()),
            "i" | "r" => {
                parse_expr(self.text(if tag == "i" { "/i" } else { "/r" })?.trim()).map_err(|e| e.to_string())?
            }
            "e" => parse_expr_new(&self.text("/e")?).map_err(|error| error.to_string())?,
            other => return Err(format!("<{other}> is no value")),
        })
    }

    /// The text up to an end tag.
    fn text(&mut self, end: &str) -> Result<String, String> {
        let (text, rest) = self.rest.split_once('<').ok_or("a value without its end")?;
        self.rest = rest.strip_prefix(end).and_then(|rest| rest.strip_prefix('>')).ok_or("a value without its end")?;
        Ok(plain(text))
    }
}

/// Entities resolved.
fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

/// What the new syntax escapes in a string.
fn unescaped(text: &str) -> String {
    let quoted = format!("\"{}\"", text.replace('"', "\\\""));
    let value =
        parse_expr_new(&quoted).ok().and_then(|expr| expr.literal().and_then(|v| v.as_str().map(str::to_owned)));
    value.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AD: &str = "A = 1\nB = \"a\\\"b <&\\t>\"\nC = 2.5\nD = true\nE = A + 1\nF = { 1,\"x\",[ z = undefined ] }\nG = undefined\n";

    #[test]
    fn each_form_is_read_back() {
        let ad = ClassAd::from_old_text(AD).unwrap();
        let long = classad::ad_to_long(&ad);
        let texts = [
            (format!("{long}\n{long}"), Form::Long),
            (format!("[\n{}\n,\n{}\n]\n", classad::ad_to_json(&ad), classad::ad_to_json(&ad)), Form::Json),
            (format!("{}\n{}\n", classad::ad_to_json_line(&ad), classad::ad_to_json_line(&ad)), Form::Json),
            (format!("{{\n{}\n,\n{}\n}}\n", classad::ad_to_new(&ad), classad::ad_to_new(&ad)), Form::New),
            (format!("{}\n{}\n", classad::ad_to_new(&ad), classad::ad_to_new(&ad)), Form::New),
            (
                format!(
                    "<?xml version=\"1.0\"?>\n<classads>\n{}{}</classads>\n",
                    classad::ad_to_xml(&ad),
                    classad::ad_to_xml(&ad)
                ),
                Form::Xml,
            ),
        ];
        for (text, form) in texts {
            for form in [form, Form::Auto] {
                let ads = parse(&text, form).unwrap_or_else(|why| panic!("{form:?}: {why}\n{text}"));
                let texts: Vec<String> = ads.iter().map(classad::ad_to_long).collect();
                assert_eq!(texts, [long.clone(), long.clone()], "{form:?}\n{text}");
            }
        }
    }

    #[test]
    fn no_ads_and_no_nonsense() {
        for text in ["", "\n# only a comment\n", "[]", "<classads></classads>"] {
            assert_eq!(parse(text, Form::Auto).map(|ads| ads.len()), Ok(0), "{text}");
        }
        for text in ["[ a = ", "{ \"a\": ", "<c><a n=\"x\"><i>1</i>", "A + 1\n", "<c><a n=\"x\"><q/></a></c>"] {
            assert!(parse(text, Form::Auto).is_err(), "{text}");
        }
        let deep = format!("<c><a n=\"x\">{}", "<l>".repeat(1_000));
        assert!(parse(&deep, Form::Xml).is_err());
    }
}
