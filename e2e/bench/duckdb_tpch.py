"""Times the TPC-H queries in DuckDB: duckdb_tpch.py DATA QUERIES RUNS prints {"query": [seconds, ...]}.

The tables are loaded first, as on the other side; each query runs once more than it is timed, and its rows are fetched.
"""

import json
import pathlib
import sys
import time

import duckdb

data, queries, runs = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
database = duckdb.connect()
for table in sorted(path.name for path in data.iterdir() if path.is_dir()):
    database.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{data}/{table}/*.parquet')")
seconds = {}
for query in sorted(queries.glob("q*.sql")):
    text, took = query.read_text(), []
    for _ in range(runs + 1):
        began = time.perf_counter()
        database.execute(text).fetchall()
        took.append(time.perf_counter() - began)
    seconds[query.stem[1:]] = took[1:]
print(json.dumps(seconds))
