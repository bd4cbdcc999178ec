//! Certificate and key of the worker port, from files; read again when the files change.

use std::cell::RefCell;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::Notify;

use super::der;
use crate::options::TlsFiles;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Larger files are no certificates, bytes.
const FILE_MAX: u64 = 1 << 20;

/// An operator is told so long before a certificate ends, seconds.
const SOON_S: i64 = 14 * 86_400;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read {what} {}", path.display())]
    Unreadable {
        /// `the certificate` or `the key`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("{what} {}: {problem}; give a PEM file with {remedy}", path.display())]
    Content {
        /// `the certificate` or `the key`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What belongs there.
        remedy: &'static str,
    },
    /// Each is fine alone.
    #[error(
        "the key {} does not belong to the first certificate in {}: give the key with which that one was made, and \
         put the host's own certificate first",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// The library does not like them.
    #[error("the certificate {}: {source}", path.display())]
    Refused {
        /// File of the certificate.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// Certificate and key in use.
#[derive(Debug)]
pub(crate) struct Credentials {
    files: TlsFiles,
    config: RefCell<Arc<ServerConfig>>,
    seen: RefCell<Seen>,
    look: Notify,
}

/// What makes a changed file another one.
type Identity = Option<(u64, u64, i64, i64, u64)>;

/// What was found at the last look.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    identities: [Identity; 2],
    trouble: Option<String>,
}

/// A certificate with its key, and until when it is valid.
struct Loaded {
    config: ServerConfig,
    certificate: CertificateDer<'static>,
}

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub(crate) fn load(files: TlsFiles) -> Result<Credentials, CredentialsError> {
        let identities = identities(&files);
        let loaded = load(&files)?;
        if let Some(warning) = open_to_others(&files.key) {
            tracing::warn!("{warning}");
        }
        if let Some(warning) = lifetime_trouble(&files.certificate, &loaded.certificate, now_s()) {
            tracing::warn!("{warning}");
        }
        Ok(Credentials {
            config: RefCell::new(Arc::new(loaded.config)),
            seen: RefCell::new(Seen { identities, trouble: None }),
            look: Notify::new(),
            files,
        })
    }

    /// For the next connection.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.borrow())
    }

    /// Clear text is refused.
    pub(super) fn required(&self) -> bool {
        self.files.required
    }

    /// Has the files read again, changed or not.
    pub(crate) fn reload(&self) {
        self.seen.borrow_mut().identities = [None; 2];
        self.look.notify_one();
    }

    /// Reads the files again whenever they change, for ever. Connections that stand keep what they have.
    pub(crate) async fn keep_fresh(self: Rc<Credentials>) {
        loop {
            // Told or not, it is a reason to look.
            let _ = tokio::time::timeout(LOOK_EVERY, self.look.notified()).await;
            let files = self.files.clone();
            let before = self.seen.borrow().identities;
            // A file server that hangs stops nobody but this task.
            let looked = tokio::task::spawn_blocking(move || {
                let identities = identities(&files);
                (identities != before).then(|| (identities, load(&files)))
            });
            if let Ok(Some((identities, outcome))) = looked.await {
                self.take(identities, outcome);
            }
        }
    }

    fn take(&self, identities: [Identity; 2], outcome: Result<Loaded, CredentialsError>) {
        let mut seen = self.seen.borrow_mut();
        match outcome {
            Ok(loaded) => {
                *seen = Seen { identities, trouble: None };
                let certificate = self.files.certificate.display();
                tracing::info!(%certificate, "the certificate was read again");
                if let Some(warning) = lifetime_trouble(&self.files.certificate, &loaded.certificate, now_s()) {
                    tracing::warn!("{warning}");
                }
                *self.config.borrow_mut() = Arc::new(loaded.config);
            }
            // Looked at again every time: the other of the two files may be on its way.
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                let text = std::iter::successors(Some(error), |error| error.source())
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(": ");
                if seen.trouble.as_ref() != Some(&text) {
                    tracing::warn!(error = text, "the certificate was not read again; the old one stays in use");
                    seen.trouble = Some(text);
                }
            }
        }
    }
}

fn load(files: &TlsFiles) -> Result<Loaded, CredentialsError> {
    let (what, remedy) = ("the certificate", "the host's certificate, and those that it is signed with behind it");
    let content =
        |problem: String| CredentialsError::Content { what, path: files.certificate.clone(), problem, remedy };
    let bytes = read(what, &files.certificate)?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|error| content(error.to_string()))?;
    let certificate = chain.first().ok_or_else(|| content("there is no certificate in it".into()))?.clone();
    let key = read_key(&files.key)?;
    // Workers hear nothing of the chain if it is not for them, so only what TLS itself needs is asked of it.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let refused = |source| match source {
        rustls::Error::InconsistentKeys(_) => {
            CredentialsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
        }
        source => CredentialsError::Refused { path: files.certificate.clone(), source },
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(refused)?;
    // Workers connect once and stay: tickets and remembered sessions would only cost memory.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Loaded { config, certificate })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    let (what, remedy) = ("the key", "an unencrypted private key (PKCS #8, PKCS #1 or SEC1)");
    let bytes = read(what, path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let encrypted = bytes.windows(9).any(|window| window == b"ENCRYPTED");
        let problem = match error {
            pem::Error::NoItemsFound if encrypted => "it is encrypted".into(),
            pem::Error::NoItemsFound => "there is no private key in it".into(),
            other => other.to_string(),
        };
        CredentialsError::Content { what, path: path.to_owned(), problem, remedy }
    })
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, CredentialsError> {
    let read = || {
        let facts = std::fs::metadata(path)?;
        if !facts.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        if facts.len() > FILE_MAX {
            return Err(io::Error::other(format!("it is larger than {FILE_MAX} bytes")));
        }
        std::fs::read(path)
    };
    read().map_err(|source| CredentialsError::Unreadable { what, path: path.to_owned(), source })
}

fn identities(files: &TlsFiles) -> [Identity; 2] {
    [&files.certificate, &files.key].map(|path| {
        let facts = std::fs::metadata(path).ok()?;
        Some((facts.dev(), facts.ino(), facts.mtime(), facts.mtime_nsec(), facts.size()))
    })
}

fn open_to_others(key: &Path) -> Option<String> {
    let mode = std::fs::metadata(key).ok()?.mode();
    (mode & 0o077 != 0).then(|| format!("the key {path} can be read by others: chmod 600 {path}", path = key.display()))
}

/// What an operator should know of the certificate's time. No reason to refuse it: workers do not look at it.
fn lifetime_trouble(path: &Path, certificate: &[u8], now_s: i64) -> Option<String> {
    let path = path.display();
    let Some((begin_s, end_s)) = der::validity(certificate) else {
        return Some(format!("the certificate {path} shows no time of validity: check the file"));
    };
    let at = |second| jiff::Timestamp::from_second(second).map_or_else(|_| String::new(), |time| time.to_string());
    if now_s > end_s {
        Some(format!("the certificate {path} has expired at {}: put a new one in its place", at(end_s)))
    } else if now_s < begin_s {
        Some(format!("the certificate {path} is valid only from {} on: check it, and this host's clock", at(begin_s)))
    } else if now_s + SOON_S > end_s {
        Some(format!("the certificate {path} expires at {}: put a new one in its place", at(end_s)))
    } else {
        None
    }
}

fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERT: &str = include_str!("../../tests/data/tls/cert.pem");
    const KEY: &str = include_str!("../../tests/data/tls/key.pem");
    const OTHER_KEY: &str = include_str!("../../tests/data/tls/other-key.pem");
    const EXPIRED: &str = include_str!("../../tests/data/tls/expired.pem");
    const ENCRYPTED: &str = include_str!("../../tests/data/tls/encrypted-key.pem");

    struct Bench(tempfile::TempDir);

    impl Bench {
        fn files(&self, certificate: &str, key: &str) -> TlsFiles {
            let put = |name: &str, text: &str| {
                let path = self.0.path().join(name);
                std::fs::write(&path, text).unwrap();
                path
            };
            TlsFiles { certificate: put("cert", certificate), key: put("key", key), required: false }
        }
    }

    fn told(error: &CredentialsError) -> String {
        match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn what_is_wrong_with_the_files_is_named_with_its_remedy() {
        let bench = Bench(tempfile::tempdir().unwrap());
        assert!(load(&bench.files(CERT, KEY)).is_ok());
        assert!(load(&bench.files(&format!("{KEY}{CERT}"), &format!("{CERT}{KEY}"))).is_ok(), "one file for both");
        let broken = CERT.replace("-----END", "?-----END");
        for (certificate, key, wanted) in [
            ("", KEY, "cert: there is no certificate in it; give a PEM file with the host's certificate"),
            (KEY, KEY, "cert: there is no certificate in it"),
            (&broken, KEY, "cert: "),
            (CERT, "", "key: there is no private key in it; give a PEM file with an unencrypted private key"),
            (CERT, ENCRYPTED, "key: it is encrypted; give"),
            (CERT, OTHER_KEY, "does not belong to the first certificate"),
        ] {
            let error = load(&bench.files(certificate, key)).err().expect(wanted);
            assert!(told(&error).contains(wanted), "{}", told(&error));
        }
        let mut files = bench.files(CERT, KEY);
        files.certificate = bench.0.path().into();
        assert!(told(&load(&files).err().unwrap()).ends_with("it is no file"));
        files.certificate = bench.0.path().join("none");
        assert!(told(&load(&files).err().unwrap()).contains("none: No such file"));
    }

    #[test]
    fn a_certificate_that_is_over_or_nearly_so_is_told_of() {
        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let told = |pem, now_s| lifetime_trouble(Path::new("c.pem"), &certificate(pem), now_s);
        let end_s = 1_009_843_199;
        assert_eq!(
            told(EXPIRED, end_s + 1).unwrap(),
            "the certificate c.pem has expired at 2001-12-31T23:59:59Z: put a new one in its place"
        );
        assert!(told(EXPIRED, end_s - 86_400).unwrap().contains("expires at 2001-12-31"));
        assert!(told(EXPIRED, 900_000_000).unwrap().contains("valid only from 2001-01-01"));
        assert_eq!(told(EXPIRED, end_s - 20 * 86_400), None);
    }

    #[test]
    fn a_reload_takes_what_fits_and_keeps_the_old_otherwise() {
        let bench = Bench(tempfile::tempdir().unwrap());
        let credentials = Credentials::load(bench.files(CERT, KEY)).unwrap();
        let first = credentials.config();
        let look = || credentials.take(identities(&credentials.files), load(&credentials.files));
        bench.files(CERT, OTHER_KEY);
        look();
        assert!(Arc::ptr_eq(&first, &credentials.config()));
        assert!(credentials.seen.borrow().trouble.is_some());
        bench.files(CERT, KEY);
        look();
        assert!(!Arc::ptr_eq(&first, &credentials.config()));
        assert_eq!(*credentials.seen.borrow(), Seen { identities: identities(&credentials.files), trouble: None });
        credentials.reload();
        assert_ne!(credentials.seen.borrow().identities, identities(&credentials.files));
    }
}
