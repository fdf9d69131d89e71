//! Call trees: from the outermost functions inward, or from the functions that weigh most outward to their callers.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::drawing::{Drawn, draw};
use super::{Body, By, Named, View, ViewOptions, thread_words, title, whole};
use crate::analysis::Source;
use crate::analysis::outline::{Frame, Node, Outline, Outliner, Shape, Weight};
use crate::report::Report;
use crate::units::{counted, percent, signed_bytes};

/// Packages named in one line.
const PACKAGES: usize = 3;

/// Call trees, one for each process, or one for all.
#[derive(Serialize)]
pub(super) struct Trees {
    /// What they are weighed by.
    of: &'static str,
    /// What that is counted in.
    unit: &'static str,
    #[serde(rename = "trees")]
    all: Vec<Tree>,
}

/// A call tree.
#[derive(Serialize)]
pub(super) struct Tree {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<usize>,
    /// What all calls weigh.
    total: u64,
    /// Callers before what they call, or in a tree of callers what was called before its callers.
    pub(super) nodes: Vec<TreeNode>,
    /// Nodes on top that weigh too little.
    pub(super) hidden: u64,
}

/// A node of a call tree.
#[derive(Serialize)]
pub(super) struct TreeNode {
    /// Where the node that it is below stands among all.
    pub(super) parent: Option<usize>,
    /// `function`, `library` (functions of libraries that call each other) or `thread`.
    kind: &'static str,
    #[serde(flatten)]
    pub(super) named: Named,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packages: Vec<String>,
    /// It calls itself, and that is in this node.
    recursive: bool,
    pub(super) calls: u64,
    pub(super) ended_larger: u64,
    #[serde(rename = "self")]
    own: u64,
    total: u64,
    pub(super) grew_bytes: u64,
    pub(super) shrank_bytes: u64,
    pub(super) stayed_bytes: i64,
    /// Nodes below it that weigh too little to be here, and what they weigh together.
    pub(super) hidden: u64,
    hidden_total: u64,
}

pub(super) fn show(source: &mut Source, options: &ViewOptions) -> Result<String> {
    let summary = source.summary(|_, _| {});
    let shape = shape(options);
    let maker = Outliner::new(&summary.tree, source.names(), shape);
    let measure = |sums: &_| options.of.of(sums);
    let outlines = if options.view == View::Callers {
        maker.outward(measure, options.table.limit)
    } else {
        maker.inward(measure, &[])
    };
    let keep = |weight: &Weight, whole: &Weight| {
        weight.amount > 0 && weight.amount as f64 >= options.min_share * whole.amount as f64
    };
    let order = |weight: &Weight| i128::from(weight.amount);
    let trees = outlines.iter().map(|outline| tree(outline, &maker, source, keep, order));
    let trees = Trees { of: options.of.name(), unit: options.of.unit(), all: trees.collect() };
    whole(&trees, &summary.report, options)
}

pub(super) fn shape(options: &ViewOptions) -> Shape {
    Shape { merge: options.merge, by_thread: options.by == By::Thread, all_frames: options.all_frames }
}

/// The nodes of a call tree that are worth showing, those on the same level by `order`, the largest first.
pub(super) fn tree(
    outline: &Outline,
    maker: &Outliner<'_>,
    source: &Source,
    keep: impl Fn(&Weight, &Weight) -> bool,
    order: impl Fn(&Weight) -> i128,
) -> Tree {
    let children = outline.children();
    let node = |number: u32| &outline.nodes[number as usize];
    let kept = |numbers: &[u32]| -> (Vec<u32>, u64, u64) {
        let (mut kept, hidden): (Vec<_>, Vec<_>) =
            numbers.iter().partition(|&&number| keep(&node(number).total, &outline.whole));
        kept.sort_by_key(|&number| order(&node(number).total));
        (kept, hidden.len() as u64, hidden.iter().map(|&number| node(number).total.amount).sum())
    };
    let (tops, hidden, _) = kept(&children[outline.nodes.len()]);
    let mut tree = Tree {
        process: outline.process,
        total: outline.whole.amount,
        nodes: Vec::new(),
        hidden: hidden + outline.left_out as u64,
    };
    let mut rest: Vec<(u32, Option<usize>)> = tops.into_iter().map(|top| (top, None)).collect();
    while let Some((number, parent)) = rest.pop() {
        let (below, hidden, hidden_total) = kept(&children[number as usize]);
        rest.extend(below.into_iter().map(|child| (child, Some(tree.nodes.len()))));
        tree.nodes.push(TreeNode { parent, hidden, hidden_total, ..tree_node(node(number), maker, source) });
    }
    tree
}

fn tree_node(node: &Node, maker: &Outliner<'_>, source: &Source) -> TreeNode {
    let (kind, named, packages) = match (node.row(), node.frame) {
        (Some(row), _) => ("function", Named::new(source.names().get(row).function.as_ref()), Vec::new()),
        (None, Frame::Thread(number)) => (
            "thread",
            Named { function: thread_words(source, number), file: String::new(), line: 0 },
            Vec::new(),
        ),
        (None, _) => {
            let mut packages = node.packages.clone();
            packages.sort_by_key(|&(_, amount)| std::cmp::Reverse(amount));
            let packages: Vec<_> =
                packages.iter().map(|&(package, _)| maker.package(package).to_owned()).collect();
            ("library", Named { function: library(&packages), file: String::new(), line: 0 }, packages)
        }
    };
    TreeNode {
        parent: None,
        kind,
        named,
        packages,
        recursive: node.recursive,
        calls: node.calls,
        ended_larger: node.ended_larger,
        own: node.own.amount,
        total: node.total.amount,
        grew_bytes: node.total.grew_bytes,
        shrank_bytes: node.total.shrank_bytes,
        stayed_bytes: node.total.stayed_bytes(),
        hidden: 0,
        hidden_total: 0,
    }
}

/// The name of library frames: `[asyncio, selectors, 2 more]`.
fn library(packages: &[String]) -> String {
    let mut names: Vec<String> = packages.iter().take(PACKAGES).cloned().collect();
    if packages.len() > PACKAGES {
        names.push(format!("{} more", packages.len() - PACKAGES));
    }
    format!("[{}]", names.join(", "))
}

impl TreeNode {
    pub(super) fn drawn(&self, cells: Vec<String>) -> Drawn {
        let recursion = if self.recursive { " (recursive)" } else { "" };
        Drawn {
            cells,
            name: format!("{}{recursion}", self.named.function),
            place: self.named.place(),
            ..Drawn::default()
        }
    }
}

impl Body for Trees {
    fn text(&self, report: &Report, options: &ViewOptions) -> String {
        let memory = options.of.is_memory();
        let header: &[&str] = match (options.view, memory) {
            (View::Callers, false) => &["share", self.of, "function, and below it its callers"],
            (View::Callers, true) => &["share", self.of, "net", "function, and below it its callers"],
            (_, false) => &["share", self.of, "function"],
            (_, true) => &["share", self.of, "net", "function"],
        };
        let shown = options.table.shown(self.all.len());
        let mut out = String::new();
        for tree in &self.all[..shown] {
            out += &title(report, tree.process, options);
            if tree.total == 0 {
                let _ = writeln!(out, "nothing to show: no {} was seen\n", self.of);
                continue;
            }
            let (nodes, tops) = tree.drawn(memory, options);
            out += &draw(header, &nodes, &tops, &options.table);
            out += &hidden_line(tree.hidden, options);
            out.push('\n');
        }
        out + &crate::report::lines::not_listed(self.all.len() - shown)
    }
}

/// What is left out on top.
pub(super) fn hidden_line(hidden: u64, options: &ViewOptions) -> String {
    if hidden == 0 {
        return String::new();
    }
    let hidden = counted(hidden, "more function");
    options.table.folded(&format!("{hidden} not shown (--min-share 0 and --limit 0 show all)\n"))
}

impl Tree {
    /// Its nodes, with remarks below them; and which are on top.
    fn drawn(&self, memory: bool, options: &ViewOptions) -> (Vec<Drawn>, Vec<usize>) {
        let cells = |amount: u64, stayed: Option<i64>| {
            let net = memory.then(|| stayed.map(signed_bytes).unwrap_or_default());
            [percent(amount, self.total), options.of.shown(amount)].into_iter().chain(net).collect::<Vec<_>>()
        };
        let mut nodes: Vec<Drawn> =
            self.nodes.iter().map(|node| node.drawn(cells(node.total, Some(node.stayed_bytes)))).collect();
        let tops = link(&mut nodes, &self.nodes);
        for (at, node) in self.nodes.iter().enumerate() {
            let mut remarks = Vec::new();
            let own_counts = node.own as f64 >= options.min_share * self.total as f64 && node.own > 0;
            if own_counts && !(nodes[at].children.is_empty() && node.hidden == 0) {
                remarks.push((node.own, "[self]".to_owned()));
            }
            if node.hidden > 0 && node.hidden_total > 0 {
                remarks.push((node.hidden_total, format!("[{} more]", node.hidden)));
            }
            for (amount, name) in remarks {
                let number = nodes.len();
                nodes[at].children.push(number);
                nodes.push(Drawn { cells: cells(amount, None), name, remark: true, ..Drawn::default() });
            }
        }
        (nodes, tops)
    }
}

/// Tells each node which are below it, and returns those on top.
pub(super) fn link(drawn: &mut [Drawn], nodes: &[TreeNode]) -> Vec<usize> {
    let mut tops = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        match node.parent {
            Some(parent) => drawn[parent].children.push(at),
            None => tops.push(at),
        }
    }
    tops
}
