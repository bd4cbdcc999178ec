//! Questions to the history: rows from the last one to the first, filtered, as frames of an answer.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use classad::{Env, Expr, Value};
use control_proto::frame::{self, Kind};
use control_proto::{HistoryQuery, ListingEnd, Refusal, Reply, Site, Totals, listing, write_head};
use rusqlite::{Connection, OptionalExtension, Row, params};
use wq_core::jobs::view::{is_private, with_references};

use super::row::{Base, RowAd};
use super::store::open_to_read;

/// A frame is sent when it has this many bytes.
const FRAME_BYTES: usize = 256 << 10;

/// A frame is sent after this time, if need be empty, so that whoever waits knows that somebody works.
const FRAME_AFTER: Duration = Duration::from_secs(2);

/// Rows between looks at the clock.
const LOOK_EVERY: u64 = 256;

const COLUMNS: &str = "seq, cluster, proc, uid, owner, base, ad";

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// User id.
    pub(crate) uid: u32,
    /// Sees everything.
    pub(crate) superuser: bool,
    /// What stands in the head of the answer.
    pub(crate) site: Site,
}

/// Why an answer does not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// SQLite's own words.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A row cannot be read.
    #[error("row {seq} is damaged")]
    Damaged {
        /// Which.
        seq: i64,
    },
    /// Nobody wants the answer any more.
    #[error("the client has gone")]
    Gone,
}

/// Answers a question: hands frames to `send` until the end of the answer, or until that is false. A `path` where there is
/// no file is an empty history.
///
/// # Errors
/// [`ReadError`]; a client has got frames and no end, and takes that for the error it is.
pub(crate) fn answer(
    path: &Path,
    query: &HistoryQuery,
    asker: &Asker,
    send: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), ReadError> {
    let mut send = |kind: Kind, payload: &[u8]| {
        let mut bytes = Vec::with_capacity(payload.len() + 5);
        frame::put(&mut bytes, kind, &[payload]);
        if send(bytes) { Ok(()) } else { Err(ReadError::Gone) }
    };
    let (constraints, until) = match (parse(&query.select.constraints), parse(&query.until)) {
        (Ok(constraints), Ok(until)) => (constraints, until),
        (Err(message), _) | (_, Err(message)) => {
            let refused = Reply::Refused { code: Refusal::Constraint, message, speaks: None };
            send(Kind::Reply, &write_head(&asker.site, &refused))?;
            return send(Kind::End, &[]);
        }
    };
    let mut db = match path.exists() {
        true => Some(open_to_read(path)?),
        false => None,
    };
    // One state of the file for the whole answer.
    let db = db.as_mut().map(Connection::transaction).transpose()?;
    // Its keeper has just made the file, and the tables come next.
    let is_new =
        |db: &rusqlite::Transaction<'_>| db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let db = match db {
        Some(db) if is_new(&db)? == 0 => None,
        db => db,
    };
    send(Kind::Reply, &write_head(&asker.site, &Reply::Listing))?;
    let env = Env { now_s: Some(asker.site.now_s), ..Env::default() };
    let attributes = query.attributes.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut scan = Scan {
        query,
        asker,
        constraints,
        until,
        env,
        attributes,
        named: Named::of(query),
        base: None,
        writer: listing::Writer::default(),
        read: 0,
        end: ListingEnd::default(),
        sent_at: Instant::now(),
    };
    if let Some(db) = &db {
        scan.run(db, &mut |payload| send(Kind::Rows, &payload))?;
    }
    if scan.writer.ads() > 0 {
        send(Kind::Rows, &scan.writer.take())?;
    }
    send(Kind::End, &serde_json::to_vec(&scan.end).expect("sums are plain data"))
}

fn parse(texts: &[String]) -> Result<Vec<Expr>, String> {
    let parse = |text: &String| {
        classad::parse_expr(text).map_err(|error| format!("the constraint {text} does not parse: {error}"))
    };
    texts.iter().map(parse).collect()
}

/// Jobs, clusters and owners that were named; or-ed.
struct Named<'a> {
    jobs: BTreeSet<(u32, u32)>,
    clusters: BTreeSet<u32>,
    owners: BTreeSet<&'a str>,
}

impl<'a> Named<'a> {
    fn of(query: &'a HistoryQuery) -> Named<'a> {
        let select = &query.select;
        Named {
            jobs: select.jobs.iter().copied().collect(),
            clusters: select.clusters.iter().copied().collect(),
            owners: select.owners.iter().map(String::as_str).collect(),
        }
    }

    fn nobody(&self) -> bool {
        self.jobs.is_empty() && self.clusters.is_empty() && self.owners.is_empty()
    }

    fn has(&self, cluster: u32, proc: u32, owner: &str) -> bool {
        self.nobody()
            || self.jobs.contains(&(cluster, proc))
            || self.clusters.contains(&cluster)
            || self.owners.contains(owner)
    }
}

/// One question under way.
struct Scan<'a> {
    query: &'a HistoryQuery,
    asker: &'a Asker,
    constraints: Vec<Expr>,
    until: Vec<Expr>,
    env: Env,
    attributes: Vec<String>,
    named: Named<'a>,
    /// The base of the last row: most often that of the next.
    base: Option<(i64, Base)>,
    writer: listing::Writer,
    read: u64,
    end: ListingEnd,
    sent_at: Instant,
}

type Send<'a> = &'a mut dyn FnMut(Vec<u8>) -> Result<(), ReadError>;

impl Scan<'_> {
    /// Reads rows until the end or until enough is found.
    fn run(&mut self, db: &Connection, send: Send<'_>) -> Result<(), ReadError> {
        let order = if self.query.forwards { "ASC" } else { "DESC" };
        let bounded = !self.until.is_empty() || self.query.scan_limit.is_some();
        let numbers = !(self.named.jobs.is_empty() && self.named.clusters.is_empty());
        if numbers && self.named.owners.is_empty() && !bounded {
            return self.run_numbers(db, send);
        }
        let owner = match self.named.owners.first() {
            Some(owner) if self.named.owners.len() == 1 && !numbers && !bounded => Some(*owner),
            _ => None,
        };
        let condition = if owner.is_some() { "WHERE owner = ?1" } else { "WHERE ?1 IS NULL" };
        let mut rows = db.prepare(&format!("SELECT {COLUMNS} FROM jobs {condition} ORDER BY seq {order}"))?;
        let mut rows = rows.query(params![owner])?;
        while !self.has_enough()
            && let Some(row) = rows.next()?
        {
            if !self.row(db, row, send)? {
                break;
            }
        }
        Ok(())
    }

    /// Few jobs of many: found by their numbers.
    fn run_numbers(&mut self, db: &Connection, send: Send<'_>) -> Result<(), ReadError> {
        let mut found: BTreeSet<i64> = BTreeSet::new();
        let mut find = db.prepare("SELECT seq FROM jobs WHERE cluster = ?1 AND (?2 IS NULL OR proc = ?2)")?;
        let clusters = self.named.clusters.iter().map(|cluster| (*cluster, None));
        let jobs = self.named.jobs.iter().map(|(cluster, proc)| (*cluster, Some(*proc)));
        for (cluster, proc) in clusters.chain(jobs) {
            let rows = find.query_map(params![cluster, proc], |row| row.get(0))?;
            for seq in rows {
                found.insert(seq?);
            }
        }
        let mut get = db.prepare(&format!("SELECT {COLUMNS} FROM jobs WHERE seq = ?1"))?;
        let mut found: Vec<i64> = found.into_iter().collect();
        if !self.query.forwards {
            found.reverse();
        }
        for seq in found {
            let mut rows = get.query([seq])?;
            if self.has_enough() || !rows.next()?.map_or(Ok(true), |row| self.row(db, row, send))? {
                break;
            }
        }
        Ok(())
    }

    fn has_enough(&self) -> bool {
        let at = |limit: Option<u64>, count| limit.is_some_and(|limit| count >= limit);
        at(self.query.limit, self.end.ads) || at(self.query.scan_limit, self.read)
    }

    /// Takes one row; false if reading ends before it.
    fn row(&mut self, db: &Connection, row: &Row<'_>, send: Send<'_>) -> Result<bool, ReadError> {
        let (seq, cluster, proc): (i64, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (uid, base): (u32, i64) = (row.get(3)?, row.get(5)?);
        self.read += 1;
        let named = self.named.has(cluster, proc, row.get_ref(4)?.as_str().unwrap_or_default());
        if named || !self.until.is_empty() {
            let (id, base) = match self.base.take() {
                Some((id, known)) if id == base => (id, known),
                _ => (base, read_base(db, base)?.ok_or(ReadError::Damaged { seq })?),
            };
            let bytes = row.get_ref(6)?.as_blob().unwrap_or_default();
            let ad = base.apply(bytes).ok_or(ReadError::Damaged { seq })?;
            let is_true = |expr: &Expr| classad::eval(expr, &ad, None, &self.env).truth() == Some(true);
            if self.until.iter().any(is_true) {
                return Ok(false);
            }
            if named && self.constraints.iter().all(is_true) {
                let private = uid == self.asker.uid || self.asker.superuser;
                push(&mut self.writer, &ad, &self.attributes, private);
                self.end.ads += 1;
                count(&mut self.end.selected, &ad, &self.env);
            }
            self.base = Some((id, base));
        }
        let late = self.read.is_multiple_of(LOOK_EVERY) && self.sent_at.elapsed() >= FRAME_AFTER;
        if late || self.writer.size() >= FRAME_BYTES {
            send(self.writer.take())?;
            self.sent_at = Instant::now();
        }
        Ok(true)
    }
}

fn read_base(db: &Connection, id: i64) -> Result<Option<Base>, rusqlite::Error> {
    let bytes: Option<Vec<u8>> =
        db.prepare_cached("SELECT ad FROM bases WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()?;
    Ok(bytes.and_then(|bytes| Base::read(&bytes)))
}

fn push(writer: &mut listing::Writer, ad: &RowAd<'_>, attributes: &[String], private: bool) {
    let shown = |name: &str| private || !is_private(&name.to_ascii_lowercase());
    let entries: Vec<(&str, &str)> = if attributes.is_empty() {
        ad.iter().filter(|(name, _)| shown(name)).collect()
    } else {
        let names = with_references(ad, attributes);
        names.iter().filter(|name| shown(name)).filter_map(|name| ad.entry(name)).collect()
    };
    writer.push(entries.into_iter());
}

fn count(totals: &mut Totals, ad: &RowAd<'_>, env: &Env) {
    totals.jobs += 1;
    match classad::eval(&Expr::attribute("JobStatus"), ad, None, env) {
        Value::Int(3) => totals.removed += 1,
        Value::Int(4) => totals.completed += 1,
        _ => {}
    }
}

#[cfg(test)]
mod tests;
