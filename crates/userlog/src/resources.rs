//! The table of partitionable resources at the end of 004 and 005.

use std::fmt::Write as _;

use crate::value::{Attributes, Value, ignoring_case};

/// What a job used, asked for and was given, one row a resource, in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// The rows.
    pub rows: Vec<Resource>,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Name as in the ad: `Cpus`, `Disk` (KB), `Memory` (MB), `TimeExecute` (s), `TimeSlotBusy` (s), `GPUs` …
    pub name: String,
    /// How much was used.
    pub usage: Option<Amount>,
    /// How much was asked for.
    pub request: Option<Amount>,
    /// How much was given.
    pub allocated: Option<Amount>,
    /// Which ones were given (`CUDA0`), for resources that have names.
    pub assigned: Option<String>,
}

/// A number in the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// A whole number.
    Whole(i64),
    /// A real number; a whole one is printed without a fraction, another with two digits.
    Real(f64),
    /// A number that was read with two digits behind the point, in hundredths.
    Hundredths(i64),
}

const TIMES: [&str; 2] = ["TimeExecute", "TimeSlotBusy"];
const NO_RESOURCES: [&str; 4] = ["RunLocal", "RunRemote", "TotalLocal", "TotalRemote"];

impl Resources {
    /// The table of one attempt: cores, disk (KB) and memory (MB) as requested and allocated, and run time in seconds.
    /// What nobody measured stays blank.
    pub fn of_attempt(
        cpus: (i64, i64),
        disk_kb: (i64, i64),
        memory_mb: (i64, i64),
        execute_s: Option<i64>,
    ) -> Resources {
        let row = |name: &str, (request, allocated): (i64, i64)| Resource {
            name: name.to_owned(),
            usage: None,
            request: Some(Amount::Whole(request)),
            allocated: Some(Amount::Whole(allocated)),
            assigned: None,
        };
        let mut rows = vec![row("Cpus", cpus), row("Disk", disk_kb), row("Memory", memory_mb)];
        for name in TIMES {
            rows.extend(execute_s.map(|seconds| Resource {
                name: name.to_owned(),
                usage: Some(Amount::Whole(seconds)),
                request: None,
                allocated: None,
                assigned: None,
            }));
        }
        Resources { rows }
    }

    /// Appends the table in the classic layout.
    pub(crate) fn print(&self, out: &mut String) {
        let mut rows: Vec<&Resource> = self.rows.iter().collect();
        rows.sort_by(|a, b| ignoring_case(&a.name, &b.name));
        let column = |cell: fn(&Resource) -> Option<Amount>| {
            aligned(rows.iter().map(|row| cell(row).map(Amount::classic)).collect())
        };
        let columns = [column(|r| r.usage), column(|r| r.request), column(|r| r.allocated)];
        let width = |index: usize, least: usize| columns[index].iter().map(String::len).max().unwrap_or(0).max(least);
        let (w0, w1, w2) = (width(0, 8), width(1, 8), width(2, 9));
        let labels: Vec<String> = rows.iter().map(|row| label(&row.name)).collect();
        let w = labels.iter().map(String::len).max().unwrap_or(0).max(20);
        let assigned = if rows.iter().any(|row| row.assigned.is_some()) { "Assigned" } else { "" };
        let head = "Partitionable Resources";
        let _ = writeln!(
            out,
            "\t{head:<w3$} : {:>w0$} {:>w1$} {:>w2$} {assigned}",
            "Usage",
            "Request",
            "Allocated",
            w3 = w + 3
        );
        for (index, row) in rows.iter().enumerate() {
            let [usage, request, allocated] = [&columns[0][index], &columns[1][index], &columns[2][index]];
            let _ = writeln!(
                out,
                "\t   {:<w$} : {usage:>w0$} {request:>w1$} {allocated:>w2$} {}",
                labels[index],
                row.assigned.as_deref().unwrap_or("")
            );
        }
    }

    /// Reads the lines of a table, without their tab; `None` if they are anything else.
    pub(crate) fn read(lines: &[&str]) -> Option<Resources> {
        let (head, lines) = lines.split_first()?;
        let (title, columns) = head.split_once(':')?;
        if title.trim_end() != "Partitionable Resources" {
            return None;
        }
        // The right edge of each column, as the heading shows it; names of things may follow the last.
        let edge = |word: &str| columns.find(word).map(|at| at + word.len());
        let edges = [edge("Usage")?, edge("Request")?, edge("Allocated")?];
        let mut rows = Vec::with_capacity(lines.len());
        for line in lines {
            let (name, cells) = line.split_once(':')?;
            let cell = |from: usize, to: usize| -> Option<Option<Amount>> {
                let text = cells.get(from..to)?.trim();
                if text.is_empty() { Some(None) } else { Amount::read(text).map(Some) }
            };
            let assigned = cells.get(edges[2]..)?.trim();
            rows.push(Resource {
                name: name.trim().split(" (").next()?.to_owned(),
                usage: cell(0, edges[0])?,
                request: cell(edges[0], edges[1])?,
                allocated: cell(edges[1], edges[2])?,
                assigned: (!assigned.is_empty()).then(|| assigned.to_owned()),
            });
        }
        Some(Resources { rows })
    }

    /// Adds the attributes that say the same.
    pub(crate) fn to_ad(&self, ad: &mut Attributes) {
        for row in &self.rows {
            let cells = [
                (format!("{}Usage", row.name), row.usage),
                (format!("Request{}", row.name), row.request),
                (row.name.clone(), row.allocated),
            ];
            ad.extend(cells.into_iter().filter_map(|(name, cell)| Some((name, cell?.value()))));
            if let Some(assigned) = &row.assigned {
                ad.push((format!("Assigned{}", row.name), Value::text(assigned)));
            }
        }
    }

    /// The table that the attributes of an event tell of, `None` if they tell of none.
    pub(crate) fn from_ad(ad: &Attributes) -> Option<Resources> {
        let mut names: Vec<&str> = ad
            .iter()
            .filter_map(|(name, _)| name.strip_suffix("Usage").or_else(|| name.strip_prefix("Request")))
            .filter(|name| !name.is_empty() && !NO_RESOURCES.contains(name))
            .collect();
        names.sort_by(|a, b| ignoring_case(a, b));
        names.dedup();
        let find = |name: String| ad.iter().find(|(found, _)| *found == name).map(|(_, value)| value);
        let rows: Vec<Resource> = names
            .into_iter()
            .map(|name| Resource {
                name: name.to_owned(),
                usage: find(format!("{name}Usage")).and_then(Amount::of),
                request: find(format!("Request{name}")).and_then(Amount::of),
                allocated: find(name.to_owned()).and_then(Amount::of),
                assigned: match find(format!("Assigned{name}")) {
                    Some(Value::Text(text)) => Some(text.clone()),
                    _ => None,
                },
            })
            .collect();
        (!rows.is_empty()).then_some(Resources { rows })
    }
}

impl Amount {
    fn classic(self) -> String {
        match self {
            Amount::Whole(number) => number.to_string(),
            Amount::Real(number) if number == number.trunc() => format!("{number:.0}"),
            Amount::Real(number) => format!("{number:.2}"),
            Amount::Hundredths(number) => {
                let sign = if number < 0 { "-" } else { "" };
                let size = number.unsigned_abs();
                format!("{sign}{}.{:02}", size / 100, size % 100)
            }
        }
    }

    fn read(text: &str) -> Option<Amount> {
        if let Ok(number) = text.parse() {
            return Some(Amount::Whole(number));
        }
        let (whole, fraction) = text.split_once('.')?;
        if fraction.len() != 2 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        format!("{whole}{fraction}").parse().ok().map(Amount::Hundredths)
    }

    fn value(self) -> Value {
        match self {
            Amount::Whole(number) => Value::Int(number),
            Amount::Real(number) => Value::Real(number),
            Amount::Hundredths(number) => Value::Real(number as f64 / 100.0),
        }
    }

    fn of(value: &Value) -> Option<Amount> {
        match value {
            Value::Int(number) => Some(Amount::Whole(*number)),
            Value::Real(number) => Some(Amount::Real(*number)),
            Value::Bool(_) | Value::Text(_) | Value::Ad(_) | Value::Expr(_) => None,
        }
    }
}

/// Name of the row with its unit.
fn label(name: &str) -> String {
    match name {
        "Disk" => "Disk (KB)".to_owned(),
        "Memory" => "Memory (MB)".to_owned(),
        _ if TIMES.contains(&name) => format!("{name} (s)"),
        _ => name.to_owned(),
    }
}

/// The cells of a column with their points one below the other: whole numbers end where the point of others stands.
fn aligned(cells: Vec<Option<String>>) -> Vec<String> {
    let behind = |cell: &str| cell.find('.').map_or(0, |at| cell.len() - at);
    let most = cells.iter().flatten().map(|cell| behind(cell)).max().unwrap_or(0);
    cells
        .into_iter()
        .map(|cell| match cell {
            Some(cell) => {
                let blanks = " ".repeat(most - behind(&cell));
                cell + &blanks
            }
            None => String::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_numbers_widen_their_column_and_read_back() {
        let mut table = Resources::of_attempt((1, 1), (1_048_576, 1_958_505_086), (128, 4096), Some(7));
        table.rows[0].usage = Some(Amount::Hundredths(97));
        table.rows.push(Resource {
            name: "GPUs".to_owned(),
            usage: None,
            request: Some(Amount::Whole(1)),
            allocated: Some(Amount::Whole(1)),
            assigned: Some("\"CUDA0\"".to_owned()),
        });
        let mut text = String::new();
        table.print(&mut text);
        let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix('\t').unwrap()).collect();
        let mut again = String::new();
        Resources::read(&lines).unwrap().print(&mut again);
        assert_eq!(again, text);
        assert!(text.contains("   Disk (KB)            :           1048576 1958505086 \n"), "{text}");
    }
}
