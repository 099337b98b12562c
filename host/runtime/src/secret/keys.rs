//! The keys that secrets are sealed with. They come from outside of the data folder, so that a copy of the folder is worth
//! nothing to whoever has it.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use flowhost_model::RecordId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The length of a key, in bytes.
const KEY_BYTES: usize = 32;

/// The length of a nonce, in bytes: long enough to be drawn at random for every value.
const NONCE_BYTES: usize = 24;

/// The largest file of keys, in bytes. A key takes 65 at the most.
const FILE_LIMIT: u64 = 64 << 10;

/// Keys that seal and open the values of secrets. Nothing shows them.
#[derive(Default)]
pub struct SecretKeys(Vec<SecretKey>);

struct SecretKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// A value as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// Which key sealed it.
    pub(crate) key_id: String,
    /// Nonce, encrypted value and tag, in base64.
    pub(crate) sealed: String,
}

/// Why a sealed value cannot be opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealedWithout {
    /// The key that sealed it is not among the host's.
    #[error("it is sealed with the key {0}, which the host was started without")]
    Key(String),
    /// It is not what the key sealed for this record.
    #[error("its sealed value is damaged")]
    Integrity,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// The file cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read the file.
    #[error("{} can be read by others than its owner; `chmod 600` it", .0.display())]
    Exposed(PathBuf),
    /// The file is in the data folder.
    #[error("{} is in the data folder, where a copy of the data would have the key with it; keep it elsewhere", .0.display())]
    InData(PathBuf),
    /// A line is no key.
    #[error("line {0} is no key of 32 bytes in base64 or hex; `flowhost secret key` makes one")]
    Malformed(usize),
    /// There is no key.
    #[error("there is no key; `flowhost secret key` makes one")]
    Empty,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    NoRandomness(getrandom::Error),
}

/// A new key, in base64.
pub fn new_secret_key() -> Result<Zeroizing<String>, SecretKeyError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *key).map_err(SecretKeyError::NoRandomness)?;
    Ok(Zeroizing::new(BASE64.encode(&*key)))
}

impl SecretKeys {
    /// Reads keys, one a line, each 32 bytes in base64 or hex. The first seals, all of them open. Empty lines and lines that
    /// begin with `#` say nothing.
    pub fn parse(text: &str) -> Result<Self, SecretKeyError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let hex = || HEXLOWER_PERMISSIVE.decode(line.as_bytes()).ok();
            let bytes = BASE64.decode(line.as_bytes()).ok().filter(|bytes| bytes.len() == KEY_BYTES).or_else(hex);
            let key = bytes.map(Zeroizing::new).and_then(|bytes| SecretKey::new(&bytes));
            keys.push(key.ok_or(SecretKeyError::Malformed(index + 1))?);
        }
        if keys.is_empty() {
            return Err(SecretKeyError::Empty);
        }
        Ok(Self(keys))
    }

    /// Reads the keys of a file, which must be its owner's alone and lie outside of the data folder.
    pub fn from_file(path: &Path, data: &Path) -> Result<Self, SecretKeyError> {
        let unreadable = |error| SecretKeyError::Unreadable { path: path.to_owned(), error };
        let real = path.canonicalize().map_err(unreadable)?;
        // A data folder that is not there yet holds nothing.
        if data.canonicalize().is_ok_and(|data| real.starts_with(data)) {
            return Err(SecretKeyError::InData(path.to_owned()));
        }
        let file = std::fs::File::open(&real).map_err(unreadable)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if file.metadata().map_err(unreadable)?.permissions().mode() & 0o077 != 0 {
                return Err(SecretKeyError::Exposed(path.to_owned()));
            }
        }
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_LIMIT).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(&text)
    }

    /// What names the key that seals; none without keys.
    pub fn sealing_key_id(&self) -> Option<&str> {
        self.0.first().map(|key| key.id.as_str())
    }

    /// Seals the value of a record; none without keys.
    pub(crate) fn seal(&self, record: RecordId, value: &str) -> Option<Sealed> {
        let key = self.0.first()?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload { msg: value.as_bytes(), aad: record.as_bytes() };
        let encrypted = key.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let sealed = BASE64.encode(&[&nonce, encrypted.as_slice()].concat());
        Some(Sealed { key_id: key.id.clone(), sealed })
    }

    /// Opens the sealed value of a record.
    pub(crate) fn open(&self, record: RecordId, sealed: &Sealed) -> Result<Zeroizing<String>, SealedWithout> {
        let known = self.0.iter().find(|key| key.id == sealed.key_id);
        let key = known.ok_or_else(|| SealedWithout::Key(sealed.key_id.clone()))?;
        let bytes = BASE64.decode(sealed.sealed.as_bytes()).map_err(|_| SealedWithout::Integrity)?;
        let (nonce, encrypted) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SealedWithout::Integrity)?;
        let payload = Payload { msg: encrypted, aad: record.as_bytes() };
        let value = key.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealedWithout::Integrity)?;
        String::from_utf8(value).map(Zeroizing::new).map_err(|_| SealedWithout::Integrity)
    }
}

impl SecretKey {
    fn new(bytes: &[u8]) -> Option<Self> {
        let key = Key::try_from(bytes).ok()?;
        let digest = Sha256::new().chain_update("flowhost secret key\0").chain_update(bytes).finalize();
        let id = HEXLOWER.encode(digest.get(..8)?);
        Some(Self { id, cipher: XChaCha20Poly1305::new(&key) })
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> SecretKeys {
        SecretKeys::parse(text).unwrap()
    }

    #[test]
    fn what_a_key_seals_it_opens_for_the_same_record_only() {
        let (key, other) = (new_secret_key().unwrap(), new_secret_key().unwrap());
        let (record, another) = (RecordId::new(), RecordId::new());
        let keys = keys(&key);
        let sealed = keys.seal(record, "tomato-soup").unwrap();
        assert!(!sealed.sealed.contains("tomato"));
        assert_ne!(keys.seal(record, "tomato-soup").unwrap(), sealed);
        assert_eq!(*keys.open(record, &sealed).unwrap(), "tomato-soup");
        assert_eq!(keys.open(another, &sealed), Err(SealedWithout::Integrity));
        let foreign = SecretKeys::parse(&other).unwrap().open(record, &sealed);
        assert_eq!(foreign, Err(SealedWithout::Key(keys.sealing_key_id().unwrap().into())));
        let mut damaged = sealed.clone();
        damaged.sealed.replace_range(40..41, if &sealed.sealed[40..41] == "A" { "B" } else { "A" });
        assert_eq!(keys.open(record, &damaged), Err(SealedWithout::Integrity));
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, new) = (new_secret_key().unwrap(), new_secret_key().unwrap());
        let record = RecordId::new();
        let sealed = keys(&old).seal(record, "tomato-soup").unwrap();
        let both = keys(&format!("# new\n{}\n\n{}\n", *new, *old));
        assert_eq!(*both.open(record, &sealed).unwrap(), "tomato-soup");
        assert_eq!(both.sealing_key_id(), keys(&new).sealing_key_id());
        assert_ne!(both.seal(record, "tomato-soup").unwrap().key_id, sealed.key_id);
    }

    #[test]
    fn a_key_is_32_bytes_in_base64_or_hex() {
        let hex = "0123456789abcdefABCDEF00000000000123456789abcdefABCDEF0000000000";
        let base64 = BASE64.encode(&HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap());
        assert_eq!(keys(hex).sealing_key_id(), keys(&base64).sealing_key_id());
        let malformed = |text: &str| SecretKeys::parse(text).unwrap_err().to_string();
        assert!(malformed("\nsecret").starts_with("line 2 is no key"));
        assert!(malformed(&BASE64.encode(&[1; 31])).starts_with("line 1 is no key"));
        assert!(malformed("# none\n").starts_with("there is no key"));
        assert!(!format!("{:?}", keys(&base64)).contains(&base64));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_keys_is_its_owners_alone_and_not_with_the_data() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let write = |path: &Path, mode| {
            std::fs::write(path, &*new_secret_key().unwrap()).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let (outside, inside) = (folder.path().join("key"), data.join("key"));
        write(&outside, 0o600);
        write(&inside, 0o600);
        SecretKeys::from_file(&outside, &data).unwrap();
        SecretKeys::from_file(&outside, &folder.path().join("not-there")).unwrap();
        assert!(matches!(SecretKeys::from_file(&inside, &data), Err(SecretKeyError::InData(_))));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&inside, &link).unwrap();
        assert!(matches!(SecretKeys::from_file(&link, &data), Err(SecretKeyError::InData(_))));
        for mode in [0o640, 0o604, 0o620] {
            write(&outside, mode);
            assert!(matches!(SecretKeys::from_file(&outside, &data), Err(SecretKeyError::Exposed(_))));
        }
        let missing = SecretKeys::from_file(&folder.path().join("none"), &data);
        assert!(matches!(missing, Err(SecretKeyError::Unreadable { .. })));
    }
}
