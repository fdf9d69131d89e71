//! Trees of what called what, and callers.

use tracer::analysis::measure::Measure;
use tracer::analysis::scope::Scope;
use tracer::views::{By, View, ViewOptions};

use super::{all, json, list, number, options, report, sum};

#[test]
fn a_tree_holds_all_of_the_report() {
    let report = report(Scope::default());
    for measure in [Measure::Wall, Measure::Cpu, Measure::OffCpu, Measure::Calls, Measure::Faults] {
        let expected: u64 = report
            .functions
            .iter()
            .map(|row| match measure {
                Measure::Wall => row.self_wall_ns,
                Measure::Cpu => row.self_cpu_ns,
                Measure::OffCpu => row.self_wall_ns - row.self_cpu_ns,
                Measure::Calls => row.calls,
                _ => row.page_faults,
            })
            .sum();
        for all_frames in [false, true] {
            let shape = ViewOptions { of: measure, all_frames, ..all(options(View::Tree)) };
            for by in [By::Function, By::Thread] {
                let view = json(&ViewOptions { by, ..shape });
                let [tree] = list(&view, "trees") else { panic!("one process") };
                assert_eq!(number(tree, "total") as u64, expected, "{measure:?}");
                assert_eq!(sum(list(tree, "nodes"), "self") as u64, expected, "{measure:?}");
                let tops = list(tree, "nodes").iter().filter(|node| node["parent"].is_null());
                assert_eq!(tops.map(|node| number(node, "total")).sum::<i64>() as u64, expected);
            }
        }
    }
}

#[test]
fn what_a_tree_hides_is_said() {
    let view = json(&ViewOptions { min_share: 0.05, ..options(View::Tree) });
    let nodes = list(&list(&view, "trees")[0], "nodes");
    for (at, node) in nodes.iter().enumerate() {
        let below = nodes.iter().filter(|child| child["parent"] == at);
        let below: i64 = below.map(|child| number(child, "total")).sum();
        assert_eq!(
            number(node, "self") + below + number(node, "hidden_total"),
            number(node, "total"),
            "{node}"
        );
    }
    assert!(sum(nodes, "hidden") > 0);
}

#[test]
fn callers_share_what_a_function_weighs() {
    let report = report(Scope::default());
    let view = json(&ViewOptions { all_frames: true, ..all(options(View::Callers)) });
    let nodes = list(&list(&view, "trees")[0], "nodes");
    let tops: Vec<_> = nodes.iter().filter(|node| node["parent"].is_null()).collect();
    assert_eq!(tops.len(), report.functions.iter().filter(|row| row.self_wall_ns > 0).count());
    for top in tops {
        let row = report.functions.iter().find(|row| {
            top["function"] == row.function.as_str()
                && top["file"] == row.file.as_str()
                && top["line"] == row.line
        });
        assert_eq!(number(top, "total") as u64, row.unwrap().self_wall_ns, "{top}");
    }
    for (at, node) in nodes.iter().enumerate() {
        let callers = nodes.iter().filter(|caller| caller["parent"] == at);
        assert!(callers.map(|caller| number(caller, "total")).sum::<i64>() <= number(node, "total"));
    }
}
