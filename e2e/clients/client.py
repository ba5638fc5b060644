"""PyMySQL as an application uses it: one connection, asked whether it is alive before each statement. Texts both ways.

client.py HOST PORT USER DATABASE OPENING, with SPRINGTIDE_PASSWORD: see README.md beside this file for what goes in and out. OPENING is sent on each
new connection.
"""

import json
import os
import sys

import pymysql


class Client:
    def __init__(self, host, port, user, database, opening):
        self.options = {
            "host": host,
            "port": int(port),
            "user": user,
            "password": os.environ.get("SPRINGTIDE_PASSWORD", ""),
            "database": database or None,
            "init_command": opening or None,
            "autocommit": True,
            "connect_timeout": 10,
        }
        self.connection = None

    def run(self, sql):
        if self.connection is not None and not self.is_alive():
            self.close()
        if self.connection is None:
            self.connection = pymysql.connect(**self.options)
        with self.connection.cursor() as cursor:
            affected = cursor.execute(sql)
            if cursor.description is None:
                return {"affected": affected}
            return {"rows": [[as_text(value) for value in row] for row in cursor.fetchall()]}

    def is_alive(self):
        try:
            self.connection.ping(reconnect=False)
            return True
        except (pymysql.MySQLError, OSError):
            return False

    def close(self):
        connection, self.connection = self.connection, None
        if connection is not None and connection.open:
            connection.close()
        return {}


def as_text(value):
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def answer(client, request):
    try:
        if not request:
            return client.close()
        if len(request) > 1:
            raise ValueError("this client sends texts: a statement with values is for the others")
        return client.run(request[0])
    except pymysql.MySQLError as error:
        code, message = error.args if len(error.args) == 2 else (0, str(error))
        return {"error": {"code": code, "message": str(message)}}
    except Exception as error:  # whatever goes wrong is this statement's failure, and the next one is tried
        return {"error": {"code": 0, "message": f"{type(error).__name__}: {error}"}}


def main():
    client = Client(*sys.argv[1:6])
    for line in sys.stdin:
        print(json.dumps(answer(client, json.loads(line))), flush=True)


main()
