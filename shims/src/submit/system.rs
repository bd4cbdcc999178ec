//! The submit language's view of this machine, with the user's own rights.

use std::cell::RefCell;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{AccessFlags, access};
use submit_lang::{FileError, FileFacts, GlobMatch, HostFacts, SubmitTime};

use crate::version::{CONDOR_PLATFORM, CONDOR_VERSION};
use crate::world::World;

/// How deep a directory is summed up; deeper trees are loops of mounts rather than inputs.
const DEPTH_MAX: u32 = 64;

/// Files, environment and facts for one run of the language.
pub(super) struct System<'a> {
    world: &'a World,
    stdin: RefCell<&'a mut dyn Read>,
    host: HostFacts,
    owner: String,
}

impl<'a> System<'a> {
    pub(super) fn new(world: &'a World, stdin: &'a mut dyn Read) -> System<'a> {
        let (opsys_and_ver, opsys_major_ver) = release(&fs::read_to_string("/etc/os-release").unwrap_or_default());
        let host = HostFacts {
            arch: std::env::consts::ARCH.to_ascii_uppercase(),
            opsys: std::env::consts::OS.to_ascii_uppercase(),
            opsys_and_ver,
            opsys_major_ver,
            filesystem_domain: world.domain().to_owned(),
            uid_domain: world.domain().to_owned(),
            condor_version: CONDOR_VERSION.to_owned(),
            condor_platform: CONDOR_PLATFORM.to_owned(),
        };
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let owner = account(&accounts, world.uid)
            .or_else(|| world.variable("LOGNAME"))
            .or_else(|| world.variable("USER"))
            .map_or_else(|| world.uid.to_string(), str::to_owned);
        System { world, stdin: RefCell::new(stdin), host, owner }
    }

    /// A path as this process must open it.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        Path::new(&self.world.cwd).join(path)
    }
}

impl submit_lang::World for System<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        if path == "-" {
            let mut bytes = Vec::new();
            self.stdin.borrow_mut().read_to_end(&mut bytes).map_err(|e| file_error(&e))?;
            return Ok(bytes);
        }
        fs::read(self.path(path)).map_err(|e| file_error(&e))
    }

    fn head(&self, path: &str, limit: usize) -> Result<Vec<u8>, FileError> {
        let mut bytes = Vec::with_capacity(limit);
        let file = fs::File::open(self.path(path)).map_err(|e| file_error(&e))?;
        file.take(limit as u64).read_to_end(&mut bytes).map_err(|e| file_error(&e))?;
        Ok(bytes)
    }

    fn stat(&self, path: &str) -> Result<FileFacts, FileError> {
        let path = self.path(path);
        let facts = fs::metadata(&path).map_err(|e| file_error(&e))?;
        Ok(FileFacts {
            size: facts.len(),
            is_dir: facts.is_dir(),
            executable: access(&path, AccessFlags::X_OK).is_ok(),
            mode: facts.mode() & 0o7777,
        })
    }

    fn size(&self, path: &str) -> u64 {
        let path = self.path(path);
        match fs::metadata(&path) {
            Ok(facts) if facts.is_dir() => tree_size(&path, DEPTH_MAX),
            Ok(facts) => facts.len(),
            Err(_) => 0,
        }
    }

    fn glob(&self, pattern: &str) -> Vec<GlobMatch> {
        let (start, rest) = match pattern.strip_prefix('/') {
            Some(rest) => ("/", rest),
            None => ("", pattern),
        };
        let mut found = vec![start.to_owned()];
        for component in rest.split('/').filter(|part| !part.is_empty()) {
            found = found.iter().flat_map(|folder| self.within(folder, component)).collect();
        }
        let exists = |path: String| {
            let facts = fs::metadata(self.path(&path)).ok()?;
            Some(GlobMatch { path, is_dir: facts.is_dir() })
        };
        found.into_iter().filter(|path| !path.is_empty()).filter_map(exists).collect()
    }

    fn command_output(&self, words: &[String]) -> Result<Vec<u8>, FileError> {
        let (program, arguments) = words.split_first().ok_or_else(FileError::not_found)?;
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&self.world.cwd)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| file_error(&e))?;
        if !output.status.success() {
            return Err(FileError { errno: 0, text: format!("{program}: {}", output.status) });
        }
        Ok(output.stdout)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.world.variable(name).map(str::to_owned)
    }

    fn env_all(&self) -> Vec<(String, String)> {
        self.world.variables.clone()
    }

    fn cwd(&self) -> &str {
        &self.world.cwd
    }

    fn now(&self) -> SubmitTime {
        let (year, month, day) = self.world.clock.date(self.world.now_s);
        SubmitTime { epoch_s: self.world.now_s, year, month, day }
    }

    fn random(&self) -> u64 {
        // The standard library keys its hashers from the system's random source.
        RandomState::new().build_hasher().finish()
    }

    fn host(&self) -> &HostFacts {
        &self.host
    }

    fn owner(&self) -> &str {
        &self.owner
    }

    fn uid(&self) -> u32 {
        self.world.uid
    }
}

impl System<'_> {
    /// Names in `folder` (empty: the working directory) that match one component of a pattern, with the folder.
    fn within(&self, folder: &str, component: &str) -> Vec<String> {
        let join = |name: &str| match folder {
            "" => name.to_owned(),
            "/" => format!("/{name}"),
            folder => format!("{folder}/{name}"),
        };
        if !component.contains(['*', '?', '[']) {
            return vec![join(component)];
        }
        let pattern: Vec<char> = component.chars().collect();
        let Ok(entries) = fs::read_dir(self.path(if folder.is_empty() { "." } else { folder })) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| component.starts_with('.') || !name.starts_with('.'))
            .filter(|name| matches(&pattern, &name.chars().collect::<Vec<_>>()))
            .map(|name| join(&name))
            .collect()
    }
}

/// The system's text without Rust's addition of the number.
pub(super) fn file_error(error: &io::Error) -> FileError {
    match error.raw_os_error() {
        Some(errno) => FileError { errno, text: nix::errno::Errno::from_raw(errno).desc().to_owned() },
        None => FileError { errno: 0, text: error.to_string() },
    }
}

/// Bytes of all files below; links are not followed, so a loop ends.
fn tree_size(folder: &Path, depth_left: u32) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let mut size = 0u64;
    for entry in entries.flatten() {
        size += match entry.metadata() {
            Ok(facts) if facts.is_dir() && depth_left > 0 => tree_size(&entry.path(), depth_left - 1),
            Ok(facts) => facts.len(),
            Err(_) => 0,
        };
    }
    size
}

/// Shell pattern against a name: `*`, `?`, `[a-z]`, `[!a]`; a backslash takes the next character as it is.
///
/// Greedy with one point to come back to, so the time is bounded by the product of the lengths.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match one(&pattern[p..], name[n]) {
            Some(Fit::Star) => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(Fit::Takes(length)) => {
                p += length;
                n += 1;
            }
            None => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    (p, n) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

enum Fit {
    Star,
    /// So many characters of the pattern stand for the one of the name.
    Takes(usize),
}

fn one(pattern: &[char], c: char) -> Option<Fit> {
    match *pattern {
        ['*', ..] => Some(Fit::Star),
        ['?', ..] => Some(Fit::Takes(1)),
        ['\\', literal, ..] => (literal == c).then_some(Fit::Takes(2)),
        ['[', ref set @ ..] => {
            let negated = matches!(set.first(), Some('!' | '^'));
            let body = &set[usize::from(negated)..];
            // A bracket that comes first is a member, one that is never closed is a character.
            let Some(close) = body.iter().skip(1).position(|c| *c == ']').map(|index| index + 1) else {
                return (c == '[').then_some(Fit::Takes(1));
            };
            (member(&body[..close], c) != negated).then_some(Fit::Takes(2 + usize::from(negated) + close))
        }
        [literal, ..] => (literal == c).then_some(Fit::Takes(1)),
        [] => None,
    }
}

fn member(mut set: &[char], c: char) -> bool {
    loop {
        match *set {
            [] => return false,
            [low, '-', high, ref rest @ ..] => {
                if (low..=high).contains(&c) {
                    return true;
                }
                set = rest;
            }
            [single, ref rest @ ..] => {
                if single == c {
                    return true;
                }
                set = rest;
            }
        }
    }
}

/// The user's name in `/etc/passwd`. The name service is not asked: these programs are linked statically, and the
/// master knows the name that counts.
fn account(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// `Debian12` and `12` from `/etc/os-release`.
fn release(text: &str) -> (String, String) {
    let field = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    };
    let major = field("VERSION_ID").map(|v| v.split('.').next().unwrap_or_default().to_owned()).unwrap_or_default();
    let name = match field("ID").as_deref() {
        Some("almalinux") => "AlmaLinux".to_owned(),
        Some("rhel") => "RedHat".to_owned(),
        Some("centos") => "CentOS".to_owned(),
        Some(id) => id.chars().take(1).flat_map(char::to_uppercase).chain(id.chars().skip(1)).collect(),
        None => String::new(),
    };
    (format!("{name}{major}"), major)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_patterns() {
        let check = |pattern: &str, name: &str| {
            matches(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
        };
        for (pattern, name) in [
            ("*.dat", "a.dat"),
            ("*", ""),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]a]", "]"),
            ("*a*b*", "xxayybzz"),
            ("\\*", "*"),
            ("[x", "[x"),
        ] {
            assert!(check(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.dat", "a.txt"), ("a?c", "ac"), ("[a-c]x", "dx"), ("[!a]", "a"), ("", "x"), ("\\*", "x")]
        {
            assert!(!check(pattern, name), "{pattern} {name}");
        }
        let hostile = "*a".repeat(30) + "b";
        assert!(!check(&hostile, &"a".repeat(2000)));
    }

    #[test]
    fn only_what_is_transferred_is_summed_up_and_only_the_head_of_a_program_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        for name in ["one", "two"] {
            fs::File::create(deep.join(name)).unwrap().set_len(1 << 32).unwrap();
        }
        let (world, mut stdin) = (World::of_process("condor_submit"), io::empty());
        let system: &dyn submit_lang::World = &System::new(&world, &mut stdin);
        let (top, one) = (folder.path().to_str().unwrap(), deep.join("one"));
        assert!(system.stat(top).unwrap().is_dir && system.stat(top).unwrap().size < 1 << 20);
        assert_eq!((system.size(top), system.size(one.to_str().unwrap())), (2 << 32, 1 << 32));
        assert_eq!(system.size(&format!("{top}/none")), 0);
        assert_eq!(system.head(one.to_str().unwrap(), 3).unwrap(), [0; 3]);
    }

    #[test]
    fn facts_from_files() {
        assert_eq!(account("root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:\n", 1000), Some("alice"));
        assert_eq!(account("broken\n:x\n", 1000), None);
        assert_eq!(release("ID=debian\nVERSION_ID=\"12\"\n"), ("Debian12".into(), "12".into()));
        assert_eq!(release("ID=\"almalinux\"\nVERSION_ID=\"9.4\"\n"), ("AlmaLinux9".into(), "9".into()));
        assert_eq!(release(""), (String::new(), String::new()));
    }
}
