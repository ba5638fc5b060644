"""Computes the answers in tpch/answers with DuckDB, over Parquet files of the same generator (its wheel from PyPI).

    pip install duckdb==2.0.0 tpchgen-cli==3.0.0
    tpchgen-cli -s 1 --format=parquet --parts=1 --output-dir=data && python3 e2e/tpch/answers.py data e2e/tpch/answers/sf1
"""

import csv
import pathlib
import sys

import duckdb

data, answers = map(pathlib.Path, sys.argv[1:])
database = duckdb.connect(config={"memory_limit": "6GB"})
for table in sorted(path.name for path in data.iterdir() if path.is_dir()):
    database.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{data}/{table}/*.parquet')")
answers.mkdir(parents=True, exist_ok=True)
for query in sorted((pathlib.Path(__file__).parent / "queries").glob("q*.sql")):
    result = database.execute(query.read_text())
    with open(answers / f"{query.stem}.csv", "w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(column[0] for column in result.description)
        writer.writerows(["NULL" if value is None else value for value in row] for row in result.fetchall())
print(f"DuckDB {duckdb.__version__}: {len(list(answers.glob('q*.csv')))} answers in {answers}")
