-- Clicks and conversions as their senders told them. An event is known by (key_id, event_id); the
-- writer keeps it unique with event_key, a hash of both, because an index costs 80 bytes a row.
CREATE TABLE events (
    received_at TIMESTAMPTZ NOT NULL,
    ts TIMESTAMPTZ NOT NULL,
    event_key UBIGINT NOT NULL,
    key_id VARCHAR NOT NULL,
    event_id VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    user_id VARCHAR,
    network VARCHAR,
    program VARCHAR,
    click_id VARCHAR,
    sub_ids MAP(VARCHAR, VARCHAR),
    country VARCHAR,
    device VARCHAR,
    page VARCHAR,
    txid VARCHAR,
    sale_amount DECIMAL(18, 6),
    commission DECIMAL(18, 6),
    currency VARCHAR,
    status VARCHAR
);

CREATE VIEW clicks AS
SELECT
    ts, received_at, key_id, event_id, user_id, network, program, click_id, sub_ids, country,
    device, page
FROM events
WHERE type = 'click';

-- One row for each series and minute or hour; ts is where the bucket begins. NaN is not counted.
-- buckets, for latencies only: how many values v were in bucket floor(8 * log2(v)), those of zero
-- and less in -32768.
CREATE TABLE samples_minute (
    series_id UBIGINT NOT NULL,
    ts TIMESTAMPTZ NOT NULL,
    count UBIGINT NOT NULL,
    sum DOUBLE NOT NULL,
    min DOUBLE NOT NULL,
    max DOUBLE NOT NULL,
    last DOUBLE NOT NULL,
    last_ts TIMESTAMPTZ NOT NULL,
    buckets MAP(SMALLINT, UBIGINT)
);

CREATE TABLE samples_hour (
    series_id UBIGINT NOT NULL,
    ts TIMESTAMPTZ NOT NULL,
    count UBIGINT NOT NULL,
    sum DOUBLE NOT NULL,
    min DOUBLE NOT NULL,
    max DOUBLE NOT NULL,
    last DOUBLE NOT NULL,
    last_ts TIMESTAMPTZ NOT NULL,
    buckets MAP(SMALLINT, UBIGINT)
);

-- How far each level has come: buckets before rolled_until are there, rows before kept_since have
-- been deleted by retention (NULL: none has).
CREATE TABLE rollup_state (
    level VARCHAR NOT NULL,
    rolled_until TIMESTAMPTZ,
    kept_since TIMESTAMPTZ
);

INSERT INTO rollup_state
VALUES ('raw', NULL, NULL), ('minute', NULL, NULL), ('hour', NULL, NULL);

UPDATE rollup_state
SET rolled_until = date_trunc(level, coalesce((SELECT min(ts) FROM samples), now()))
WHERE level <> 'raw';

-- Minutes that got a row after they had been rolled up, and wait to be computed again.
CREATE TABLE rollup_late (
    series_id UBIGINT NOT NULL,
    ts TIMESTAMPTZ NOT NULL
);

-- Until when a table's days have been put in order (series by series), which halves their size.
CREATE TABLE sorted_days (
    name VARCHAR NOT NULL,
    until TIMESTAMPTZ
);

INSERT INTO sorted_days VALUES ('samples', NULL), ('samples_minute', NULL);
