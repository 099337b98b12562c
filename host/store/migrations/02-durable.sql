-- Processes that own executions. An id is never given twice.
CREATE TABLE owner (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    lease_until INTEGER NOT NULL
) STRICT;

ALTER TABLE execution ADD COLUMN parent_id BLOB;
ALTER TABLE execution ADD COLUMN priority INTEGER NOT NULL DEFAULT 1; -- 0 low 1 normal 2 high
ALTER TABLE execution ADD COLUMN wake_at INTEGER; -- null unless it waits with a limit of time
ALTER TABLE execution ADD COLUMN wake_is_relative INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN queue_wait_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN run_time_us INTEGER NOT NULL DEFAULT 0;
-- What it takes to run it, as `seed` and those behind it.
ALTER TABLE execution ADD COLUMN actor_kind INTEGER; -- 0 webhook 1 user 2 propagated user
ALTER TABLE execution ADD COLUMN actor_id BLOB;
ALTER TABLE execution ADD COLUMN is_detached INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN concurrency_key TEXT;
ALTER TABLE execution ADD COLUMN concurrency_limit INTEGER;
ALTER TABLE execution ADD COLUMN owner INTEGER; -- null where it waits to be claimed, waits in the store, or has ended
ALTER TABLE execution ADD COLUMN is_cancelled INTEGER NOT NULL DEFAULT 0; -- somebody wished its end

-- What has not ended was owned by the process before this one.
INSERT INTO owner (lease_until) SELECT 0 WHERE EXISTS (SELECT 1 FROM execution WHERE status < 3);
UPDATE execution INDEXED BY execution_by_status SET owner = (SELECT id FROM owner) WHERE status < 3;

-- Each of these holds few rows, or is entered at the right place: what waits by the million is read by nobody who does not
-- ask for it. The conditions name the statuses by number, since queries must repeat them to the letter.
CREATE INDEX execution_by_parent ON execution (parent_id, status, id) WHERE parent_id IS NOT NULL;
CREATE INDEX execution_to_claim ON execution (priority DESC, id) WHERE status = 0 AND owner IS NULL;
CREATE INDEX execution_by_wake ON execution (wake_at, id, wake_is_relative)
    WHERE status = 2 AND owner IS NULL AND wake_at IS NOT NULL;
-- With what its condition is about, so that the index alone answers.
CREATE INDEX execution_waiting_in_development ON execution (id, user_id, status, owner, is_productive)
    WHERE status = 2 AND owner IS NULL AND is_productive = 0;
CREATE INDEX execution_by_owner ON execution (owner) WHERE owner IS NOT NULL AND status < 3;
CREATE INDEX execution_cancelled ON execution (id) WHERE is_cancelled = 1 AND status IN (2, 3);

-- What the flows of executions that have not ended asked of the world, and what they were told.
CREATE TABLE execution_journal (
    execution INTEGER NOT NULL REFERENCES execution (seq) ON DELETE CASCADE,
    entry     INTEGER NOT NULL, -- counted from 0
    at        INTEGER NOT NULL,
    call      TEXT NOT NULL,
    digest    BLOB NOT NULL,
    result    BLOB NOT NULL,
    PRIMARY KEY (execution, entry)
) STRICT, WITHOUT ROWID;

-- The children whose end somebody waits for in the store: a row for each that has not ended.
CREATE TABLE awaited (
    child       BLOB NOT NULL, -- an execution's id
    parent      INTEGER NOT NULL REFERENCES execution (seq) ON DELETE CASCADE,
    return_when INTEGER NOT NULL, -- 0 all ended 1 all succeeded 2 first ended
    PRIMARY KEY (child, parent)
) STRICT, WITHOUT ROWID;

CREATE INDEX awaited_by_parent ON awaited (parent);
