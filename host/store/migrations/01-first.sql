-- The number of the last write of records: one row.
CREATE TABLE revision (
    value INTEGER NOT NULL
) STRICT;

INSERT INTO revision (value) VALUES (0);

-- What all records share, and the type's own part as JSON in `body`.
CREATE TABLE record (
    id          BLOB PRIMARY KEY NOT NULL,
    record_type TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    project_id  BLOB,
    bundle_id   BLOB,
    is_readonly INTEGER NOT NULL,
    created_at  INTEGER NOT NULL, -- microseconds since 1970, as all instants here
    created_by  BLOB,
    modified_at INTEGER NOT NULL,
    modified_by BLOB,
    deleted_at  INTEGER, -- null where it is not in the trash
    deleted_by  BLOB,
    revision    INTEGER NOT NULL,
    body        TEXT NOT NULL
) STRICT;

-- A record in the trash leaves its name to others.
CREATE UNIQUE INDEX record_by_name ON record (record_type, name) WHERE deleted_at IS NULL;
-- For lists that hold what is in the trash.
CREATE INDEX record_by_type ON record (record_type, name, id);
CREATE INDEX record_by_revision ON record (revision);

-- Records that are gone, so that other readers of the changes learn of it.
CREATE TABLE deleted_record (
    id          BLOB PRIMARY KEY NOT NULL,
    record_type TEXT NOT NULL,
    revision    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX deleted_record_by_revision ON deleted_record (revision);

-- What happened to records. It outlives them, so that it can be told who deleted one, and why.
CREATE TABLE record_history (
    seq            INTEGER PRIMARY KEY,
    record_id      BLOB NOT NULL,
    revision       INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    by             BLOB,
    operation      INTEGER NOT NULL, -- 0 created 1 updated 2 trashed 3 restored 4 deleted
    commit_message TEXT
) STRICT;

CREATE INDEX record_history_by_record ON record_history (record_id, seq);

-- When identities were last active.
CREATE TABLE activity (
    identity BLOB PRIMARY KEY NOT NULL,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Bytes named by their digest, in chunks, so that no value is larger than SQLite and memory like.
CREATE TABLE blob (
    key    INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    size   INTEGER NOT NULL
) STRICT;

CREATE TABLE blob_chunk (
    blob  INTEGER NOT NULL REFERENCES blob (key) ON DELETE CASCADE,
    chunk INTEGER NOT NULL, -- counted from 0
    bytes BLOB NOT NULL,
    PRIMARY KEY (blob, chunk)
) STRICT;

CREATE TABLE flow_version (
    flow_id    BLOB NOT NULL REFERENCES record (id) ON DELETE CASCADE,
    version    INTEGER NOT NULL, -- counted from 1 within the flow
    blob       INTEGER NOT NULL REFERENCES blob (key),
    size       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by BLOB,
    PRIMARY KEY (flow_id, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX flow_version_by_blob ON flow_version (blob);

-- Executions. The flow and the webhook may be gone, so they are no foreign keys and their names are kept here.
CREATE TABLE execution (
    seq                   INTEGER PRIMARY KEY,
    id                    BLOB NOT NULL, -- a UUID of version 7: ids sort by the time of admission
    status                INTEGER NOT NULL, -- 0 SCHEDULED 1 RUNNING 2 WAITING 3 PAUSED 4 ENDED_SUCCESS 5 ENDED_ERROR 6 ENDED_CANCELLED
    flow_id               BLOB NOT NULL,
    flow_name             TEXT NOT NULL,
    flow_version          INTEGER NOT NULL,
    flow_digest           BLOB NOT NULL,
    webhook_id            BLOB,
    webhook_name          TEXT,
    project_id            BLOB,
    bundle_id             BLOB,
    created_by            BLOB,
    user_id               BLOB,
    status_message        TEXT,
    failure               TEXT, -- JSON
    is_productive         INTEGER NOT NULL,
    is_durable            INTEGER NOT NULL,
    attempt               INTEGER NOT NULL,
    created_at            INTEGER NOT NULL,
    started_at            INTEGER,
    ended_at              INTEGER,
    input_value           TEXT NOT NULL, -- JSON, verbatim
    output_value          TEXT NOT NULL, -- JSON, verbatim
    -- What it takes to run it again; null once it has ended.
    seed                  BLOB,
    deadline              INTEGER,
    request_method        TEXT,
    request_path          TEXT,
    request_query         TEXT,
    request_headers       TEXT, -- JSON: [[name, value], …], the value's bytes as the characters U+0000 to U+00FF
    request_body          BLOB,
    request_body_is_exact INTEGER
) STRICT;

-- Each list in the order of admission is a scan of one of these, or a merge of such scans, one for each status: so a list of
-- a rare status is as fast as one of a common status.
CREATE UNIQUE INDEX execution_by_id ON execution (id);
CREATE INDEX execution_by_status ON execution (status, id);
CREATE INDEX execution_by_flow ON execution (flow_id, status, id);
CREATE INDEX execution_by_webhook ON execution (webhook_id, status, id) WHERE webhook_id IS NOT NULL;
-- For those who may see a few projects only.
CREATE INDEX execution_by_project ON execution (project_id, status, id) WHERE project_id IS NOT NULL;

-- How far `created_at` is from the time in the id, in microseconds, at most: one row. By it a condition on `created_at`
-- becomes a range of ids. Only what is beyond the usual distance (see `skew.rs`) changes it.
CREATE TABLE execution_skew (
    earliest INTEGER NOT NULL,
    latest   INTEGER NOT NULL
) STRICT;

INSERT INTO execution_skew (earliest, latest) VALUES (-50000, 50000);

CREATE TABLE execution_log (
    execution INTEGER NOT NULL REFERENCES execution (seq) ON DELETE CASCADE,
    line      INTEGER NOT NULL, -- counted from 0
    at        INTEGER NOT NULL,
    level     INTEGER NOT NULL, -- 0 trace 1 debug 2 info 3 warn 4 error
    source    INTEGER NOT NULL, -- 0 flow 1 stdout 2 stderr 3 host
    message   TEXT NOT NULL,
    fields    TEXT, -- JSON
    PRIMARY KEY (execution, line)
) STRICT, WITHOUT ROWID;

-- Values of the host's own, such as signing keys.
CREATE TABLE host_value (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
