-- What the version's component says about itself, as JSON; none where it says nothing.
ALTER TABLE flow_version ADD COLUMN metadata TEXT;
