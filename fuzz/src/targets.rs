//! The targets: what is done with the bytes, and what must hold then.

use std::cell::LazyCell;

use classad::{ClassAd, Env, Expr, Value, ad_to_json, ad_to_long, ad_to_xml, eval, parse_expr, parse_expr_new};
use shims::columns::Columns;
use shims::job::Job;
use shims::printf::{Format, Subject};
use submit_lang::{ClusterText, Options, dry_run_ads};
use wq_core::run::{split_env_v1, split_v1, split_v2};

use crate::site::Site;
use crate::wire;

/// One of them.
#[derive(Debug)]
pub struct Target {
    /// As on the command line of the driver.
    pub name: &'static str,
    /// Longest input worth trying.
    pub bytes_max: usize,
    /// Takes any bytes.
    pub run: fn(&[u8]),
}

/// All targets.
pub const ALL: &[Target] = &[
    Target { name: "classad", bytes_max: 1024, run: classad },
    Target { name: "submit", bytes_max: 2048, run: submit },
    Target { name: "quoting", bytes_max: 512, run: quoting },
    Target { name: "format", bytes_max: 256, run: format },
    Target { name: "worker", bytes_max: 512, run: wire::worker },
    Target { name: "transfer", bytes_max: 1024, run: wire::transfer },
    Target { name: "password", bytes_max: 1024, run: wire::password },
    Target { name: "control", bytes_max: 512, run: wire::control },
    Target { name: "journal", bytes_max: 512, run: wire::journal },
    Target { name: "command", bytes_max: 256, run: wire::command },
];

/// The target of that name.
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

fn env() -> Env {
    Env { random_seed: Some(7), ..Env::at_utc(1_795_290_000) }
}

fn ad(text: &str) -> ClassAd {
    ClassAd::from_old_text(text).expect("a good ad")
}

const MY: &str =
    "x = 1\ny = 2.5\nz = \"a b\"\nA = { 1,\"x\",B }\nB = A\nN = [ a = 1; b = x ]\nattr = N.b\nt = relTime(5)";
const TARGET_AD: &str = "y = MY.x\nQ = TARGET.x\nList = { MY.y,\"q\" }";

/// An expression in both syntaxes: parsed, printed, parsed again, evaluated, its value printed in all forms.
fn classad(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (my, target) = (ad(MY), ad(TARGET_AD));
    for expr in [parse_expr(&text), parse_expr_new(&text)].into_iter().flatten() {
        let _printed = (expr.to_new_string(), expr.to_pretty_string(), expr.references());
        // `3 .x` is printed as HTCondor does, and does not parse then; what does parse is printable again.
        let _again = parse_expr(&expr.to_string()).map(|expr| expr.to_string());
        let value = eval(&expr, &my, Some(&target), &env());
        let _printed = (value.to_string(), value.print_pretty(), value.to_json(), value.to_xml());
        let whole: ClassAd = [("Attr".to_owned(), expr)].into_iter().collect();
        let _printed = (ad_to_long(&whole), ad_to_json(&whole), ad_to_xml(&whole));
    }
    let _refused_or_not = ClassAd::from_old_text(&text);
}

thread_local! {
    static SITE: LazyCell<Site> = LazyCell::new(|| {
        let mut site = Site::new();
        site.add("items", b"a b c\n1,2,3\n\nlast\n");
        site.add("more.sub", b"X = 1\nif true\nY = $(X)\nendif\n");
        site.env.insert("HOME".to_owned(), "/home/alice".to_owned());
        site
    });
}

/// Jobs of one submission are few here: a `queue 1000000` says nothing that `queue 100` does not.
const JOBS_MAX: u64 = 100;

fn dry_run(text: &str) -> Vec<Vec<(String, String)>> {
    let options = Options {
        file_name: "t.sub".to_owned(),
        max_jobs: Some(JOBS_MAX),
        cluster: ClusterText::Number(1),
        ..Options::default()
    };
    let submission = SITE.with(|site| site.submit(text, &options));
    submission.map(|submission| dry_run_ads(&submission, 1, 0).collect()).unwrap_or_default()
}

/// A submit file: every expression of the ads that it becomes parses.
fn submit(bytes: &[u8]) {
    for ad in dry_run(&String::from_utf8_lossy(bytes)) {
        for (name, expr) in ad {
            assert!(parse_expr(&expr).is_ok(), "{name} = {expr}");
        }
    }
}

/// One text as arguments and as environment, in both forms and from an ad. The master reads what the submit language
/// wrote.
fn quoting(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _words = (split_v1(&text), split_v2(&text), split_env_v1(&text, ';'));
    let line = text.replace(['\n', '\r', '\0'], " ");
    for text in [
        format!("executable = job.sh\narguments = {line}\nqueue\n"),
        format!("executable = job.sh\nenvironment = {line}\nqueue\n"),
        format!("executable = job.sh\ngetenv = {line}\n+Env = {line}\nqueue\n"),
    ] {
        for ad in dry_run(&text) {
            for (_, expr) in ad.iter().filter(|(name, _)| name == "Arguments" || name == "Environment") {
                let value = parse_expr(expr).ok().and_then(|expr| expr.literal().cloned());
                let raw = value.as_ref().and_then(Value::as_str).map(str::to_owned);
                let Some(raw) = raw else { continue };
                let quotes = raw.matches('\'').count();
                assert!(quotes % 2 == 0, "{raw:?} leaves a quote open");
                let length: usize = split_v2(&raw).iter().map(String::len).sum();
                assert!(length <= raw.len());
            }
        }
    }
    let mut quoted = ClassAd::new();
    quoted.insert("T", &*text);
    for call in ["argsToList(T)", "argsToList(T,1)", "listToArgs({T,T})", "mergeEnvironment(T,T)", "envV1ToV2(T)"] {
        let _value = eval(&parse_expr(call).expect("it parses"), &quoted, None, &env());
    }
}

/// The first line is a format, the second the attribute or expression: `-format` and `-af`.
fn format(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (format, wanted) = text.split_once('\n').unwrap_or((&text, "z"));
    let parsed = Format::parse(format);
    let (text, real, yes) = (Expr::from("text"), Expr::from(2.5), Expr::from(true));
    for expr in [text, real, yes, Expr::from(-1), Expr::from(i64::MIN)] {
        let value = expr.literal().expect("it is one").clone();
        for plain in [false, true] {
            let printed = parsed.print(Subject { expr: Some(&expr), value: &value, plain, env: &env() });
            // Each conversion is cut at ten thousand columns.
            assert!(printed.is_none_or(|text| text.len() <= (format.len() + 1) * 40_000));
        }
    }
    let mut columns = Columns::default();
    columns.format(format, wanted);
    columns.auto(format, &[wanted.to_owned()]);
    let _attributes = columns.attributes();
    let rows = [("x", "1"), ("y", "2.5"), ("z", "\"a b\""), ("A", "{ 1,\"x\",B }"), ("ClusterId", "7")];
    let jobs = || [Job::from_row(&rows), Job::from_row(&[])].into_iter();
    let _printed = columns.print(jobs(), &env());
}
