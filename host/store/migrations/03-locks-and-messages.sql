-- What executions wait for in the store are events, each named by 16 bytes: the end of a child and the answer to a message by
-- their ids, the release of a lock by the id that its row has for this.
ALTER TABLE awaited RENAME COLUMN child TO event;
ALTER TABLE awaited RENAME COLUMN parent TO waiter;
DROP INDEX awaited_by_parent;
CREATE INDEX awaited_by_waiter ON awaited (waiter);

-- Locks that executions hold, each until its end at the latest.
CREATE TABLE lock (
    name      TEXT PRIMARY KEY NOT NULL,
    event     BLOB NOT NULL, -- the same as long as the lock goes from one execution to the next
    execution INTEGER NOT NULL REFERENCES execution (seq) ON DELETE CASCADE,
    since     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX lock_by_execution ON lock (execution);

-- Messages that wait for their answer. They are records, and in each list of those; here they are as long as their
-- execution has not ended.
CREATE TABLE open_message (
    message   BLOB PRIMARY KEY NOT NULL, -- a record's id
    execution INTEGER NOT NULL REFERENCES execution (seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX open_message_by_execution ON open_message (execution);
