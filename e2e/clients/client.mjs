// mysql2 as an application uses it: a pool, whose connections are asked whether they are alive before they are lent, and prepared
// statements for all that is sent.
//
// client.mjs HOST PORT USER DATABASE OPENING, with SPRINGTIDE_PASSWORD: see README.md for what goes in and out. OPENING is sent on each
// new connection. NODE_PATH names the folder of mysql2.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const mysql = createRequire(import.meta.url)("mysql2/promise");
const [host, port, user, database, opening] = process.argv.slice(2);

function open() {
  return mysql.createPool({
    host,
    port: Number(port),
    user,
    password: process.env.SPRINGTIDE_PASSWORD,
    database: database || undefined,
    connectionLimit: 1,
    connectTimeout: 10_000,
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
  });
}

let pool = open();
const opened = new WeakSet();

async function lent() {
  for (;;) {
    const connection = await pool.getConnection();
    try {
      if (opened.has(connection.connection)) {
        await connection.ping();
      } else {
        if (opening) await connection.query(opening);
        opened.add(connection.connection);
      }
      return connection;
    } catch (error) {
      const wasNew = !opened.has(connection.connection);
      connection.destroy();
      if (wasNew) throw error;
    }
  }
}

async function run(sql, values) {
  const connection = await lent();
  try {
    const [result] = await connection.execute({ sql, rowsAsArray: true }, values);
    if (!Array.isArray(result)) return { affected: result.affectedRows };
    return { rows: result.map((row) => row.map((value) => (value === null ? null : String(value)))) };
  } finally {
    connection.release();
  }
}

async function close() {
  const before = pool;
  pool = open();
  await before.end();
  return {};
}

for await (const line of createInterface({ input: process.stdin })) {
  const [sql, ...values] = JSON.parse(line);
  let answer;
  try {
    answer = sql === undefined ? await close() : await run(sql, values);
  } catch (error) {
    answer = { error: { code: error.errno ?? 0, message: error.sqlMessage ?? String(error) } };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await pool.end().catch(() => {});
