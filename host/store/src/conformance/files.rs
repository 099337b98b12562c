//! The bytes of files.

use flowhost_model::{File, Record, RecordId, RecordType, Timestamp};

use super::{create, delete, replace, setting};
use crate::{Change, Error, FileContent, FilePiece, Store, Write};

/// More than a store keeps in one place, and no multiple of anything.
const LARGE: usize = 300_007;

fn file(size: usize) -> Record<File> {
    Record::new("file", None, File { size: size as u64, ..File::default() }, Timestamp::now()).unwrap()
}

/// Bytes of which no two neighbouring stretches are alike.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect()
}

fn whole(file: &Record<File>, bytes: &[u8]) -> Write {
    Write::FileContent { file: file.meta.id, content: FileContent::Whole(bytes.to_vec()) }
}

fn added(file: &Record<File>, size: usize, bytes: &[u8]) -> Write {
    let content = FileContent::Added { size: size as u64, bytes: bytes.to_vec() };
    Write::FileContent { file: file.meta.id, content }
}

async fn all(store: &dyn Store, id: RecordId) -> FilePiece {
    store.file_piece(id, 0, u64::MAX).await.unwrap().unwrap()
}

/// A file is read back as it was written, whole and in pieces, and as it was replaced.
pub async fn a_file_is_read_in_pieces(store: &dyn Store) {
    let content = bytes(LARGE);
    let mut file = file(LARGE);
    let first = store.write(vec![create(&file), whole(&file, &content)]).await.unwrap();
    assert_eq!(all(store, file.meta.id).await, FilePiece { revision: first, bytes: content.clone() });
    let end = LARGE as u64;
    for (offset, length) in [
        (0, 0),
        (0, 1),
        (1, 65_535),
        (1, 65_536),
        (65_535, 2),
        (65_536, 65_536),
        (100_000, 150_000),
        (end - 1, 1),
        (end - 1, u64::MAX),
        (end, 1),
        (u64::MAX, u64::MAX),
    ] {
        let piece = store.file_piece(file.meta.id, offset, length).await.unwrap().unwrap();
        let (from, until) = (offset.min(end) as usize, offset.saturating_add(length).min(end) as usize);
        assert!(piece.bytes == content[from..until], "{length} bytes from {offset} on");
    }
    for shorter in [65_536, 5, 0] {
        file.body.size = shorter as u64;
        let revision = store.record(file.meta.id).await.unwrap().unwrap().revision;
        let next = store.write(vec![replace(&file, revision), whole(&file, &content[..shorter])]).await.unwrap();
        let expected = FilePiece { revision: next, bytes: content[..shorter].to_vec() };
        assert_eq!(all(store, file.meta.id).await, expected);
    }
}

/// Bytes come behind those that are there, in additions of any size.
pub async fn a_file_grows(store: &dyn Store) {
    let content = bytes(LARGE);
    let mut file = file(0);
    let mut revision = store.write(vec![create(&file)]).await.unwrap();
    assert!(all(store, file.meta.id).await.bytes.is_empty());
    let mut size = 0;
    for more in [0, 1, 999, 64_536, 1, 65_535, 65_536, 65_537, 0, LARGE] {
        let until = LARGE.min(size + more);
        file.body.size = until as u64;
        let changes = vec![replace(&file, revision), added(&file, size, &content[size..until])];
        revision = store.write(changes).await.unwrap();
        size = until;
        assert!(all(store, file.meta.id).await == FilePiece { revision, bytes: content[..size].to_vec() }, "{size}");
    }
    assert_eq!(size, LARGE);
}

/// Nothing is added to another size than the expected, and nothing of that write is kept.
pub async fn a_file_grows_from_its_size_only(store: &dyn Store) {
    let mut file = file(65_536);
    let content = bytes(65_536);
    let first = store.write(vec![create(&file), whole(&file, &content)]).await.unwrap();
    for size in [0, 65_535, 65_537, 131_072] {
        file.body.size = 7;
        let changes = vec![replace(&file, first), added(&file, size, b"more")];
        assert!(matches!(store.write(changes).await, Err(Error::Conflict)));
        assert_eq!(all(store, file.meta.id).await, FilePiece { revision: first, bytes: content.clone() });
    }
}

/// A file in the trash keeps its bytes; one that is deleted does not, and what is no file has none.
pub async fn the_bytes_of_a_file_live_as_long_as_its_record(store: &dyn Store) {
    let mut file = file(3);
    let first = store.write(vec![create(&file), whole(&file, b"abc")]).await.unwrap();
    file.meta.deleted_at = Some(Timestamp(9));
    let second = store.write(vec![replace(&file, first)]).await.unwrap();
    assert_eq!(all(store, file.meta.id).await, FilePiece { revision: second, bytes: b"abc".to_vec() });
    file.meta.deleted_at = None;
    let third = store.write(vec![replace(&file, second)]).await.unwrap();
    assert_eq!(all(store, file.meta.id).await.bytes, b"abc");
    let fourth = store.write(vec![delete(file.meta.id, third)]).await.unwrap();
    assert_eq!(store.file_piece(file.meta.id, 0, 9).await.unwrap(), None);
    let gone = store.changes_since(third).await.unwrap();
    assert!(
        matches!(gone[..], [Change::Deleted { record_type: RecordType::File, revision, .. }] if revision == fourth)
    );
    assert!(matches!(store.write(vec![whole(&file, b"abc")]).await, Err(Error::NotFound)));

    // Nothing of the former comes back with a record of the same id.
    file.body.size = 0;
    store.write(vec![create(&file)]).await.unwrap();
    assert!(all(store, file.meta.id).await.bytes.is_empty());
    let other = setting("no file", 1);
    store.write(vec![create(&other)]).await.unwrap();
    assert_eq!(store.file_piece(other.meta.id, 0, 9).await.unwrap(), None);
    let onto = Write::FileContent { file: other.meta.id, content: FileContent::Whole(b"abc".to_vec()) };
    assert!(matches!(store.write(vec![onto]).await, Err(Error::NotFound)));
}
