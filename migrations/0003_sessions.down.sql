ALTER TABLE workers DROP COLUMN renewed_at, DROP COLUMN steady_since;
