//! Reading an event log with the tools its users have.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::workspace;

/// Runs a query of DuckDB over a log, `LOG` in it standing for the folder, and returns the rows.
pub fn duckdb(log: &Path, query: &str) -> Vec<Vec<Value>> {
    let code = "import duckdb, json, sys\n\
                print(json.dumps(duckdb.sql(sys.argv[1]).fetchall()))";
    python(code, &query.replace("LOG", &log.display().to_string()))
}

/// Reads one table of a log with pandas and returns its columns and the number of its rows.
pub fn pandas(log: &Path, table: &str) -> (Vec<String>, u64) {
    let code = "import pandas, json, sys\n\
                frame = pandas.read_parquet(sys.argv[1])\n\
                print(json.dumps([list(frame.columns), len(frame)]))";
    python(code, &log.join(table).display().to_string())
}

fn python<T: serde::de::DeserializeOwned>(code: &str, argument: &str) -> T {
    let interpreter = workspace().join("target/venv/bin/python");
    assert!(interpreter.exists(), "no readers of the log: run `cargo xtask setup`");
    let output = Command::new(interpreter).args(["-c", code, argument]).stdin(Stdio::null()).output();
    let output = output.expect("start the reader");
    assert!(output.status.success(), "{argument}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the reader prints JSON")
}
