//! The paper on reliability has a row for each promise, each requirement and each mistake of the original; what is said
//! to exclude a mistake is a test. That the tests exist is looked at as in all papers.

/// Promises P1 … P9.
const PROMISES: u32 = 9;
/// Requirements R-1 … R-40.
const REQUIREMENTS: u32 = 40;
/// Mistakes of the original, by number.
const MISTAKES: u32 = 28;

/// Rows that the paper lacks, and mistakes that no test excludes.
pub(crate) fn rows_missing(name: &str, text: &str) -> Vec<String> {
    let row = |id: &str| text.lines().find(|line| line.starts_with(&format!("| {id} |")));
    let ids = (1..=PROMISES).map(|n| format!("P{n}")).chain((1..=REQUIREMENTS).map(|n| format!("R-{n}")));
    let mut found: Vec<String> =
        ids.filter(|id| row(id).is_none()).map(|id| format!("{name}: no row for {id}")).collect();
    for number in 1..=MISTAKES {
        match row(&number.to_string()) {
            None => found.push(format!("{name}: no row for mistake {number}")),
            Some(row) if !row.contains("test `") => {
                found.push(format!("{name}: no test excludes mistake {number}"));
            }
            Some(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_asked_for_and_mistakes_want_a_test() {
        let all = || {
            let promises = (1..=PROMISES).map(|n| format!("| P{n} | x |\n"));
            let requirements = (1..=REQUIREMENTS).map(|n| format!("| R-{n} | x |\n"));
            let mistakes = (1..=MISTAKES).map(|n| format!("| {n} | x | test `x` |\n"));
            promises.chain(requirements).chain(mistakes).collect::<String>()
        };
        assert_eq!(rows_missing("a.md", &all()), [""; 0]);
        let lacking = all().replace("| P3 |", "|").replace("| R-17 |", "|").replace("| 5 |", "|");
        let lacking = lacking.replace("| 6 | x | test `x` |", "| 6 | x | somehow |");
        let words = ["no row for P3", "no row for R-17", "no row for mistake 5", "no test excludes mistake 6"];
        assert_eq!(rows_missing("a.md", &lacking), words.map(|word| format!("a.md: {word}")));
    }
}
