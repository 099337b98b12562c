//! Compiled components on disk, so that a start compiles nothing.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use flowhost_model::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::config::WASMTIME_VERSION;

/// An artifact's file begins with the SHA-256 of the rest: wasmtime does not notice flipped bits.
const CHECKSUM_BYTES: usize = 32;

/// A folder of compiled components that only this host writes.
///
/// A file is named by the component's digest and by everything that its code depends on: the engine's settings, this
/// machine's processor and the wasmtime release. One that is stale or damaged is a miss.
#[derive(Clone, Debug)]
pub struct ArtifactCache {
    folder: PathBuf,
    /// Names the engine; the same for all artifacts that it can load.
    engine_key: String,
}

impl ArtifactCache {
    /// Opens or makes the folder and removes what another engine left there.
    pub(crate) fn open(folder: &Path, engine: &wasmtime::Engine) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if others_may_write(&fs::metadata(folder)?) {
            tracing::warn!(
                folder = %folder.display(),
                "others may write where compiled components are kept, which are native code: the folder was closed to them, \
                 and all components are compiled again"
            );
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
            remove_files(folder, |_| true)?;
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine_key = format!("{WASMTIME_VERSION}-{:016x}", hasher.finish());
        let cache = Self { folder: folder.to_owned(), engine_key };
        cache.remove_foreign()?;
        Ok(cache)
    }

    /// Where unfinished files of the compiler go: on the same file system, so that a rename finishes them.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is an artifact of this component, whole or not.
    pub(crate) fn contains(&self, digest: Digest) -> bool {
        self.path(digest).exists()
    }

    /// The component, if its artifact is here and whole.
    pub(crate) fn load(&self, engine: &wasmtime::Engine, digest: Digest) -> Option<Component> {
        let mut opened = fs::File::open(self.path(digest)).ok()?;
        if others_may_write(&opened.metadata().ok()?) {
            tracing::warn!(%digest, "an artifact that others may write was ignored; the component is compiled again");
            return None;
        }
        let mut file = Vec::new();
        opened.read_to_end(&mut file).ok()?;
        let (checksum, artifact) = file.split_at_checked(CHECKSUM_BYTES)?;
        if Sha256::digest(artifact).as_slice() != checksum {
            tracing::warn!(%digest, "a damaged artifact was ignored; the component is compiled again");
            return None;
        }
        // SAFETY: the bytes are what `store` wrote, in a folder that belongs to this host, for an engine of the same
        // settings and release.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(engine, artifact) };
        component.inspect_err(|error| tracing::warn!(%digest, %error, "an artifact was ignored")).ok()
    }

    /// Keeps an artifact. A file appears whole or not at all.
    pub(crate) fn store(&self, digest: Digest, artifact: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&Sha256::digest(artifact))?;
        file.write_all(artifact)?;
        file.persist(self.path(digest))?;
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{}.{}.artifact", HEXLOWER.encode(&digest.0), self.engine_key))
    }

    fn remove_foreign(&self) -> io::Result<()> {
        let own = format!(".{}.artifact", self.engine_key);
        remove_files(&self.folder, |name| !name.ends_with(&own))
    }
}

/// Whether others than the owner may write a file or a folder.
fn others_may_write(metadata: &fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o022 != 0
}

/// Removes the files of a folder whose names are meant.
fn remove_files(folder: &Path, is_meant: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_meant(&entry.file_name().to_string_lossy()) && !entry.file_type()?.is_dir() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
