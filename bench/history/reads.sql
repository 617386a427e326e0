-- The look-ups and lists of the API, over what has ended.
SELECT id AS known FROM shape.known OFFSET floor(random() * 1000) LIMIT 1 \gset
SELECT * FROM shape.get(':known');
SELECT count(*) FROM shape.list_status();
SELECT count(*) FROM shape.list_type();
SELECT count(*) FROM shape.list_status_type();
