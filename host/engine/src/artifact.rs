//! Compiled components on disk, so that a start compiles nothing.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use data_encoding::HEXLOWER;
use flowhost_model::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::config::WASMTIME_VERSION;
use crate::error::CompileError;
use crate::host_memory;

/// An artifact's file begins with the SHA-256 of the rest: wasmtime does not notice flipped bits.
const CHECKSUM_BYTES: usize = 32;

/// A folder of compiled components that only this host writes.
///
/// A file is named by the component's digest and by everything that its code depends on: the engine's settings, this
/// machine's processor and the wasmtime release. One that is stale or damaged is a miss.
///
/// Nothing fails because the folder cannot be used: programs are then used from memory, and compiled again after the next
/// start. The log says so once, and once more when the folder can be used again.
#[derive(Clone, Debug)]
pub struct ArtifactCache {
    folder: PathBuf,
    /// Names the engine; the same for all artifacts that it can load.
    engine_key: String,
    /// Whether the last artifact could not be kept. Written by whichever thread keeps one.
    is_failing: Arc<AtomicBool>,
}

impl ArtifactCache {
    /// Opens or makes the folder and removes what another engine, or a process that was killed, left there.
    pub(crate) fn open(folder: &Path, engine: &wasmtime::Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine_key = format!("{WASMTIME_VERSION}-{:016x}", hasher.finish());
        let cache = Self { folder: folder.to_owned(), engine_key, is_failing: Arc::default() };
        let opened = cache.make_folder().and_then(|()| cache.close_to_others()).and_then(|()| cache.remove_foreign());
        if let Err(error) = opened {
            cache.note_failure(&error);
        }
        cache
    }

    /// Whether there is an artifact of this component, whole or not.
    pub(crate) fn contains(&self, digest: Digest) -> bool {
        self.path(digest).exists()
    }

    /// Returns the component, or `None` if its artifact is not here or not whole.
    ///
    /// # Errors
    /// [`CompileError::Exhausted`] if the host has no memory for it.
    pub(crate) fn load(&self, engine: &wasmtime::Engine, digest: Digest) -> Result<Option<Component>, CompileError> {
        let file = match self.read(digest) {
            Ok(Some(file)) => file,
            Ok(None) => {
                tracing::warn!(%digest, "an artifact that others may write was ignored; the component is compiled again");
                return Ok(None);
            }
            Err(error) if host_memory::is_io_exhausted(&error) => {
                return Err(CompileError::Exhausted(error.to_string()));
            }
            Err(_) => return Ok(None),
        };
        let Some((checksum, artifact)) = file.split_at_checked(CHECKSUM_BYTES) else { return Ok(None) };
        if Sha256::digest(artifact).as_slice() != checksum {
            tracing::warn!(%digest, "a damaged artifact was ignored; the component is compiled again");
            return Ok(None);
        }
        // SAFETY: the bytes are what `store` wrote, in a folder that belongs to this host, for an engine of the same
        // settings and release.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(engine, artifact) };
        match component {
            Ok(component) => Ok(Some(component)),
            // To compile it again would take more memory still.
            Err(error) if host_memory::is_exhausted(&error) => Err(CompileError::Exhausted(error.to_string())),
            Err(error) => {
                tracing::warn!(%digest, %error, "an artifact was ignored");
                Ok(None)
            }
        }
    }

    /// Returns the file's bytes, or `None` if others may write it: it is native code.
    fn read(&self, digest: Digest) -> io::Result<Option<Vec<u8>>> {
        let mut file = fs::File::open(self.path(digest))?;
        if others_may_write(&file.metadata()?) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Keeps an artifact if the folder can be used. A file appears whole or not at all.
    pub(crate) fn store(&self, digest: Digest, artifact: &[u8]) {
        match self.write(digest, artifact) {
            Ok(()) if self.is_failing.swap(false, Ordering::Relaxed) => {
                tracing::info!(folder = %self.folder.display(), "compiled programs are kept again");
            }
            Ok(()) => {}
            Err(error) => self.note_failure(&error),
        }
    }

    fn write(&self, digest: Digest, artifact: &[u8]) -> io::Result<()> {
        // It may have been deleted while the host runs.
        self.make_folder()?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&Sha256::digest(artifact))?;
        file.write_all(artifact)?;
        file.persist(self.path(digest))?;
        Ok(())
    }

    fn make_folder(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// Empties a folder that others could have written, and lets them write there no more.
    fn close_to_others(&self) -> io::Result<()> {
        if !others_may_write(&fs::metadata(&self.folder)?) {
            return Ok(());
        }
        tracing::warn!(
            folder = %self.folder.display(),
            "others may write where compiled components are kept, which are native code: the folder was closed to them, and \
             all components are compiled again"
        );
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700))?;
        self.remove_files(|_| true)
    }

    fn note_failure(&self, error: &io::Error) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                folder = %self.folder.display(),
                %error,
                "compiled programs cannot be kept: they are used from memory, and compiled again after the next start; \
                 make the folder writable, or make room on its disk"
            );
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{}.{}.artifact", HEXLOWER.encode(&digest.0), self.engine_key))
    }

    /// Removes every other file.
    fn remove_foreign(&self) -> io::Result<()> {
        let own = format!(".{}.artifact", self.engine_key);
        self.remove_files(|name| !name.ends_with(&own))
    }

    /// Removes the files with such names, and tries them all.
    fn remove_files(&self, is_meant: impl Fn(&str) -> bool) -> io::Result<()> {
        let mut removed = Ok(());
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if is_meant(&entry.file_name().to_string_lossy()) && !entry.file_type()?.is_dir() {
                removed = removed.and(fs::remove_file(entry.path()));
            }
        }
        removed
    }
}

/// Whether others than the owner may write a file or a folder.
fn others_may_write(metadata: &fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o022 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const DIGEST: Digest = Digest([7; 32]);

    fn engine() -> wasmtime::Engine {
        wasmtime::Engine::new(&config::base()).unwrap()
    }

    fn artifact(engine: &wasmtime::Engine) -> Vec<u8> {
        engine.precompile_component(b"\0asm\x0d\0\x01\0").unwrap()
    }

    #[test]
    fn artifact_is_loaded_until_a_bit_flips() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), engine());
        let cache = ArtifactCache::open(folder.path(), &engine);
        assert!(cache.load(&engine, DIGEST).unwrap().is_none());
        cache.store(DIGEST, &artifact(&engine));
        assert!(cache.contains(DIGEST) && cache.load(&engine, DIGEST).unwrap().is_some());
        let mut bytes = fs::read(cache.path(DIGEST)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(cache.path(DIGEST), bytes).unwrap();
        assert!(cache.load(&engine, DIGEST).unwrap().is_none());
    }

    #[test]
    fn files_of_others_are_removed_at_the_start() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), engine());
        let cache = ArtifactCache::open(folder.path(), &engine);
        cache.store(DIGEST, &artifact(&engine));
        for left in [".tmpAb12cD", "0707.47.0.0-00.artifact"] {
            fs::write(folder.path().join(left), "left behind").unwrap();
        }
        fs::create_dir(folder.path().join("folder")).unwrap();
        let cache = ArtifactCache::open(folder.path(), &engine);
        assert!(cache.contains(DIGEST));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(!cache.is_failing.load(Ordering::Relaxed));
    }

    #[test]
    fn folder_that_cannot_be_used_fails_nothing() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), engine());
        let place = folder.path().join("artifacts");
        fs::write(&place, "a file").unwrap();
        let cache = ArtifactCache::open(&place, &engine);
        cache.store(DIGEST, &artifact(&engine));
        assert!(cache.is_failing.load(Ordering::Relaxed) && !cache.contains(DIGEST));
        assert!(cache.load(&engine, DIGEST).unwrap().is_none());
        fs::remove_file(&place).unwrap();
        cache.store(DIGEST, &artifact(&engine));
        assert!(!cache.is_failing.load(Ordering::Relaxed) && cache.contains(DIGEST));
    }
}
