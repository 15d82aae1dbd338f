-- Series and samples: a label set is stored once, a sample is three numbers.
CREATE TABLE series (
    series_id UBIGINT PRIMARY KEY,
    metric VARCHAR NOT NULL,
    labels MAP(VARCHAR, VARCHAR) NOT NULL
);

CREATE TABLE samples (
    series_id UBIGINT NOT NULL,
    ts TIMESTAMPTZ NOT NULL,
    value DOUBLE NOT NULL
);

-- One row for each run of a probe. Phases are NULL where they were not reached.
CREATE TABLE probe_results (
    ts TIMESTAMPTZ NOT NULL,
    name VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    region VARCHAR NOT NULL,
    critical BOOLEAN NOT NULL,
    verdict VARCHAR NOT NULL,
    in_maintenance BOOLEAN NOT NULL,
    attempts UTINYINT NOT NULL,
    failed_attempts UTINYINT NOT NULL,
    duration_seconds DOUBLE NOT NULL,
    resolve_seconds DOUBLE,
    connect_seconds DOUBLE,
    tls_seconds DOUBLE,
    processing_seconds DOUBLE,
    transfer_seconds DOUBLE,
    lag_seconds DOUBLE NOT NULL,
    ip VARCHAR,
    status_code USMALLINT,
    certificate_expires_at TIMESTAMPTZ,
    reason VARCHAR,
    detail VARCHAR
);

-- What happened to incidents, in order; rows are only ever added.
CREATE TABLE incident_events (
    incident_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    at_ts TIMESTAMPTZ NOT NULL,
    name VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    detail VARCHAR NOT NULL
);

CREATE VIEW incidents AS
SELECT
    incident_id AS id,
    any_value(name) AS name,
    any_value(target) AS target,
    any_value(severity) AS severity,
    any_value(cause) AS cause,
    any_value(detail) FILTER (kind = 'opened') AS detail,
    min(at_ts) FILTER (kind = 'opened') AS opened_at,
    min(at_ts) FILTER (kind = 'acknowledged') AS acknowledged_at,
    min(at_ts) FILTER (kind = 'closed') AS closed_at
FROM incident_events
GROUP BY incident_id;
