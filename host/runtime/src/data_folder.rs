//! Who may write the data folder.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::problem::{Code, Problem};

/// Checks that the records, the token and the native code of the host are not for all users of the machine to write. A folder that does not
/// exist yet is made for its owner alone.
///
/// # Errors
/// A problem if every user of the machine may write the folder.
pub(crate) fn check(folder: &Path) -> Result<(), Problem> {
    let mode = match fs::metadata(folder) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        // Opening it will say more.
        Err(_) => return Ok(()),
    };
    let shown = folder.display();
    if mode & 0o002 != 0 {
        let detail = format!(
            "every user of this machine may write the data folder {shown}, which holds tokens and native code; \
             close it with `chmod 700 {shown}`"
        );
        return Err(Problem::new(Code::HostError, detail));
    }
    if mode & 0o020 != 0 {
        tracing::warn!(folder = %shown, "the group of the data folder may write it, and so act as this host; `chmod g-w` ends that");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_that_all_users_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (mode, is_taken) in
            [(0o700, true), (0o755, true), (0o770, true), (0o777, false), (0o1777, false), (0o702, false)]
        {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let checked = check(folder.path());
            assert_eq!(checked.is_ok(), is_taken, "{mode:o}");
            assert!(checked.err().is_none_or(|problem| problem.detail.contains("chmod 700")));
        }
        assert!(check(&folder.path().join("new")).is_ok());
    }
}
