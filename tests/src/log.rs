//! Reading an event log with the tools its users have.

use std::path::Path;

use serde_json::Value;

use crate::packages;

/// Runs a query of DuckDB over a log, `LOG` in it standing for the folder, and returns the rows.
pub fn duckdb(log: &Path, query: &str) -> Vec<Vec<Value>> {
    let code = "import duckdb, json, sys\n\
                print(json.dumps(duckdb.sql(sys.argv[1]).fetchall(), default=str))";
    packages::json(code, &[&query.replace("LOG", &log.display().to_string())])
}

/// Reads one table of a log with pandas and returns its columns and the number of its rows.
pub fn pandas(log: &Path, table: &str) -> (Vec<String>, u64) {
    let code = "import pandas, json, sys\n\
                frame = pandas.read_parquet(sys.argv[1])\n\
                print(json.dumps([list(frame.columns), len(frame)]))";
    packages::json(code, &[&log.join(table).display().to_string()])
}
