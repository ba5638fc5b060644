//! The server against real clients (mysql_async, MariaDB's `mysql`) and against bytes that no client sends.

mod fixture;
mod garbage;
mod login;
mod results;
mod stopping;
mod values;
mod wire;
