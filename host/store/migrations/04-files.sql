-- The bytes of files, in chunks of which all but the last are full: more bytes rewrite the last one only. They stay while
-- their record is in the trash.
CREATE TABLE file_chunk (
    file  BLOB NOT NULL REFERENCES record (id) ON DELETE CASCADE,
    chunk INTEGER NOT NULL, -- counted from 0
    bytes BLOB NOT NULL,
    PRIMARY KEY (file, chunk)
) STRICT;
