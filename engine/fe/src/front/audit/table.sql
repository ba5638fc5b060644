CREATE TABLE starrocks_audit_tbl__ (
  `queryId` VARCHAR(64) COMMENT "Unique query ID",
  `timestamp` DATETIME NOT NULL COMMENT "Query start time, UTC",
  `queryType` VARCHAR(12) COMMENT "Query, DML, DDL or Other",
  `clientIp` VARCHAR(64) COMMENT "Client IP address",
  `user` VARCHAR(256) COMMENT "User who initiates the query",
  `authorizedUser` VARCHAR(512) COMMENT "Unique identifier of the user",
  `resourceGroup` VARCHAR(64) COMMENT "Resource group",
  `catalog` VARCHAR(32) COMMENT "Catalog name",
  `db` VARCHAR(256) COMMENT "Database that the query runs in",
  `state` VARCHAR(8) COMMENT "EOF, ERR or OK",
  `errorCode` VARCHAR(512) COMMENT "Error code",
  `queryTime` BIGINT COMMENT "Query latency in milliseconds",
  `scanBytes` BIGINT COMMENT "Size of the scanned data in bytes",
  `scanRows` BIGINT COMMENT "Row count of the scanned tables",
  `returnRows` BIGINT COMMENT "Row count of the result",
  `cpuCostNs` BIGINT COMMENT "CPU time of the query in nanoseconds",
  `memCostBytes` BIGINT COMMENT "Memory cost of the query in bytes",
  `stmtId` INT COMMENT "Number of the statement in its connection",
  `isQuery` TINYINT COMMENT "Whether the statement is a query",
  `feIp` VARCHAR(256) COMMENT "Frontend that ran it",
  `stmt` VARCHAR(1048576) COMMENT "Statement, without passwords",
  `digest` VARCHAR(32) COMMENT "Slow query digest",
  `planCpuCosts` DOUBLE COMMENT "CPU cost of the plan",
  `planMemCosts` DOUBLE COMMENT "Memory cost of the plan",
  `pendingTimeMs` BIGINT COMMENT "Time in a queue, in milliseconds",
  `candidateMvs` VARCHAR(65533) COMMENT "Candidate materialized views",
  `hitMVs` VARCHAR(65533) COMMENT "Materialized views that were used",
  `warehouse` VARCHAR(256) COMMENT "Warehouse that ran it"
) ENGINE = OLAP
DUPLICATE KEY (`queryId`, `timestamp`, `queryType`)
COMMENT "Audit log"
PARTITION BY RANGE (`timestamp`) ()
DISTRIBUTED BY HASH (`queryId`) BUCKETS 1
