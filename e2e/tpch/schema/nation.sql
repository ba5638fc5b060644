CREATE TABLE IF NOT EXISTS nation (
    n_nationkey BIGINT NOT NULL,
    n_name VARCHAR(25) NOT NULL,
    n_regionkey BIGINT NOT NULL,
    n_comment VARCHAR(152) NOT NULL
)
DUPLICATE KEY(n_nationkey)
DISTRIBUTED BY HASH(n_nationkey) BUCKETS 1
