-- Each project has names of its own for locks and for keys of concurrency. What there is belongs to the project of the
-- execution that has it.
CREATE TABLE lock_of_project (
    name      TEXT NOT NULL,
    project   BLOB NOT NULL, -- no bytes where its executions are of no project
    event     BLOB NOT NULL, -- the same as long as the lock goes from one execution to the next
    execution INTEGER NOT NULL REFERENCES execution (seq) ON DELETE CASCADE,
    since     INTEGER NOT NULL,
    PRIMARY KEY (name, project)
) STRICT, WITHOUT ROWID;

INSERT INTO lock_of_project (name, project, event, execution, since)
SELECT lock.name, ifnull(execution.project_id, x''), lock.event, lock.execution, lock.since
FROM lock JOIN execution ON execution.seq = lock.execution;

-- Executions of other projects that wait for one of these find one of their own that is free: they go on and look.
UPDATE execution SET status = 0, owner = NULL, wake_at = NULL
WHERE status = 2 AND seq IN (
    SELECT own.seq FROM awaited
    JOIN lock ON lock.event = awaited.event
    JOIN execution AS holder ON holder.seq = lock.execution
    JOIN execution AS own ON own.seq = awaited.waiter
    WHERE own.project_id IS NOT holder.project_id
);
DELETE FROM awaited WHERE waiter IN (SELECT seq FROM execution WHERE status = 0);

DROP TABLE lock;
ALTER TABLE lock_of_project RENAME TO lock;
CREATE INDEX lock_by_execution ON lock (execution);

ALTER TABLE execution ADD COLUMN concurrency_project BLOB;
UPDATE execution SET concurrency_project = project_id WHERE concurrency_key IS NOT NULL;
