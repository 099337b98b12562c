//! The bytes of files, as stores give them.

/// Some of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePiece {
    /// The revision of the file's record at the moment of reading: what is read in pieces is of one file where it is the
    /// same for each.
    pub revision: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}
