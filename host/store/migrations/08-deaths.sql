-- How often in a row the host died while the execution ran, as far as that can be known, without the execution having made
-- progress in between.
ALTER TABLE execution ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
