//! The file of the history: what it holds and how it changes.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use wq_core::ids::JobId;
use wq_core::io::Departed;

use super::row::Base;
use crate::options::HistoryLimits;

/// Number in the file's head; a file with a higher one is of a later release and left alone.
const VERSION: i64 = 1;

/// Rows are numbered in the order of leaving; a job is known by its number and the moment of its submission, since a
/// journal that was begun anew begins with cluster 1 again. Bases never come down from one row to the next.
const SCHEMA: &str = "
    CREATE TABLE bases (id INTEGER PRIMARY KEY, ad BLOB NOT NULL);
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY,
        cluster INTEGER NOT NULL,
        proc INTEGER NOT NULL,
        submitted INTEGER NOT NULL,
        left INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        owner TEXT NOT NULL,
        base INTEGER NOT NULL,
        ad BLOB NOT NULL,
        UNIQUE (cluster, proc, submitted)
    );
    CREATE INDEX jobs_of_owner ON jobs (owner, seq);
";

/// How long a statement waits for another process that reads the file.
const BUSY: Duration = Duration::from_secs(5);

/// A difference larger than this share of its base makes the ad a base of its own.
const NEW_BASE_SHARE: usize = 2;

/// Most rows that are given up in one transaction, so that new ones do not wait for long.
const PRUNE_MAX: i64 = 2000;

/// One change of the file.
#[derive(Debug)]
pub(super) enum Change {
    /// A job left.
    Put(Box<Departed>),
    /// It has not ended after all.
    Recall(JobId, i64),
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// SQLite's own words.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// It cannot be brought to disk.
    #[error("cannot be synced: {0}")]
    Sync(#[source] std::io::Error),
    /// A later release wrote it.
    #[error("it was written by a later release (version {found}, this one knows {VERSION})")]
    Later {
        /// Its version.
        found: i64,
    },
}

impl StoreError {
    /// The file is no history, or a broken one.
    pub(super) fn is_damage(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    db: Connection,
    path: PathBuf,
    base: Option<(i64, usize, Base)>,
    rows: u64,
}

impl Store {
    /// Opens or makes it.
    pub(super) fn open(path: &Path) -> Result<Store, StoreError> {
        close_to_others(path);
        let db = Connection::open(path)?;
        db.busy_timeout(BUSY)?;
        // A crash of this process loses nothing; the disk is waited for in `sync` alone.
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "normal")?;
        let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match found {
            0 => db.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"))?,
            VERSION => {}
            _ => return Err(StoreError::Later { found }),
        }
        let rows: i64 = db.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))?;
        let last = "SELECT id, ad FROM bases ORDER BY id DESC LIMIT 1";
        let last = db.query_row(last, [], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?))).optional()?;
        let base = last.and_then(|(id, bytes)| Some((id, bytes.len(), Base::read(&bytes)?)));
        Ok(Store { db, path: path.to_owned(), base, rows: rows.unsigned_abs() })
    }

    /// All changes or none.
    pub(super) fn change<'a>(&mut self, changes: impl Iterator<Item = &'a Change>) -> Result<(), StoreError> {
        let Store { db, base, rows, .. } = self;
        let transaction = db.transaction()?;
        let (before, mut count) = (base.as_ref().map_or(0, |(id, ..)| *id), *rows);
        let done: Result<(), StoreError> = (|| {
            let mut take =
                transaction.prepare_cached("DELETE FROM jobs WHERE cluster = ?1 AND proc = ?2 AND submitted = ?3")?;
            let mut put = transaction.prepare_cached(
                "INSERT INTO jobs (cluster, proc, submitted, left, uid, owner, base, ad)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for change in changes {
                match change {
                    Change::Recall(job, submitted_s) => {
                        count -= take.execute(params![job.cluster, job.proc_, submitted_s])? as u64;
                    }
                    Change::Put(departed) => {
                        let Departed { job, submitted_s, left_s, uid, owner, ad, .. } = &**departed;
                        let difference = base.as_ref().map(|(id, size, base)| (*id, *size, base.difference(ad)));
                        let (id, difference) = match difference {
                            Some((id, size, bytes)) if bytes.len() * NEW_BASE_SHARE <= size => (id, bytes),
                            _ => {
                                let new = Base::new(ad.clone());
                                let bytes = new.write();
                                transaction.execute("INSERT INTO bases (ad) VALUES (?1)", params![bytes])?;
                                let id = transaction.last_insert_rowid();
                                *base = Some((id, bytes.len(), new));
                                (id, Vec::new())
                            }
                        };
                        // What was kept of it before a crash is kept no more: it is one job.
                        let values = params![job.cluster, job.proc_, submitted_s, left_s, uid, owner, id, difference];
                        if put.execute(values).is_err_and(|error| is_duplicate(&error)) {
                            count -= take.execute(params![job.cluster, job.proc_, submitted_s])? as u64;
                            put.execute(values)?;
                        }
                        count += 1;
                    }
                }
            }
            Ok(())
        })();
        let done = done.and_then(|()| transaction.commit().map_err(StoreError::from));
        match done {
            Ok(()) => *rows = count,
            // A base that was new in it is not in the file.
            Err(_) if base.as_ref().is_some_and(|(id, ..)| *id > before) => *base = None,
            Err(_) => {}
        }
        done
    }

    /// Gives up what is too old or too much; true if there is more to give up.
    pub(super) fn prune(&mut self, limits: HistoryLimits, now_s: i64) -> Result<bool, StoreError> {
        let too_many = i64::try_from(self.rows.saturating_sub(limits.jobs)).unwrap_or(i64::MAX).min(PRUNE_MAX);
        let oldest = "SELECT left FROM jobs ORDER BY seq LIMIT 1";
        let too_old_s = limits.age_s.map_or(i64::MIN, |age_s| now_s.saturating_sub(age_s));
        let aged = self.db.query_row(oldest, [], |row| row.get::<_, i64>(0)).optional()?.is_some_and(|s| s < too_old_s);
        if too_many == 0 && !aged {
            return Ok(false);
        }
        let transaction = self.db.transaction()?;
        let mut gone = transaction
            .execute("DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs ORDER BY seq LIMIT ?1)", params![too_many])?;
        if aged {
            gone += transaction.execute(
                "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs ORDER BY seq LIMIT ?1) AND left < ?2",
                params![PRUNE_MAX, too_old_s],
            )?;
        }
        // The last one stays: it is the base of what comes.
        transaction.execute(
            "DELETE FROM bases WHERE id < coalesce((SELECT base FROM jobs ORDER BY seq LIMIT 1), 0)
                 AND id < (SELECT max(id) FROM bases)",
            [],
        )?;
        transaction.commit()?;
        self.rows = self.rows.saturating_sub(gone as u64);
        Ok(gone > 0)
    }

    /// Rows that are there.
    #[cfg(test)]
    pub(super) fn rows_known(&self) -> u64 {
        self.rows
    }

    /// Brings everything to disk.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        // Whatever is committed and not yet in the file itself, which SQLite syncs, stands there.
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        match std::fs::File::open(log).and_then(|file| file.sync_data()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(StoreError::Sync),
        }
    }
}

/// Ads hold environments. The files that SQLite makes beside it get the same mode.
fn close_to_others(path: &Path) {
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let closed = made.and_then(|file| match file.metadata()?.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => file.set_permissions(Permissions::from_mode(0o600)),
    });
    if let Err(error) = closed {
        // Opening it tells whether it can be used at all; the folder around it is closed in any case.
        tracing::warn!(path = %path.display(), %error, "the history cannot be closed to others");
    }
}

fn is_duplicate(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// A connection that only looks.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, rusqlite::Error> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY)?;
    Ok(db)
}
