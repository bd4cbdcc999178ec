//! Ads as listings and event logs print them.

use classad::{ClassAd, Env, Expr, ad_to_json, ad_to_json_line, ad_to_long, ad_to_new, ad_to_xml, eval};
use classad::{parse_expr, parse_expr_new};
use serde_json::Value as Json;

/// The output of a recorded command.
fn recorded(name: &str) -> String {
    super::data("listings.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).expect("recorded rows are JSON"))
        .find(|row| row["name"] == name)
        .and_then(|row| row["stdout"].as_str().map(str::to_owned))
        .unwrap_or_else(|| panic!("no recorded command {name}"))
}

#[test]
fn long_form_is_reproduced() {
    for name in ["q-long", "q-strings-long"] {
        for ad in recorded(name).split_terminator("\n\n") {
            let text = format!("{ad}\n");
            assert_eq!(ad_to_long(&ClassAd::from_old_text(&text).expect("a recorded ad parses")), text);
        }
    }
}

#[test]
fn other_forms_of_the_same_ad_are_reproduced() {
    let strings = ClassAd::from_old_text(&recorded("q-strings-long")).expect("a recorded ad parses");
    assert_eq!(format!("[\n{}\n]\n", ad_to_json(&strings)), recorded("q-strings-json"));
    assert_eq!(format!("{{\n{}\n}}\n", ad_to_new(&strings)), recorded("q-strings-long-new"));
    assert_eq!(framed(&strings), recorded("q-strings-xml"));

    let whole = whole_job();
    assert_eq!(format!("[\n{}\n]\n", ad_to_json(&whole)), recorded("q-json"));
    assert_eq!(framed(&whole), recorded("q-xml"));
}

/// The job of `q-json` from its `-long:new` form.
fn whole_job() -> ClassAd {
    let new = recorded("q-long-new");
    let text = new.trim().trim_start_matches('{').trim_end_matches('}');
    ClassAd::clone(parse_expr_new(text).expect("a recorded ad parses").ad().expect("it is an ad"))
}

fn framed(ad: &ClassAd) -> String {
    let head = "<?xml version=\"1.0\"?>\n<!DOCTYPE classads SYSTEM \"classads.dtd\">\n<classads>\n";
    format!("{head}{}\n</classads>\n", ad_to_xml(ad))
}

#[test]
fn json_lines_are_reproduced() {
    let job = |proc: i64| -> ClassAd {
        [("ProcId", proc), ("ClusterId", 1), ("JobStatus", 3)]
            .map(|(name, value)| (name.to_owned(), Expr::from(value)))
            .into_iter()
            .collect()
    };
    let lines: String = [2, 1, 0].map(|proc| ad_to_json_line(&job(proc)) + "\n").concat();
    assert_eq!(lines, recorded("history-jsonl"));
}

#[test]
fn columns_are_reproduced() {
    let ad = ClassAd::from_old_text(&recorded("q-strings-long")).expect("a recorded ad parses");
    let columns = ["S1", "S2", "S3", "L", "A", "R", "R2", "B", "E", "U", "X", "NoSuch"];
    let values = columns.map(|name| {
        let column = parse_expr(name).expect("a name parses");
        eval(&column, &ad, None, &Env::default())
    });
    let bare = values.each_ref().map(classad::Value::display_old).join(" ");
    assert_eq!(bare + "\n", recorded("q-strings-af"));
    let quoted = values.each_ref().map(ToString::to_string).join(" ");
    assert_eq!(quoted + "\n", recorded("q-strings-af-V"));
    let raw = columns.map(|name| ad.get(name).map_or("undefined".to_owned(), ToString::to_string)).join(" ");
    assert_eq!(raw + "\n", recorded("q-strings-af-r"));
}

/// An event of the recorded logs, read back from its JSON form.
fn event(json: &Json) -> ClassAd {
    let object = json.as_object().expect("an event is an object");
    object.iter().map(|(name, value)| (name.clone(), from_json(value))).collect()
}

fn from_json(value: &Json) -> Expr {
    match value {
        Json::Null => Expr::from(classad::Value::Undefined),
        Json::Bool(b) => Expr::from(*b),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Expr::from(whole),
            None => Expr::from(number.as_f64().expect("a number is whole or real")),
        },
        Json::String(text) => Expr::from(text.as_str()),
        Json::Array(items) => Expr::from(classad::Value::List(items.iter().map(from_json).collect())),
        Json::Object(_) => Expr::from(classad::Value::Ad(event(value).into())),
    }
}

#[test]
fn event_logs_are_reproduced() {
    let json = super::data("events.json");
    let events: Vec<Json> =
        serde_json::Deserializer::from_str(&json).into_iter().collect::<Result<_, _>>().expect("recorded JSON");
    assert!(events.len() > 100, "the recorded log is long");
    let printed: String = events.iter().map(|event_json| event(event_json).to_event_json() + "\n").collect();
    assert_eq!(printed, json);

    // The XML log is of another run of the pool: only its form is compared, element by element from its own text.
    let xml = super::data("events.xml");
    for block in xml.split_inclusive("\n</c>\n").filter(|block| !block.contains("<l>") && !block.contains("\"><c>")) {
        let ad: ClassAd = block.lines().filter_map(attribute).collect();
        assert_eq!(ad.to_event_xml() + "\n", block);
    }
}

/// `    <a n="Name"><i>1</i></a>`
fn attribute(line: &str) -> Option<(String, Expr)> {
    let (name, element) = line.trim().strip_prefix("<a n=\"")?.strip_suffix("</a>")?.split_once("\">")?;
    let inner = element.split_once('>')?.1.rsplit_once('<').map(|(inner, _)| inner);
    let text = |inner: &str| inner.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let expr = match (&element[..2], inner) {
        ("<s", Some(inner)) => Expr::from(text(inner)),
        ("<i" | "<r", Some(inner)) => parse_expr(inner).ok()?,
        ("<b", _) => Expr::from(element.contains("\"t\"")),
        _ => panic!("an element not met so far: {line}"),
    };
    Some((name.to_owned(), expr))
}
