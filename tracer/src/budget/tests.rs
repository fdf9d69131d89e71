use super::*;

const COSTS: Costs = Costs { hit_ns: 550.0, window_ns: 3e5, always: 0.0 };

/// A program that runs for so much processor time of each nanosecond, and starts so many functions in a nanosecond of
/// its own work.
#[derive(Clone, Copy)]
struct Program {
    busy: f64,
    starts: f64,
}

/// Numbers from 0 up to 1, always the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What really is lost to a window, besides the hits in it.
const AROUND_HITS: f64 = 500.0;

/// Runs `program(time)` under a budget for some seconds: cost as a share of own time, and the budget.
fn run(limit: f64, seconds: f64, program: impl Fn(f64) -> Program) -> (f64, Budget) {
    let mut budget = Budget::new(limit, COSTS);
    let mut random = Random(7);
    let (mut time, mut own, mut cost) = (0.0, 0.0, 0.0);
    while time < seconds * 1e9 {
        let next = budget.next(random.next());
        let mut gap = next.after.as_nanos() as f64;
        let mut spent = Spent::default();
        while gap > 0.0 {
            // The program may change in a long gap.
            let step = gap.min(1e7);
            let done = step * program(time).busy;
            own += done;
            spent.cpu_ns += done;
            spent.elapsed_ns += step;
            (time, gap) = (time + step, gap - step);
        }
        let Program { busy, starts } = program(time);
        let length = next.length.as_nanos() as f64;
        let per_own = 1.0 + starts * COSTS.hit_ns;
        let mut done = length * busy / per_own;
        let hits = (done * starts).min(next.hits as f64);
        if hits < done * starts {
            done = hits / starts;
        }
        let open = done * per_own / busy.max(f64::MIN_POSITIVE);
        let around = AROUND_HITS.min(hits);
        own += done;
        cost += (hits + around) * COSTS.hit_ns + COSTS.window_ns / 2.0 * f64::from(u8::from(hits > 0.0));
        let open = if busy > 0.0 { open } else { length };
        time += open;
        spent.cpu_ns += done * per_own + around * COSTS.hit_ns;
        spent.elapsed_ns += open;
        spent.hits = (hits + around) as u64;
        spent.window_hits = hits as u64;
        spent.window_ns = open;
        budget.observe(&spent);
    }
    (cost / own, budget)
}

/// From one that does nothing but call to one that hardly calls.
const PROGRAMS: [Program; 5] = [
    Program { busy: 1.0, starts: 0.059 },
    Program { busy: 1.0, starts: 0.018 },
    Program { busy: 0.3, starts: 0.002 },
    Program { busy: 1.0, starts: 0.000_6 },
    Program { busy: 0.7, starts: 0.000_02 },
];

#[test]
fn the_budget_is_kept_and_used() {
    for limit in [0.01, 0.05, 0.2] {
        for program in PROGRAMS {
            let (cost, budget) = run(limit, 60.0, |_| program);
            assert!(cost <= limit, "{}: {cost} of {limit}", program.starts);
            let all = program.starts * COSTS.hit_ns;
            let usable = all.min(limit * PLANNED);
            assert!(cost >= usable * 0.5, "{}: only {cost} of {limit}", program.starts);
            assert!(budget.believed() <= limit, "{}: {} believed", program.starts, budget.believed());
        }
    }
}

#[test]
fn a_program_whose_calls_are_affordable_is_traced_almost_all_the_time() {
    let (_, budget) = run(0.05, 20.0, |_| PROGRAMS[4]);
    assert!(budget.observed() > 0.9, "{}", budget.observed());
}

#[test]
fn it_is_kept_by_a_program_that_changes_all_the_time() {
    for period in [3e6, 3e7, 7e8, 5e9] {
        let phases = |time: f64| PROGRAMS[(time / period) as usize % PROGRAMS.len()];
        let (cost, _) = run(0.05, 120.0, phases);
        assert!((0.015..=0.05).contains(&cost), "{cost}, phases of {period} ns");
    }
}

#[test]
fn a_sudden_flood_of_calls_is_saved_again() {
    let program = |time: f64| PROGRAMS[if time < 2e10 { 4 } else { 0 }];
    let (cost, _) = run(0.05, 60.0, program);
    assert!(cost <= 0.055, "{cost}");
}

#[test]
fn an_idle_process_is_looked_at_now_and_then() {
    let idle = Program { busy: 0.0, starts: 0.001 };
    let (_, budget) = run(0.05, 30.0, |_| idle);
    assert!(budget.windows() >= 20, "{}", budget.windows());
    assert!(budget.believed() < 1e-9, "{}", budget.believed());
}
