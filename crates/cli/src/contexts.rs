//! The control planes that this user knows by name, and the tokens for them.
//!
//! `contexts.yaml` says which there are and which is the current one. It holds no secrets: the token of each is
//! in a file of its own, below `tokens`, or wherever its user keeps it. Whatever is written replaces a
//! file as a whole, and is written by one command at a time: a lock is held from reading to writing.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::exit::Exit;

const FILE: &str = "contexts.yaml";
const TOKENS: &str = "tokens";
const LOCK: &str = ".lock";
const MAX_NAME_BYTES: usize = 64;
/// No token is nearly as long.
const MAX_TOKEN_BYTES: u64 = 4096;

/// Why contexts cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    #[error("there is no context {0}; see `tenantry context list`")]
    None(Name),
    #[error("no context is the current one; choose one with `tenantry context use`")]
    NoCurrent,
    #[error("there is a context {0} already")]
    Taken(Name),
    #[error("the context {0} has no token; `tenantry --context {0} login` gets one")]
    NoToken(Name),
    #[error("{} can be read by others; `chmod 600` it, and give it another token if they may have", .0.display())]
    Loose(PathBuf),
    #[error("there is no place for contexts: neither XDG_CONFIG_HOME nor HOME is set")]
    NoPlace,
    #[error("{} cannot be used", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is not a file of contexts: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

impl ContextError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::None(_) | Self::NoCurrent => Exit::NotFound,
            Self::Taken(_) => Exit::Conflict,
            Self::NoToken(_) | Self::Loose(_) => Exit::Denied,
            Self::NoPlace | Self::File { .. } | Self::Damaged { .. } => Exit::Failed,
        }
    }
}

/// What a context is called: also the name of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_good = (1..=MAX_NAME_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && text.starts_with(|first: char| first.is_ascii_alphanumeric());
        match is_good {
            true => Ok(Self(text.to_owned())),
            false => Err("a name is 1 to 64 letters, digits, `-`, `_` and `.`, and begins with a letter or digit".to_owned()),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Where its API is.
    pub(crate) api: String,
    /// Where its token is, if not below `tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
}

/// All that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that is meant if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<Name>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<Name, Context>,
}

impl Contexts {
    pub(crate) fn context(&self, name: &Name) -> Result<&Context, ContextError> {
        self.contexts.get(name).ok_or_else(|| ContextError::None(name.clone()))
    }

    /// The one of this name, or the current one.
    pub(crate) fn named(&self, name: Option<&Name>) -> Result<(Name, Context), ContextError> {
        let name = name.or(self.current.as_ref()).ok_or(ContextError::NoCurrent)?;
        Ok((name.clone(), self.context(name)?.clone()))
    }
}

/// Where contexts are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContextStore {
    directory: Option<PathBuf>,
}

impl ContextStore {
    /// In `tenantry` below the directory for configuration.
    pub(crate) fn below(config_home: Option<PathBuf>) -> Self {
        Self { directory: config_home.map(|home| home.join("tenantry")) }
    }

    /// What is known now; nothing, if nothing was ever written.
    pub(crate) fn read(&self) -> Result<Contexts, ContextError> {
        let Some(directory) = &self.directory else { return Ok(Contexts::default()) };
        let path = directory.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => serde_saphyr::from_str(&text)
                .map_err(|error| ContextError::Damaged { path, reason: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Contexts::default()),
            Err(source) => Err(ContextError::File { path, source }),
        }
    }

    /// Changes what is known. Nobody else changes it meanwhile.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Contexts, &Tokens) -> Result<T, ContextError>,
    ) -> Result<T, ContextError> {
        let directory = self.directory.as_deref().ok_or(ContextError::NoPlace)?;
        let tokens = Tokens(directory.join(TOKENS));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&tokens.0);
        made.map_err(at(&tokens.0))?;
        let lock = directory.join(LOCK);
        let held =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock);
        let held = held.and_then(|file| file.lock().map(|()| file)).map_err(at(&lock))?;
        let mut contexts = self.read()?;
        let before = contexts.clone();
        let changed = change(&mut contexts, &tokens)?;
        if contexts != before {
            let path = directory.join(FILE);
            let text = serde_saphyr::to_string(&contexts).map_err(|error| {
                ContextError::Damaged { path: path.clone(), reason: error.to_string() }
            })?;
            write_whole(&path, text.as_bytes()).map_err(at(&path))?;
        }
        drop(held);
        Ok(changed)
    }

    /// The file with the token of a context.
    pub(crate) fn token_file(
        &self,
        name: &Name,
        context: &Context,
    ) -> Result<PathBuf, ContextError> {
        let directory = self.directory.as_deref().ok_or(ContextError::NoPlace)?;
        let own = || Tokens(directory.join(TOKENS)).file(name);
        Ok(context.token_file.clone().unwrap_or_else(own))
    }

    /// The token of a context.
    pub(crate) fn token(&self, name: &Name, context: &Context) -> Result<String, ContextError> {
        let path = self.token_file(name, context)?;
        match private_text(&path) {
            Err(ContextError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(ContextError::NoToken(name.clone()))
            }
            read => read,
        }
    }
}

/// The tokens that are kept here.
pub(crate) struct Tokens(PathBuf);

impl Tokens {
    fn file(&self, name: &Name) -> PathBuf {
        self.0.join(&name.0)
    }

    pub(crate) fn keep(&self, name: &Name, token: &str) -> Result<PathBuf, ContextError> {
        let path = self.file(name);
        write_whole(&path, format!("{}\n", token.trim()).as_bytes()).map_err(at(&path))?;
        Ok(path)
    }

    /// Whether there was one or not, there is none afterwards.
    pub(crate) fn forget(&self, name: &Name) -> Result<(), ContextError> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    pub(crate) fn rename(&self, old: &Name, new: &Name) -> Result<(), ContextError> {
        let path = self.file(old);
        match fs::rename(&path, self.file(new)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }
}

/// The content of a file that nobody else can read.
fn private_text(path: &Path) -> Result<String, ContextError> {
    let file = File::open(path).map_err(at(path))?;
    if file.metadata().map_err(at(path))?.mode() & 0o077 != 0 {
        return Err(ContextError::Loose(path.to_owned()));
    }
    let mut text = String::new();
    file.take(MAX_TOKEN_BYTES).read_to_string(&mut text).map_err(at(path))?;
    Ok(text.trim().to_owned())
}

/// The old content stays until the new one is whole. No name of a context begins with a dot.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let new = directory.join(format!(".{}.new", name.to_string_lossy()));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}

fn at(path: &Path) -> impl Fn(io::Error) -> ContextError {
    let path = path.to_owned();
    move |source| ContextError::File { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn names_are_names_of_files() {
        for good in ["prod", "eu-1", "a.b", "A_1", "1", &"x".repeat(64)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".lock", "-x", "a/b", "a b", "ä", "a\0", &"x".repeat(65)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_nobody_else_reads_it() {
        let home = tempfile::tempdir().unwrap();
        let store = ContextStore::below(Some(home.path().to_owned()));
        assert_eq!(store.read().unwrap(), Contexts::default());
        let context = Context { api: "http://127.0.0.1:1".to_owned(), token_file: None };
        let kept = store.change(|contexts, tokens| {
            contexts.contexts.insert(name("prod"), context.clone());
            contexts.current = Some(name("prod"));
            tokens.keep(&name("prod"), " secret\n")
        });
        let (kept, found) = (kept.unwrap(), store.read().unwrap().named(None).unwrap());
        assert_eq!(found, (name("prod"), context.clone()));
        assert_eq!(store.token(&name("prod"), &context).unwrap(), "secret");
        let directory = home.path().join("tenantry");
        assert_eq!(
            (mode(&kept), mode(&directory), mode(&directory.join(FILE))),
            (0o600, 0o700, 0o600)
        );
        let text = fs::read_to_string(directory.join(FILE)).unwrap();
        assert!(!text.contains("secret"), "{text}");
        for loose in [0o640, 0o604, 0o644] {
            fs::set_permissions(&kept, fs::Permissions::from_mode(loose)).unwrap();
            let refused = store.token(&name("prod"), &context);
            assert!(matches!(refused, Err(ContextError::Loose(_))), "{loose:o}");
        }
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let store = ContextStore::below(Some(home.path().to_owned()));
        let failed = store.change(|contexts, _| {
            contexts.current = Some(name("x"));
            Err::<(), _>(ContextError::NoCurrent)
        });
        assert!(failed.is_err());
        assert_eq!(store.read().unwrap(), Contexts::default());
    }

    #[test]
    fn of_many_who_change_at_once_nobody_is_lost() {
        let home = tempfile::tempdir().unwrap();
        let store = ContextStore::below(Some(home.path().to_owned()));
        std::thread::scope(|scope| {
            for number in 0..16 {
                let store = &store;
                scope.spawn(move || {
                    let context = Context { api: format!("http://a:{number}"), token_file: None };
                    let added = store.change(|contexts, _| {
                        contexts.contexts.insert(name(&format!("c{number}")), context);
                        Ok(())
                    });
                    added.unwrap();
                });
            }
        });
        assert_eq!(store.read().unwrap().contexts.len(), 16);
    }

    #[test]
    fn a_damaged_file_is_not_taken_for_none() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("tenantry")).unwrap();
        fs::write(home.path().join("tenantry").join(FILE), "contexts: [").unwrap();
        let store = ContextStore::below(Some(home.path().to_owned()));
        assert!(matches!(store.read(), Err(ContextError::Damaged { .. })));
    }
}
