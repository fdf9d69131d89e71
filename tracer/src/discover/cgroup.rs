//! Control groups, and what their names say: the container and the systemd unit of a process.

use std::{fs, path::Path};

/// The control groups in a `/proc/PID/cgroup`: of the unified hierarchy first, then those of the old ones; each path
/// once.
///
/// On a machine with both, the old ones often say more: there processes stay in the root of the unified one.
pub(super) fn paths(text: &str) -> Vec<String> {
    let mut fields: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| {
            let (hierarchy, rest) = line.split_once(':')?;
            Some((hierarchy, rest.split_once(':')?.1))
        })
        .collect();
    fields.sort_by_key(|&(hierarchy, _)| hierarchy != "0");
    let mut paths = Vec::new();
    for (_, path) in fields {
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    }
    paths
}

/// The group that a user names: by its path in the hierarchy, with or without the first slash, or by its folder.
pub fn named(text: &str) -> String {
    named_below(text, &fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

fn named_below(text: &str, mounts: &str) -> String {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (folder, kind) = (fields.nth(1)?, fields.next()?);
        matches!(kind, "cgroup" | "cgroup2").then_some(folder)
    });
    // Of mounts within each other the innermost.
    let inside = mounts.filter_map(|mount| Path::new(text).strip_prefix(mount).ok());
    let inside = inside.min_by_key(|path| path.as_os_str().len());
    let path = inside.map_or_else(|| text.into(), |path| path.to_string_lossy());
    format!("/{}", path.trim_matches('/'))
}

/// Is the group `path` the group `above`, or below it?
pub fn is_within(path: &str, above: &str) -> bool {
    let above = above.trim_end_matches('/');
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The systemd unit of a group: the last part of the path that is a service or scope, unless it is a container's.
pub(super) fn unit(path: &str) -> Option<&str> {
    let is_unit = |part: &&str| part.strip_suffix(".service").or(part.strip_suffix(".scope")).is_some();
    let unit = path.rsplit('/').find(is_unit)?;
    container(unit, "").is_none().then_some(unit)
}

/// Who runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Docker, or what uses its naming.
    Docker,
    /// Podman.
    Podman,
    /// containerd, under Kubernetes.
    Containerd,
    /// CRI-O.
    CriO,
    /// systemd-nspawn and other machines of systemd-machined.
    Machine,
    /// LXC.
    Lxc,
    /// The group's name does not say.
    Unknown,
}

impl Engine {
    /// Its name in lower case; empty if it is not known.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Machine => "machine",
            Self::Lxc => "lxc",
            Self::Unknown => "",
        }
    }
}

/// A container, by the name of its control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Who runs it.
    pub engine: Engine,
    /// Its id, 64 hexadecimal digits; of machines and LXC their name.
    pub id: String,
    /// The name that it was given, where its engine tells.
    pub name: Option<String>,
}

/// The containers that a group is in, the innermost last.
pub(super) fn containers(path: &str) -> Vec<Container> {
    let mut before = "";
    let mut found = Vec::new();
    for part in path.split('/') {
        found.extend(container(part, before));
        before = part;
    }
    found
}

/// The container that one part of a path stands for; `before` is the part before it.
///
/// `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`; `docker/ID`, `kubepods/.../ID`,
/// `...:cri-containerd:ID`; `machine-NAME.scope`, `systemd-nspawn@NAME.service`, `lxc.payload.NAME`, `lxc/NAME`.
fn container(part: &str, before: &str) -> Option<Container> {
    let stem = part.strip_suffix(".scope").unwrap_or(part);
    let (prefix, id) = stem.rsplit_once(['-', ':']).unwrap_or(("", stem));
    if is_id(id) {
        // The process that watches a container, and is outside of it.
        if prefix.ends_with("conmon") {
            return None;
        }
        let engine = match prefix.rsplit(':').next().unwrap_or_default() {
            "docker" => Engine::Docker,
            "libpod" => Engine::Podman,
            "cri-containerd" => Engine::Containerd,
            "crio" => Engine::CriO,
            _ if before == "docker" => Engine::Docker,
            _ if before == "libpod_parent" => Engine::Podman,
            _ => Engine::Unknown,
        };
        return Some(Container { engine, id: id.to_owned(), name: None });
    }
    let machine = part.strip_suffix(".scope").and_then(|part| part.strip_prefix("machine-"));
    let nspawn = part.strip_suffix(".service").and_then(|part| part.strip_prefix("systemd-nspawn@"));
    let lxc = part.strip_prefix("lxc.payload.").or((before == "lxc").then_some(part));
    let (engine, name) = match (machine.or(nspawn), lxc) {
        (Some(name), _) => (Engine::Machine, name),
        (None, Some(name)) => (Engine::Lxc, name),
        (None, None) => return None,
    };
    (!name.is_empty()).then(|| Container { engine, id: name.replace("\\x2d", "-"), name: None })
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2a9c0d1e5b4a7788990011223344556677889900aabbccddeeff0011223344";

    fn innermost(path: &str) -> Option<(Engine, String)> {
        containers(&path.replace("ID", ID)).pop().map(|c| (c.engine, c.id.replace(ID, "ID")))
    }

    #[test]
    fn containers_by_the_names_that_engines_give() {
        for (path, engine, id) in [
            ("/docker/ID", Engine::Docker, "ID"),
            ("/system.slice/docker-ID.scope", Engine::Docker, "ID"),
            ("/system.slice/docker-ID.scope/init", Engine::Docker, "ID"),
            ("/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope", Engine::Containerd, "ID"),
            (
                "/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ID",
                Engine::Containerd,
                "ID",
            ),
            ("/kubepods.slice/kubepods-pod1.slice/crio-ID.scope", Engine::CriO, "ID"),
            ("/kubepods/burstable/pod12-34/ID", Engine::Unknown, "ID"),
            ("/machine.slice/libpod-ID.scope/container", Engine::Podman, "ID"),
            ("/machine.slice/machine-my\\x2dbox.scope/payload", Engine::Machine, "my-box"),
            ("/machine.slice/systemd-nspawn@box.service", Engine::Machine, "box"),
            ("/lxc.payload.web/init.scope", Engine::Lxc, "web"),
            ("/lxc/web", Engine::Lxc, "web"),
        ] {
            assert_eq!(innermost(path), Some((engine, id.to_owned())), "{path}");
        }
    }

    #[test]
    fn groups_that_are_no_containers() {
        for path in [
            "/",
            "/system.slice/nginx.service",
            "/user.slice/user-1000.slice/session-3.scope",
            "/machine.slice/libpod-conmon-ID.scope",
            "/docker/buildx",
            "/job/841584a44b56531edb830b83956b260b",
            "/machine.slice/machine-.scope",
        ] {
            assert_eq!(innermost(path), None, "{path}");
        }
    }

    #[test]
    fn the_unit_is_the_innermost_that_is_no_container() {
        for (path, expected) in [
            ("/system.slice/web.service", Some("web.service")),
            ("/system.slice/web.service/workers", Some("web.service")),
            ("/user.slice/user-0.slice/user@0.service/app.slice/run-1.scope", Some("run-1.scope")),
            ("/system.slice/docker-ID.scope", None),
            ("/docker/ID/system.slice/cron.service", Some("cron.service")),
            ("/user.slice", None),
        ] {
            assert_eq!(unit(&path.replace("ID", ID)), expected, "{path}");
        }
    }

    #[test]
    fn the_unified_hierarchy_comes_first() {
        let text = "9:name=systemd:/system.slice/a.service\n4:memory:/m:1\n1:cpu:/\n0::/\n";
        assert_eq!(paths(text), ["/", "/system.slice/a.service", "/m:1"]);
        assert_eq!(paths("0::/a b/c\n"), ["/a b/c"]);
        assert!(paths("damaged\n1\n").is_empty());
    }

    #[test]
    fn a_group_is_named_by_path_or_folder() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
            cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n\
            cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
        for (text, expected) in [
            ("/system.slice/web.service", "/system.slice/web.service"),
            ("system.slice/", "/system.slice"),
            ("/sys/fs/cgroup/system.slice", "/system.slice"),
            ("/sys/fs/cgroup/memory/a", "/a"),
            ("/", "/"),
        ] {
            assert_eq!(named_below(text, mounts), expected, "{text}");
        }
    }

    #[test]
    fn a_group_holds_those_below_it() {
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a") && is_within("/a/b", "/a/"));
        assert!(is_within("/a", "/") && is_within("/", "/"));
        assert!(!is_within("/ab", "/a") && !is_within("/", "/a"));
    }
}
