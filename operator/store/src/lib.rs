//! The database: PostgreSQL and SQLite, migrations, history and logs.
