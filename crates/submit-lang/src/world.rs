//! What the submitting user's side offers to the language: files, environment, host facts, time, chance.
//!
//! The crate itself is pure; everything outside the text reaches it through [`World`]. The shim implements it with
//! the real system, the tests with a table.

/// What went wrong with a file or a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct FileError {
    /// The system's error number, 0 when there is none.
    pub errno: i32,
    /// The system's text without the number, as `strerror` gives it: `No such file or directory`.
    pub text: String,
}

impl FileError {
    /// `ENOENT` with the text of the C library.
    pub fn not_found() -> FileError {
        FileError { errno: 2, text: "No such file or directory".to_owned() }
    }
}

/// What is known of an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileFacts {
    /// Size in bytes; what is in a directory only [`World::size`] tells.
    pub size: u64,
    /// A directory (symbolic links are followed).
    pub is_dir: bool,
    /// The submitting user may execute it (a directory: enter it).
    pub executable: bool,
    /// Permission bits, as `stat` gives them, without the file type.
    pub mode: u32,
}

/// One name that a glob pattern found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobMatch {
    /// The name, relative when the pattern was, without a trailing slash.
    pub path: String,
    /// It is a directory.
    pub is_dir: bool,
}

/// The moment of submission, in the user's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubmitTime {
    /// Seconds since 1970 (UTC): `$(SUBMIT_TIME)`.
    pub epoch_s: i64,
    /// `$(YEAR)`, four digits.
    pub year: i32,
    /// `$(MONTH)`, 1 to 12.
    pub month: u8,
    /// `$(DAY)`, 1 to 31.
    pub day: u8,
}

/// Constant facts about the submit host; what HTCondor would read from its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// `$(ARCH)`: `X86_64`, `aarch64`.
    pub arch: String,
    /// `$(OPSYS)`: `LINUX`.
    pub opsys: String,
    /// `$(OPSYSANDVER)`: `Debian12`; may be empty.
    pub opsys_and_ver: String,
    /// `$(OPSYSMAJORVER)` and, with two zeros added, `$(OPSYSVER)`; may be empty.
    pub opsys_major_ver: String,
    /// `FileSystemDomain` of the ads: the host's domain.
    pub filesystem_domain: String,
    /// `UID_DOMAIN`, used in one warning.
    pub uid_domain: String,
    /// `$CondorVersion: 25.13.2 … $`.
    pub condor_version: String,
    /// `$CondorPlatform: … $`.
    pub condor_platform: String,
}

/// The submitting user's side. All calls are synchronous and may be repeated.
///
/// Relative paths are relative to [`World::cwd`].
pub trait World {
    /// The bytes of a file: an include or an item list. `-` is the standard input.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError>;
    /// The first bytes of a file, at most `limit`.
    ///
    /// # Errors
    /// What the system says.
    fn head(&self, path: &str, limit: usize) -> Result<Vec<u8>, FileError> {
        self.read(path).map(|mut bytes| {
            bytes.truncate(limit);
            bytes
        })
    }
    /// Facts about a file, symbolic links followed.
    ///
    /// # Errors
    /// What the system says.
    fn stat(&self, path: &str) -> Result<FileFacts, FileError>;
    /// Bytes of a file, or of all files below a directory; 0 if there is none. Asked for what is transferred only: to walk
    /// over a folder takes long.
    fn size(&self, path: &str) -> u64 {
        self.stat(path).map_or(0, |facts| facts.size)
    }
    /// The existing names that match a shell pattern (`*`, `?`, `[…]`), in any order.
    fn glob(&self, pattern: &str) -> Vec<GlobMatch>;
    /// The standard output of a command given as words (no shell).
    ///
    /// # Errors
    /// It could not be started or did not end with 0.
    fn command_output(&self, words: &[String]) -> Result<Vec<u8>, FileError>;
    /// One variable of the submitter's environment.
    fn env(&self, name: &str) -> Option<String>;
    /// The whole environment, in any order.
    fn env_all(&self) -> Vec<(String, String)>;
    /// The working directory, absolute.
    fn cwd(&self) -> &str;
    /// The moment of submission; one value for the whole run.
    fn now(&self) -> SubmitTime;
    /// 64 random bits, new ones at each call.
    fn random(&self) -> u64;
    /// Facts about the host.
    fn host(&self) -> &HostFacts;
    /// The submitting user's name.
    fn owner(&self) -> &str;
    /// The submitting user's number, for the default name of a grid proxy.
    fn uid(&self) -> u32;
}
