//! The functions of a log: many ids may stand for one of them.

use rustc_hash::FxHashMap;

use crate::event::{Function, FunctionId};
use crate::functions::Row;
use crate::log::rows::function_of;
use crate::log::schema::FunctionRows;
use crate::report::{FunctionReport, NO_FRAME};

/// `co_flags` of coroutines: written with `async def`, made of a generator by `types.coroutine`, asynchronous generators.
const AWAITS: u32 = 0x80 | 0x100 | 0x200;

/// A function of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Number of its process in the recording's description.
    pub process: usize,
    /// Process id.
    pub pid: u32,
    /// Its names; `None`: its row of the log is missing. Escape where shown.
    pub function: Option<Function>,
    /// `co_flags`.
    pub code_flags: u32,
}

impl Named {
    /// Is it a coroutine or an asynchronous generator?
    pub fn is_coroutine(&self) -> bool {
        self.code_flags & AWAITS != 0
    }

    /// Is it a function, not what stands for none?
    pub fn is_function(&self) -> bool {
        let is_function = |of: &Function| FunctionReport::is_of_a_function(&of.name, &of.file, of.line);
        self.function.as_ref().is_none_or(is_function)
    }
}

/// All functions of a log, by [`Row`]: one per process, name, file and line.
#[derive(Clone, Debug, Default)]
pub struct Names {
    by_id: FxHashMap<FunctionId, Row>,
    identities: FxHashMap<(usize, Function), Row>,
    rows: Vec<Named>,
}

impl Names {
    /// Takes in a segment of the table.
    pub(super) fn add(&mut self, segment: &FunctionRows) {
        for row in segment.iter() {
            let process = usize::try_from(row.process).unwrap_or(0);
            let at = self.named((process, row.pid as u32), function_of(&row), row.code_flags as u32);
            self.by_id.insert(row.function_id as u32, at);
        }
    }

    fn named(&mut self, (process, pid): (usize, u32), function: Function, code_flags: u32) -> Row {
        let next = self.rows.len() as Row;
        let at = *self.identities.entry((process, function.clone())).or_insert(next);
        if at == next {
            self.rows.push(Named { process, pid, function: Some(function), code_flags });
        }
        at
    }

    /// The row of a process for what its threads did while they ran no Python function.
    pub(super) fn no_frame(&mut self, process: usize, pid: u32) -> Row {
        self.named((process, pid), Function { name: NO_FRAME.to_owned(), file: String::new(), line: 0 }, 0)
    }

    /// The row of a function id, if it has names.
    pub(super) fn row(&self, id: FunctionId) -> Option<Row> {
        self.by_id.get(&id).copied()
    }

    /// Gives an id without names a row.
    pub(super) fn add_unnamed(&mut self, id: FunctionId, process: usize, pid: u32) -> Row {
        self.rows.push(Named { process, pid, function: None, code_flags: 0 });
        let row = (self.rows.len() - 1) as Row;
        self.by_id.insert(id, row);
        row
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The function of a row.
    ///
    /// # Panics
    /// If the row is not of this log.
    pub fn get(&self, row: Row) -> &Named {
        &self.rows[row as usize]
    }

    /// For each row, the first one of the same function in any process: what stands for it where processes are one.
    pub fn merged(&self) -> Vec<Row> {
        let mut first: FxHashMap<&Function, Row> = FxHashMap::default();
        let rows = (0..).zip(&self.rows);
        rows.map(|(row, named)| {
            named.function.as_ref().map_or(row, |function| *first.entry(function).or_insert(row))
        })
        .collect()
    }

    /// All of them, in the order of their rows.
    pub fn iter(&self) -> impl Iterator<Item = &Named> {
        self.rows.iter()
    }
}
