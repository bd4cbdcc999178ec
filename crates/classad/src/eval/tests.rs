use super::*;
use crate::{ClassAd, parse_expr};

fn value(text: &str, ad: &str) -> String {
    let ad = ClassAd::from_old_text(ad).expect("a good ad");
    let expr = parse_expr(text).expect("a good expression");
    eval(&expr, &ad, None, &Env::at_utc(1_000_000)).to_string()
}

#[test]
fn circles_are_undefined() {
    assert_eq!(value("A", "A = B\nB = A"), "undefined");
    assert_eq!(value("A", "A = isUndefined(A)"), "true");
    assert_eq!(value("N.x", "N = [ x = N.x ]"), "undefined");
}

#[test]
fn time_comes_from_outside_only() {
    assert_eq!(value("CurrentTime + time()", ""), "2000000");
    let expr = parse_expr("time()").expect("a good expression");
    assert_eq!(eval(&expr, &ClassAd::new(), None, &Env::default()), Value::Undefined);
}

#[test]
fn hostile_expressions_end_as_errors() {
    let mut ad = ClassAd::new();
    for i in 0..64 {
        ad.insert(&format!("A{i}"), parse_expr(&format!("A{} + A{}", i + 1, i + 1)).expect("it parses"));
        ad.insert(&format!("S{i}"), parse_expr(&format!("strcat(S{0},S{0})", i + 1)).expect("it parses"));
    }
    ad.insert("A64", 1);
    ad.insert("S64", "0123456789");
    for i in 0..10_000 {
        ad.insert(&format!("D{i}"), Expr::attribute(&format!("D{}", i + 1)));
    }
    ad.insert("D10000", 1);
    for name in ["A0", "S0", "D0"] {
        assert_eq!(eval(&Expr::attribute(name), &ad, None, &Env::default()), Value::Error, "{name}");
    }
}

/// A scope that makes its expressions when asked, as the jobs of the master do.
struct Made;

impl Scope for Made {
    fn lookup(&self, name: &str) -> Option<std::borrow::Cow<'_, Expr>> {
        assert!(!name.bytes().any(|b| b.is_ascii_uppercase()), "names are asked for in lower case");
        (name == "jobstatus").then(|| std::borrow::Cow::Owned(Expr::from(2)))
    }
}

#[test]
fn a_scope_may_make_its_attributes() {
    let expr = parse_expr("JobStatus == 2 && MY.JobStatus == TARGET.X").expect("a good expression");
    let target: ClassAd = [("x".to_owned(), Expr::from(2))].into_iter().collect();
    assert_eq!(eval(&expr, &Made, Some(&target), &Env::default()), Value::Bool(true));
    let whole = parse_expr("my").expect("a good expression");
    assert_eq!(eval(&whole, &Made, None, &Env::default()), Value::Undefined);
}

#[test]
fn long_chains_of_alternatives_are_fine() {
    let ids: Vec<String> = (0..20_000).map(|id| format!("ClusterId == {id}")).collect();
    assert_eq!(value(&ids.join(" || "), "ClusterId = 19999"), "true");
}

#[test]
fn deepest_nesting_fits_a_small_stack() {
    let work = || {
        let deepest = format!("{}1{}", "(".repeat(240), ")".repeat(240));
        assert_eq!(value(&deepest, ""), "1");
        let calls = format!("{}1{}", "int(".repeat(240), ")".repeat(240));
        assert_eq!(value(&calls, ""), "1");
        let mut ad = ClassAd::new();
        for i in 0..600 {
            ad.insert(&format!("A{i}"), parse_expr(&format!("ifThenElse(true,A{},2)", i + 1)).expect("it parses"));
        }
        assert_eq!(eval(&Expr::attribute("A0"), &ad, None, &Env::default()), Value::Error);
    };
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).expect("a thread").join().expect("it fits");
}

#[test]
fn long_texts_cost_more() {
    let mut ad = ClassAd::new();
    let long = "x".repeat(500_000);
    ad.insert("A", Expr::from(long.as_str()));
    ad.insert("B", Expr::from(long.as_str()));
    for i in 0..40 {
        ad.insert(&format!("C{i}"), parse_expr(&format!("C{0} && C{0}", i + 1)).expect("it parses"));
    }
    for end in ["A == B", "stringListSize(A) == 1", "regexp(\"x$\",A)", "size(my) > 0 && toUpper(A) == B"] {
        ad.insert("C40", parse_expr(end).expect("it parses"));
        assert_eq!(eval(&Expr::attribute("C0"), &ad, None, &Env::default()), Value::Error, "{end}");
    }
}

#[test]
fn lists_of_the_whole_ad_share_it() {
    let mut ad = ClassAd::new();
    (0..100).for_each(|i| drop(ad.insert(&format!("A{i}"), i)));
    let items = vec!["[]"; 10_000].join(",");
    let expr = parse_expr(&format!("evalInEachContext(my.A1 is undefined ? my : target,{{{items}}})"));
    let Value::List(result) = eval(&expr.expect("it parses"), &ad, Some(&ad), &Env::default()) else {
        panic!("a list");
    };
    assert_eq!(result.len(), 10_000);
}

/// Cases the recorded rows do not have, each tried with the library.
#[test]
fn scopes() {
    for (text, printed) in [
        ("[A=1; N=[A=2; q=MY.A]].N.q", "2"),
        ("[A=1; N=[q=MY.A]].N.q", "1"),
        ("[A=1; N=[b=2]; d=N.A].d", "1"),
        ("[A=1; N=[b=2]; d=N[\"A\"]].d", "undefined"),
        ("[A=1; N=[A=2; r=parent.A; s=self.A]; d={N.r,N.s}].d[0]", "1"),
        ("[a={b}; b=3; C=[b=4; d=a[0]]].C.d", "3"),
        ("[a={b}; b=3; C=[b=4; d=sum(a)]].C.d", "4"),
        ("[x=7; r=evalInEachContext(x,{[y=1],[x=2]})].r", "{ 7,7 }"),
        ("[b=7; r=evalInEachContext(x+b,{[x=1],[x=2]})].r", "{ 8,9 }"),
        ("[b=c+d.e+TARGET.f+MY.g+k; k=z; r=unresolved(b)].r", "\"c,d.e,g,f,z\""),
        ("[S = S ?: 3].S", "3"),
    ] {
        assert_eq!(value(text, ""), printed, "{text}");
    }
}

#[test]
fn matches_go_both_ways() {
    let my = ClassAd::from_old_text("A = 1\nB = A + TARGET.A\nC = \"c\"").expect("a good ad");
    let target = ClassAd::from_old_text("A = 100\nD = C\nE = TARGET.B\nF = B\nG = Nope").expect("a good ad");
    for (text, printed) in [
        ("B", "101"),
        ("D", "\"c\""),
        ("TARGET.E", "101"),
        ("F", "101"),
        ("TARGET.C", "undefined"),
        ("TARGET.my.A", "100"),
        ("G", "undefined"),
        ("TARGET.A =?= 100 && MY.A =?= 1", "true"),
    ] {
        let expr = parse_expr(text).expect("a good expression");
        assert_eq!(eval(&expr, &my, Some(&target), &Env::default()).to_string(), printed, "{text}");
    }
}
