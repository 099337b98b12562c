//! The operator's token: a file in the data folder, and its digest in the record of the administrator.
//!
//! The owner of the folder owns the host, so that a token that is lost or not this host's is replaced. File and record cannot
//! change in one step. So every start compares them, and a replacement that was cut off anywhere is made once more: the file
//! first, whole and under its name at once, then the record, which ends the former token.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flowhost_model::Digest;

use crate::identity::{new_token, token_digest};
use crate::problem::{Code, Problem};

/// The name of the file.
const NAME: &str = "operator-token";

/// Where a new token is written before it has that name.
const NEW_NAME: &str = "operator-token.new";

/// More than a token has, in bytes.
const LONGEST: u64 = 4096;

/// What is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The token of the record.
    Own,
    /// There is no file.
    Nothing,
    /// The file has nothing in it.
    Empty,
    /// What may be a token, but is not the record's.
    Other,
}

/// The file in a data folder.
pub(crate) struct OperatorToken {
    folder: PathBuf,
}

impl OperatorToken {
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn file(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Makes sure that the file has a token. Returns the digest of a new one, which is valid once the record has it, or `None`
    /// if the file has the token of the record, whose digest is `known`.
    ///
    /// # Errors
    ///
    /// `host.error` if the file can be neither read nor replaced. The former token stays valid then.
    pub(crate) fn ensure(&self, known: Option<Digest>) -> Result<Option<Digest>, Problem> {
        let file = self.file();
        let failed = |error: io::Error| {
            let advice = "the folder must belong to the user of this process, and its disk must have room; then start the host again";
            Problem::new(Code::HostError, format!("{}: the operator's token: {error}; {advice}", file.display()))
        };
        let found = self.compare(known).map_err(failed)?;
        if found == Found::Own {
            return Ok(None);
        }
        if known.is_some() {
            let reason = match found {
                Found::Own | Found::Nothing => "is missing",
                Found::Empty => "is empty",
                Found::Other => "is not the token of this host",
            };
            tracing::warn!(
                "{} {reason}: a new token is written there, and the former is not valid any more",
                file.display()
            );
        }
        let token = new_token().map_err(Problem::host)?;
        self.write(&token).map_err(failed)?;
        Ok(Some(token_digest(&token)))
    }

    fn compare(&self, known: Option<Digest>) -> io::Result<Found> {
        let mut text = Vec::new();
        match File::open(self.file()) {
            Ok(file) => file.take(LONGEST).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        Ok(match String::from_utf8(text).as_deref().map(str::trim) {
            Ok("") => Found::Empty,
            Ok(token) if Some(token_digest(token)) == known => Found::Own,
            _ => Found::Other,
        })
    }

    /// Gives the file this content, whole: it has the former until it has the new, on the disk as well.
    fn write(&self, token: &str) -> io::Result<()> {
        let new = self.folder.join(NEW_NAME);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        writeln!(file, "{token}")?;
        file.sync_all()?;
        fs::rename(&new, self.file())?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn ensured(folder: &Path, known: Option<Digest>) -> Option<Digest> {
        OperatorToken::of(folder).ensure(known).unwrap()
    }

    fn digest_of_file(folder: &Path) -> Digest {
        token_digest(fs::read_to_string(folder.join(NAME)).unwrap().trim())
    }

    #[test]
    fn token_of_the_record_stays() {
        let folder = tempfile::tempdir().unwrap();
        let known = ensured(folder.path(), None);
        assert_eq!(known, Some(digest_of_file(folder.path())));
        let mode = fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for _ in 0..2 {
            assert_eq!(ensured(folder.path(), known), None);
        }
        // As an editor leaves it.
        let token = fs::read_to_string(folder.path().join(NAME)).unwrap();
        fs::write(folder.path().join(NAME), format!("  {}\r\n\n", token.trim())).unwrap();
        assert_eq!(ensured(folder.path(), known), None);
    }

    /// Each is also what a replacement leaves behind that was cut off between two of its steps.
    #[test]
    fn token_that_is_not_the_records_is_replaced() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut known = ensured(folder.path(), None);
        ensured(other.path(), None);
        let file = folder.path().join(NAME);
        let states: [(&str, &dyn Fn()); 6] = [
            ("missing", &|| fs::remove_file(&file).unwrap()),
            ("empty", &|| fs::write(&file, "").unwrap()),
            ("blank", &|| fs::write(&file, " \n").unwrap()),
            ("garbage", &|| fs::write(&file, [0xff, 0, 7]).unwrap()),
            ("another host's", &|| fs::write(&file, fs::read(other.path().join(NAME)).unwrap()).unwrap()),
            ("missing, and a new one half written", &|| {
                fs::remove_file(&file).unwrap();
                fs::write(folder.path().join(NEW_NAME), "fh_half").unwrap();
            }),
        ];
        for (what, make) in states {
            make();
            let replaced = ensured(folder.path(), known);
            assert_eq!(replaced, Some(digest_of_file(folder.path())), "{what}");
            assert_ne!(replaced, known, "{what}");
            assert!(!folder.path().join(NEW_NAME).exists(), "{what}");
            // The record was not written, and the file is here: it is not taken for the record's.
            let again = ensured(folder.path(), known);
            assert_eq!(again, Some(digest_of_file(folder.path())), "{what}");
            known = again;
            assert_eq!(ensured(folder.path(), known), None, "{what}");
        }
    }

    #[test]
    fn file_that_cannot_be_replaced_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(NAME)).unwrap();
        let failed = OperatorToken::of(folder.path()).ensure(None).unwrap_err();
        assert!(failed.detail.contains("operator-token") && failed.detail.contains("start the host again"));
    }
}
