//! Names for function ids. One function may get several ids, because code objects come and go: all sums go by
//! [`Row`], one per process, name, file and line.

use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::event::{Function, FunctionId};
use crate::filter::FunctionFilter;

/// Name of the row for functions beyond those that the kernel side has room for, where it adds calls up.
pub const OTHERS: &str = "<other functions>";

/// A function in this run's sums: the index of its row.
pub type Row = u32;

/// Index of names among all that were heard of.
type Name = u32;

/// All functions heard of. Processes come and go, each with a row for each of its functions: names that several have are kept
/// once.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    filter: FunctionFilter,
    ids: FxHashMap<FunctionId, Option<Row>>,
    names: IndexSet<Function, FxBuildHasher>,
    named: FxHashMap<(u32, Name), Row>,
    rows: Vec<RowOf>,
}

/// Whose row it is.
#[derive(Clone, Copy, Debug)]
struct RowOf {
    process: u32,
    name: Option<Name>,
}

impl Functions {
    /// No functions yet; frames of those that `filter` does not want will have no row.
    pub fn new(filter: FunctionFilter) -> Self {
        Self { filter, ..Self::default() }
    }

    /// A function's names have come. False: it is not wanted, or was known already.
    pub fn announce(&mut self, id: FunctionId, process: usize, function: &Function) -> bool {
        let unnamed = match self.ids.get(&id) {
            None => None,
            Some(&Some(row)) if self.rows[row as usize].name.is_none() => Some(row),
            Some(_) => return false,
        };
        if !self.filter.matches(function) {
            self.ids.insert(id, None);
            return false;
        }
        let row = match unnamed {
            // Its row is on stacks already: it stays, and the report adds it to others of the same name.
            Some(row) => {
                self.rows[row as usize].name = Some(self.name(function));
                row
            }
            None => self.named_row(process, function),
        };
        self.ids.insert(id, Some(row));
        true
    }

    /// The row of a function id; `None` if its frames are not wanted.
    pub fn row(&mut self, id: FunctionId, process: usize) -> Option<Row> {
        if let Some(&row) = self.ids.get(&id) {
            return row;
        }
        // Without its names a filter can't have matched it, but they may come yet.
        let row = self.filter.is_all().then(|| self.push(process, None))?;
        self.ids.insert(id, Some(row));
        Some(row)
    }

    /// The row of a process for functions that the kernel side had no room for.
    pub fn others(&mut self, process: usize) -> Row {
        self.named_row(process, &Function { name: OTHERS.into(), file: String::new(), line: 0 })
    }

    /// All rows, in order: the number of its process, as [`Functions::announce`] was given it, and its function. `None`: called,
    /// but never announced.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (usize, Option<&Function>)> {
        self.rows.iter().map(|row| (row.process as usize, row.name.map(|name| &self.names[name as usize])))
    }

    fn named_row(&mut self, process: usize, function: &Function) -> Row {
        let name = self.name(function);
        let identity = (process as u32, name);
        if let Some(&row) = self.named.get(&identity) {
            return row;
        }
        let row = self.push(process, Some(name));
        self.named.insert(identity, row);
        row
    }

    fn name(&mut self, function: &Function) -> Name {
        let known = self.names.get_index_of(function);
        known.unwrap_or_else(|| self.names.insert_full(function.clone()).0) as Name
    }

    fn push(&mut self, process: usize, name: Option<Name>) -> Row {
        self.rows.push(RowOf { process: process as u32, name });
        (self.rows.len() - 1) as Row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str) -> Function {
        Function { name: name.into(), file: "m.py".into(), line: 3 }
    }

    #[test]
    fn ids_of_the_same_name_in_one_process_share_a_row() {
        let mut functions = Functions::default();
        for (id, process, name) in [(1, 0, "f"), (2, 0, "f"), (3, 1, "f"), (4, 0, "g")] {
            assert!(functions.announce(id, process, &function(name)));
        }
        let rows: Vec<_> = (1..=4).map(|id| functions.row(id, 0)).collect();
        assert_eq!(rows, [Some(0), Some(0), Some(1), Some(2)]);
        let (f, g) = (function("f"), function("g"));
        assert_eq!(functions.rows().collect::<Vec<_>>(), [(0, Some(&f)), (1, Some(&f)), (0, Some(&g))]);
    }

    #[test]
    fn a_known_id_keeps_its_first_name() {
        let mut functions = Functions::default();
        assert!(functions.announce(1, 0, &function("f")));
        assert!(!functions.announce(1, 0, &function("g")));
        assert_eq!(functions.rows().len(), 1);
    }

    #[test]
    fn a_name_that_comes_late_goes_to_the_row_in_use() {
        let mut functions = Functions::default();
        assert_eq!(functions.row(9, 0), Some(0));
        assert!(functions.announce(9, 0, &function("f")));
        assert_eq!(functions.row(9, 0), Some(0));
        assert_eq!(functions.rows().next(), Some((0, Some(&function("f")))));
    }

    #[test]
    fn unwanted_and_unnamed_functions_have_no_row_under_a_filter() {
        let mut functions = Functions::new(FunctionFilter::new(&["f".into()], &[]).unwrap());
        assert!(functions.announce(1, 0, &function("f")));
        assert!(!functions.announce(2, 0, &function("g")));
        assert_eq!([1, 2, 3].map(|id| functions.row(id, 0)), [Some(0), None, None]);
    }
}
