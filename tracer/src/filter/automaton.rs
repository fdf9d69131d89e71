//! Globs as an automaton over bytes, for the kernel side, which holds it against a function's names when it is first
//! seen.
//!
//! It may say "yes" too often (the [filter](super::FunctionFilter) decides then), but "no" only where the filter does:
//! a byte outside of ASCII leads to "yes", and in front of a name glob anything may stand that ends with a point.

use std::collections::HashMap;

use globset::Glob;
use regex_automata::{
    Anchored, Input,
    dfa::{Automaton as _, StartKind, dense},
    util::{primitives::StateID, syntax},
};
use tracer_common::{
    limits::GLOB_STATES,
    state::{GLOB_ALWAYS, GLOB_NEVER, GlobState},
};

/// What making an automaton may take; some globs would take it all.
const MOST_BYTES: usize = 4 << 20;

/// States, and where to begin.
#[derive(Clone, Debug)]
pub struct Automaton {
    /// All states; the first two are [`GLOB_NEVER`] and [`GLOB_ALWAYS`].
    pub states: Vec<GlobState>,
    /// First state for a function's name with its module in front.
    pub names: u16,
    /// First state for a file name.
    pub files: u16,
}

impl Automaton {
    /// An automaton of these globs; `None` if it would take more states than the kernel side has room for.
    pub fn new(names: &[Glob], files: &[Glob]) -> Option<Self> {
        let state = |next, accepts| GlobState { next: [next; 256], accepts, pad: [0; 3] };
        let mut automaton = Self {
            states: vec![state(GLOB_NEVER, 0), state(GLOB_ALWAYS, 1)],
            names: GLOB_NEVER,
            files: GLOB_NEVER,
        };
        automaton.names = automaton.add(names, r"(?:.*\.)?")?;
        automaton.files = automaton.add(files, "")?;
        Some(automaton)
    }

    /// Adds states for globs that anything matching `prefix` may stand in front of. Returns the first one.
    fn add(&mut self, globs: &[Glob], prefix: &str) -> Option<u16> {
        if globs.is_empty() {
            return Some(GLOB_NEVER);
        }
        let patterns: Vec<String> = globs.iter().map(|glob| pattern(glob, prefix)).collect();
        let dfa = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Anchored)
                    .minimize(true)
                    .dfa_size_limit(Some(MOST_BYTES))
                    .determinize_size_limit(Some(MOST_BYTES)),
            )
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build_many(&patterns)
            .ok()?;
        let start = dfa.start_state_forward(&Input::new("").anchored(Anchored::Yes)).ok()?;
        let mut found = Found { numbers: HashMap::new(), order: Vec::new(), next: self.states.len() };
        let first = found.number(&dfa, start)?;
        let mut at = 0;
        while let Some(&id) = found.order.get(at) {
            let mut state = GlobState { next: [GLOB_ALWAYS; 256], accepts: 0, pad: [0; 3] };
            for byte in 0..=127_u8 {
                state.next[usize::from(byte)] = found.number(&dfa, dfa.next_state(id, byte))?;
            }
            state.accepts = u16::from(dfa.is_match_state(dfa.next_eoi_state(id)));
            self.states.push(state);
            at += 1;
        }
        Some(first)
    }
}

/// Numbers of states, in the order in which they are found.
struct Found {
    numbers: HashMap<StateID, u16>,
    order: Vec<StateID>,
    next: usize,
}

impl Found {
    fn number(&mut self, dfa: &dense::DFA<Vec<u32>>, id: StateID) -> Option<u16> {
        if dfa.is_dead_state(id) {
            return Some(GLOB_NEVER);
        }
        if let Some(&number) = self.numbers.get(&id) {
            return Some(number);
        }
        let number = self.next + self.order.len();
        if number >= GLOB_STATES as usize {
            return None;
        }
        self.order.push(id);
        self.numbers.insert(id, number as u16);
        Some(number as u16)
    }
}

/// A glob's regular expression, as `globset` makes it (`(?-u)^...$`), with something in front.
fn pattern(glob: &Glob, prefix: &str) -> String {
    let body = glob.regex();
    let body = body.strip_prefix("(?-u)").unwrap_or(body);
    let body = body.strip_prefix('^').unwrap_or(body);
    let body = body.strip_suffix('$').unwrap_or(body);
    format!("(?s-u)^{prefix}(?:{body})$")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{event::Function, filter::FunctionFilter};

    /// The walk of the kernel side.
    fn may_match(automaton: &Automaton, function: &Function) -> bool {
        let step = |state: u16, byte: u8| automaton.states[usize::from(state)].next[usize::from(byte)];
        let file = function.file.as_bytes();
        let files = file.iter().fold(automaton.files, |state, &byte| step(state, byte));
        let module = match file.strip_prefix(b"<frozen ") {
            Some(frozen) => &frozen[..frozen.len() - 1],
            None if file.starts_with(b"<") => b"",
            None => file.strip_suffix(b".py").unwrap_or(file),
        };
        let module = module.strip_suffix(b"/__init__").unwrap_or(module);
        let (mut names, mut slash) = (automaton.names, false);
        for &byte in module {
            if byte != b'/' || !slash {
                names = step(names, if byte == b'/' { b'.' } else { byte });
            }
            slash = byte == b'/';
        }
        let names = function.name.bytes().fold(step(names, b'.'), step);
        [names, files].iter().any(|&state| automaton.states[usize::from(state)].accepts != 0)
    }

    fn verdicts(names: &[&str], files: &[&str], file: &str, name: &str) -> (bool, bool) {
        let own = |globs: &[&str]| globs.iter().map(ToString::to_string).collect::<Vec<_>>();
        let filter = FunctionFilter::new(&own(names), &own(files)).unwrap();
        let function = Function { name: name.into(), file: file.into(), line: 1 };
        (filter.matches(&function), may_match(&filter.automaton().unwrap(), &function))
    }

    #[test]
    fn it_agrees_on_plain_names() {
        let both = |names: &[&str], files: &[&str], file, name| {
            let (filter, automaton) = verdicts(names, files, file, name);
            assert_eq!(filter, automaton, "{names:?} {files:?} {file} {name}");
            filter
        };
        assert!(both(&["app.*"], &[], "/srv/app.py", "main"));
        assert!(both(&["shop.orders.Order.total"], &[], "/srv/shop/orders.py", "Order.total"));
        assert!(both(&["shop.Order.total"], &[], "/srv/shop/__init__.py", "Order.total"));
        assert!(both(&["os.walk"], &[], "<frozen os>", "walk"));
        assert!(both(&["srv.shop.f"], &[], "/srv//shop.py", "f"));
        assert!(both(&[], &["*/handlers/*.py"], "/srv/handlers/a.py", "get"));
        assert!(!both(&["app.*"], &["*/handlers/*.py"], "/srv/apple.py", "main"));
        assert!(!both(&["ap[a-o].main"], &[], "/srv/app.py", "main"));
        assert!(!both(&["main"], &[], "<string>", "domain"));
    }

    #[test]
    fn a_byte_outside_of_ascii_is_left_to_the_filter() {
        assert_eq!(verdicts(&["caf?"], &[], "/srv/app.py", "caf\u{e9}"), (false, true));
    }

    #[test]
    fn too_many_states_are_no_automaton() {
        // Which of the last twelve characters were an `a` takes 2^12 states.
        let glob = format!("*a{}", "?".repeat(12));
        assert!(FunctionFilter::new(&[glob], &[]).unwrap().automaton().is_none());
    }

    proptest! {
        // Each case makes an automaton.
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn it_never_refuses_what_the_filter_takes(
            glob in "[a-c.*?/]{0,6}|[a-c]\\.[a-c*]{1,3}|\\{a,b\\}[.a-c]*",
            file_glob in proptest::option::of("\\*[a-c/.]{0,4}"),
            file in "(/{1,2}[a-c]{1,2}){0,3}/([a-c]{1,2}\\.py|__init__\\.py|[a-c])|<frozen [a-c]{1,2}>|<[a-c]>|",
            name in "[a-c]{1,2}(\\.[a-c<>]{1,3}){0,2}",
        ) {
            let names = [glob];
            let files: Vec<String> = file_glob.into_iter().collect();
            if let Ok(filter) = FunctionFilter::new(&names, &files) {
                let function = Function { name, file, line: 1 };
                if let Some(automaton) = filter.automaton() {
                    prop_assert!(may_match(&automaton, &function) || !filter.matches(&function));
                }
            }
        }
    }
}
