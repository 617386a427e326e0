SET LOCAL lock_timeout = '300ms';
DROP FUNCTION refuse_key_used(text, timestamptz);
