SET LOCAL lock_timeout = '300ms';
DROP TABLE audit, keys, keys_version;
DROP FUNCTION change_keys_version();
