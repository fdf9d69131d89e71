//! Which processes are meant: selectors, held against who a process is.

use crate::{
    discover::{Identity, cgroup::is_within},
    filter::{BadGlob, Globs},
};

/// Fewest digits by which a container's id is recognised.
const ID_DIGITS: usize = 4;

/// What a user named. A process is meant if anything here matches it.
#[derive(Clone, Debug, Default)]
pub struct Selectors {
    names: Globs,
    cgroups: Vec<String>,
    containers: Vec<String>,
    uids: Vec<u32>,
}

impl Selectors {
    /// Selectors of globs for names, paths of control groups, ids or names of containers, and user ids.
    ///
    /// # Errors
    /// If a glob can't be read.
    pub fn new(
        names: &[String],
        cgroups: Vec<String>,
        containers: Vec<String>,
        uids: Vec<u32>,
    ) -> Result<Self, BadGlob> {
        Ok(Self { names: Globs::new(names)?, cgroups, containers, uids })
    }

    /// Is there none, so that no process matches?
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.cgroups.is_empty() && self.containers.is_empty() && self.uids.is_empty()
    }

    /// Is this process meant?
    pub fn matches(&self, who: &Identity) -> bool {
        self.uids.contains(&who.effective_uid)
            || self.matches_name(who)
            || self.matches_cgroup(who)
            || self.matches_container(who)
    }

    /// By the process's name, the file of its program, or its script or module; of files with their folder or without.
    fn matches_name(&self, who: &Identity) -> bool {
        let script = who.script.as_ref().map_or("", |script| script.name());
        [who.name.as_str(), &who.program, script].into_iter().any(|name| {
            let file = name.rsplit('/').next().unwrap_or_default();
            !name.is_empty() && (self.names.is_match(name) || self.names.is_match(file))
        })
    }

    fn matches_cgroup(&self, who: &Identity) -> bool {
        self.cgroups.iter().any(|above| who.cgroups.iter().any(|path| is_within(path, above)))
    }

    /// By the id or its beginning, or by the whole name; an outer container holds the processes of those in it.
    fn matches_container(&self, who: &Identity) -> bool {
        who.containers.iter().any(|container| {
            self.containers.iter().any(|wanted| {
                container.name.as_ref() == Some(wanted)
                    || wanted.len() >= ID_DIGITS && container.id.starts_with(wanted.as_str())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::{
        Script,
        cgroup::{Container, Engine},
    };

    fn worker() -> Identity {
        let container = |id: &str, name: Option<&str>| Container {
            engine: Engine::Docker,
            id: id.into(),
            name: name.map(Into::into),
        };
        Identity {
            pid: 4711,
            name: "gunicorn".into(),
            program: "/usr/bin/python3.11".into(),
            script: Some(Script::File("/srv/shop/run.py".into())),
            real_uid: 0,
            effective_uid: 33,
            cgroups: vec!["/".into(), "/system.slice/web.service/w1".into()],
            containers: vec![container(&"ab12".repeat(16), Some("web")), container(&"cd34".repeat(16), None)],
            ..Identity::default()
        }
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    fn names(globs: &[&str]) -> bool {
        Selectors::new(&owned(globs), vec![], vec![], vec![]).expect("globs").matches(&worker())
    }

    fn cgroup(path: &str) -> bool {
        Selectors::new(&[], owned(&[path]), vec![], vec![]).expect("no globs").matches(&worker())
    }

    fn container(wanted: &str) -> bool {
        Selectors::new(&[], vec![], owned(&[wanted]), vec![]).expect("no globs").matches(&worker())
    }

    fn uid(uid: u32) -> bool {
        Selectors::new(&[], vec![], vec![], vec![uid]).expect("no globs").matches(&worker())
    }

    #[test]
    fn by_the_name_of_process_program_or_script() {
        for glob in ["gunicorn", "guni*", "python3.*", "/usr/bin/*", "run.py", "/srv/shop/*.py", "*shop*"] {
            assert!(names(&[glob]), "{glob}");
        }
        for glob in ["corn", "python", "shop", "run", ""] {
            assert!(!names(&[glob]), "{glob}");
        }
        let module = Identity { script: Some(Script::Module("http.server".into())), ..Identity::default() };
        let selectors = Selectors::new(&owned(&["http.*"]), vec![], vec![], vec![]).expect("a glob");
        assert!(selectors.matches(&module) && !selectors.matches(&Identity::default()));
    }

    #[test]
    fn by_the_group_or_one_above_it() {
        assert!(cgroup("/system.slice/web.service") && cgroup("/system.slice") && cgroup("/system.slice/"));
        assert!(!cgroup("/system.slice/web") && !cgroup("/system.slice/web.service/w2"));
    }

    #[test]
    fn by_the_id_or_name_of_a_container() {
        assert!(
            container("web") && container("ab12") && container("cd34cd34") && container(&"ab12".repeat(16))
        );
        assert!(!container("ab1") && !container("b12a") && !container("we"));
    }

    #[test]
    fn by_the_user_that_it_acts_as() {
        assert!(uid(33) && !uid(0));
    }

    #[test]
    fn any_of_them_is_enough_and_none_matches_nothing() {
        let either = Selectors::new(&owned(&["nothing"]), vec![], owned(&["web"]), vec![1]).expect("a glob");
        assert!(either.matches(&worker()) && !either.is_empty());
        assert!(Selectors::default().is_empty() && !Selectors::default().matches(&worker()));
    }
}
