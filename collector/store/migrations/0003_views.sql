-- One row a minute. Ratios are from 0 to 1; NULL is what was not measured. Runs in a maintenance
-- window, and runs that say nothing about the target, count for nothing; without a critical target
-- every target counts.
CREATE VIEW platform_metrics AS
WITH counted AS (
    SELECT
        date_trunc('minute', ts) AS minute, name, type, verdict, duration_seconds, attempts,
        failed_attempts, critical,
        bool_or(critical) OVER (PARTITION BY date_trunc('minute', ts)) AS has_critical
    FROM probe_results
    WHERE NOT in_maintenance AND verdict <> 'unknown'
),
by_target AS (
    SELECT minute, name, avg(CAST(verdict = 'up' AS DOUBLE)) AS share
    FROM counted
    WHERE critical OR NOT has_critical
    GROUP BY ALL
),
uptime AS (
    SELECT minute, 100 * avg(share) AS uptime_percent FROM by_target GROUP BY ALL
),
runs AS (
    SELECT
        minute,
        1000 * avg(duration_seconds) FILTER (verdict = 'up' AND type = 'http') AS response_time_ms,
        sum(failed_attempts) / nullif(sum(attempts), 0) AS error_rate
    FROM counted
    GROUP BY ALL
),
host AS (
    SELECT
        m.ts AS minute,
        sum(m.last) FILTER (s.metric = 'platform_users') AS total_users,
        max(m.sum / m.count) FILTER (s.metric = 'system_cpu_utilization_ratio') AS cpu_usage,
        max(m.sum / m.count) FILTER (s.metric = 'system_memory_utilization_ratio') AS memory_usage,
        max(m.sum / m.count) FILTER (s.metric = 'system_filesystem_utilization_ratio') AS disk_usage
    FROM samples_minute AS m
    JOIN series AS s USING (series_id)
    WHERE s.metric IN (
        'platform_users', 'system_cpu_utilization_ratio', 'system_memory_utilization_ratio',
        'system_filesystem_utilization_ratio'
    )
    GROUP BY ALL
)
SELECT
    minute AS timestamp,
    uptime_percent, response_time_ms, error_rate, total_users, cpu_usage, memory_usage, disk_usage
FROM runs
FULL JOIN uptime USING (minute)
FULL JOIN host USING (minute);

-- What events say, by publisher and UTC day, until the ledger of the networks' own reports: of a
-- transaction that was told several times the latest version counts; declined and deleted ones
-- earn nothing. Currencies are never added up: a day with two has two rows, and its clicks stand
-- in the first.
CREATE VIEW affiliate_performance AS
WITH transactions AS (
    SELECT user_id, ts, currency, sale_amount, commission
    FROM events
    WHERE type = 'conversion'
    QUALIFY row_number() OVER (
        PARTITION BY key_id, user_id, network, txid ORDER BY ts DESC, received_at DESC, event_id
    ) = 1
    AND coalesce(status, 'unknown') NOT IN ('declined', 'deleted')
),
earned AS (
    SELECT
        user_id, CAST(ts AS DATE) AS date, currency, count(*) AS conversions,
        sum(sale_amount) AS revenue, sum(commission) AS commission
    FROM transactions
    GROUP BY ALL
),
numbered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY user_id, date ORDER BY currency NULLS LAST) AS place
    FROM earned
),
clicked AS (
    SELECT user_id, CAST(ts AS DATE) AS date, count(*) AS clicks, 1 AS place
    FROM events
    WHERE type = 'click'
    GROUP BY ALL
)
SELECT
    coalesce(c.user_id, n.user_id) AS user_id,
    coalesce(c.date, n.date) AS date,
    coalesce(c.clicks, 0) AS clicks,
    coalesce(n.conversions, 0) AS conversions,
    n.revenue,
    n.commission,
    n.currency
FROM clicked AS c
FULL JOIN numbered AS n
    ON c.user_id IS NOT DISTINCT FROM n.user_id AND c.date = n.date AND c.place = n.place;
